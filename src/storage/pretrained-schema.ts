/** The shape of a pretrained model's record in a project file. */
import * as v from 'valibot';
import type { PretrainedModel, PretrainedSummary } from '../protocol/pretrained';
import { chunk, count, figure, format, hash, ports, text } from './record-parts';
import type { Schema } from './record-parts';

const blockers = v.array(v.strictObject({ node: text, op: text, reason: text }));

const summary: Schema<PretrainedSummary> = v.strictObject({
  inputs: ports,
  outputs: ports,
  parameters: count,
  operators: v.array(v.strictObject({ op: text, count })),
  picture: v.nullable(
    v.strictObject({
      channels: count,
      sizes: v.array(count),
      pixels: v.nullable(v.strictObject({ mean: v.array(figure), std: v.array(figure) })),
    }),
  ),
  head: v.nullable(v.strictObject({ node: text, outputs: count, features: count })),
  cuts: v.array(v.strictObject({ value: text, features: count, blocks: count })),
  blocks: v.array(
    v.strictObject({
      name: text,
      operators: v.array(text),
      weights: v.array(
        v.strictObject({
          name: text,
          node: text,
          numbers: count,
          norm: v.boolean(),
          matrix: v.nullable(v.strictTuple([count, count])),
        }),
      ),
    }),
  ),
  trainingBlockers: blockers,
  runBlockers: blockers,
});

export const pretrainedModel: Schema<PretrainedModel> = v.strictObject({
  id: hash,
  format,
  name: text,
  createdAt: figure,
  bytes: count,
  chunks: v.array(chunk),
  summary,
});
