/** The train worker's calls about pretrained bodies: what they are, and adapters put back into them. */
import { countWeights } from '../blueprints/weights';
import { AppError } from '../core/errors';
import { canonicalJson } from '../core/hash';
import { readSafetensors, writeSafetensors } from '../importers/safetensors';
import { graphHash } from '../onnx/hash';
import type { Graph } from '../onnx/graph';
import { writeModel } from '../onnx/writer';
import type { TrainApi, TrainRequest } from '../protocol/api';
import type { FittedRecipe } from '../protocol/entities';
import type { BaseOf, PretrainedBlueprint } from '../protocol/fine-tune';
import { assembleModel } from './assemble';
import type { Base } from './base';
import type { Bases } from './bases';
import { describeBase } from './describe-base';
import { adapterFor, lessonOptions, taughtBy } from './lesson';
import type { Lesson } from './lesson';
import type { Tensors } from './loop-types';
import { isAdapterRecord } from './adapter-record';
import type { AdapterRecord } from './adapter-record';
import { ADAPTER_KEY } from './picked';

type PretrainedApi = Pick<TrainApi, 'backbone' | 'describePretrained' | 'applyAdapter'>;

export function pretrainedMethods(
  bases: Bases,
  compileRecipe: (recipe: FittedRecipe) => Graph,
): PretrainedApi {
  return {
    backbone: (id) => bases.backbone(id),

    async describePretrained(source) {
      const { graph } = await bases.load(source);
      return describeBase(graph, await bases.told(source));
    },

    async applyAdapter(file) {
      const { tensors, metadata } = readSafetensors(new Uint8Array(file));
      const record = recordOf(metadata.get(ADAPTER_KEY));
      const { blueprint, recipe, loss } = record;
      const base = await bases.load(record.base.source);
      if (base.sha256 !== record.base.sha256) {
        throw new AppError(
          'pretrained/adapter',
          `The adapter was learned on another ${record.base.name} (${record.base.sha256.slice(0, 12)}); this one is ${base.sha256.slice(0, 12)}.`,
        );
      }
      const adapter = { tensors, metadata: Object.fromEntries(metadata) };
      const forward = taughtBy(blueprint, base, lessonOptions(record, recipe), adapter);
      const assembled = assembleModel(compileRecipe(recipe), forward, new Map(), recipe, loss);
      return {
        name: `${base.name} + adapter`,
        model: writeModel(assembled.graph).buffer,
        graphHash: await graphHash(assembled.graph),
        signature: assembled.signature,
        recipe,
        weights: countWeights(forward),
        base: record.base,
      };
    },
  };
}

/** The file of what a LoRA run learned; null for other strategies. */
export function adapterFile(
  lesson: Lesson,
  trained: Tensors,
  { config, prepared }: TrainRequest,
  base: BaseOf,
): ArrayBuffer | null {
  const adapter = adapterFor(lesson, trained);
  const { blueprint, training, seed } = config;
  if (adapter === null || blueprint.kind !== 'pretrained') return null;
  const { recipe } = prepared;
  const record: AdapterRecord = { format: 1, base, blueprint, recipe, loss: training.loss, seed };
  const metadata = new Map([
    ...Object.entries(adapter.metadata),
    [ADAPTER_KEY, canonicalJson(record)],
  ]);
  return writeSafetensors({ tensors: adapter.tensors, metadata }).buffer;
}

export function baseOf(blueprint: PretrainedBlueprint, { name, sha256 }: Base): BaseOf {
  return { source: blueprint.source, name, sha256 };
}

function recordOf(text: string | undefined): AdapterRecord {
  const value: unknown = text === undefined ? null : parsed(text);
  if (isAdapterRecord(value)) return value;
  throw new AppError(
    'pretrained/adapter',
    'This file is no adapter of Terrarium: it does not say which model it belongs to, or not in a way that is understood. Choose the .safetensors file of a LoRA run.',
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
