/** What an adapter's file says beside its tensors, and whether a stranger's file says it: all of it decides what is built. */
import * as v from 'valibot';
import type { FittedRecipe, RunConfig } from '../protocol/entities';
import type { BaseOf, PretrainedBlueprint } from '../protocol/fine-tune';
import { isFittedRecipe } from '../protocol/recipe-check';

/** All that the finished model needs besides its body. */
export interface AdapterRecord {
  readonly format: 1;
  readonly base: BaseOf;
  readonly blueprint: PretrainedBlueprint;
  readonly recipe: FittedRecipe;
  readonly loss: RunConfig['training']['loss'];
  readonly seed: number;
}

const MOST_UNITS = 65_536;
const MOST_CLASSES = 100_000;

const share = v.pipe(v.number(), v.minValue(0), v.ltValue(1));
const units = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MOST_UNITS));
const numbers = v.pipe(v.array(v.pipe(v.number(), v.finite())), v.maxLength(4));

const AdapterSchema = v.object({
  format: v.literal(1),
  base: v.object({
    source: v.variant('kind', [
      v.object({ kind: v.literal('embedded'), id: v.string() }),
      v.object({ kind: v.literal('own'), sha256: v.string() }),
    ]),
    name: v.string(),
    sha256: v.string(),
  }),
  blueprint: v.object({
    kind: v.literal('pretrained'),
    cut: v.nullable(v.string()),
    head: v.object({ hidden: units, dropout: share }),
    batchNorm: v.picklist(['frozen', 'train']),
    picture: v.nullable(v.object({ mean: v.optional(numbers), std: v.optional(numbers) })),
  }),
  recipe: v.custom<FittedRecipe>(isFittedRecipe),
  loss: v.picklist(['softmax-ce', 'bce', 'mse', 'huber']),
  seed: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

export function isAdapterRecord(value: unknown): value is AdapterRecord {
  if (!v.is(AdapterSchema, value)) return false;
  const { target } = value.recipe;
  return target.task === 'regression' || target.classes.length <= MOST_CLASSES;
}
