/**
 * What a pretrained body is to learn: cut, given its new head, with adapters where the strategy wants them; which
 * weights learn and how fast; and what becomes of it when it has learned.
 */
import { addLora, adapterOf, applyAdapter, mergeLora } from '../autodiff/lora';
import type { Adapter } from '../autodiff/lora';
import { withHead } from '../autodiff/new-head';
import { bodyOf, findHead } from '../autodiff/surgery';
import type { Block } from '../autodiff/blocks';
import { AppError } from '../core/errors';
import { renameValues, withInitializers } from '../onnx/compose';
import type { Graph } from '../onnx/graph';
import type { FittedRecipe, RunConfig } from '../protocol/entities';
import type { PretrainedBlueprint } from '../protocol/fine-tune';
import type { Base } from './base';
import type { Tensors } from './loop-types';
import { splitLesson } from './split-lesson';
import type { LessonSplit } from './split-lesson';
import { factorsAt, trainableFor } from './trainable';

export interface LessonOptions {
  /** Shape of one row of features. */
  readonly featureDims: readonly number[];
  /** Classes, or 1. */
  readonly outputs: number;
  readonly seed: number;
}

/** @throws AppError `training/loss` where the loss does not fit the classes */
export function lessonOptions(
  { loss, seed }: { readonly loss: RunConfig['training']['loss']; readonly seed: number },
  recipe: FittedRecipe,
): LessonOptions {
  return { featureDims: recipe.featureDims, outputs: outputCount(loss, recipe), seed };
}

/** Numbers that a model answers with for each row. */
export function outputCount(loss: RunConfig['training']['loss'], { target }: FittedRecipe): number {
  if (target.task === 'regression') return 1;
  const classes = target.classes.length;
  if (loss !== 'bce') return classes;
  if (classes === 2) return 1;
  throw new AppError(
    'training/loss',
    `The loss bce is for two classes, and "${target.column}" has ${classes}. Choose softmax-ce.`,
    { classes },
  );
}

export interface Lesson {
  /** `features` to `logits`, adapters included. */
  readonly forward: Graph;
  readonly blocks: readonly Block[];
  /** Names of the weights that learn. */
  readonly trainable: readonly string[];
  readonly batchNorm: PretrainedBlueprint['batchNorm'];
  /** Shares of the learning rate at a 0-based epoch; null where every weight has all of it. */
  readonly factors: ((epoch: number) => ReadonlyMap<string, number>) | null;
  /** The part that is frozen and the part that learns on its answers; null where all of it learns. */
  readonly split: LessonSplit | null;
}

export function prepareLesson(
  blueprint: PretrainedBlueprint,
  base: Base,
  options: LessonOptions,
): Lesson {
  const { strategy, head: wanted, batchNorm } = blueprint;
  const { featureDims, outputs, seed } = options;
  const { cut, blocks } = cutOf(blueprint, base);
  const body = withoutClashes(bodyOf(base.graph, cut, { inputDims: featureDims }));
  const headOptions = { classes: outputs, hidden: wanted.hidden, dropout: wanted.dropout, seed };
  const bare = withHead(body, headOptions);
  const forward = strategy.kind === 'lora' ? addLora(bare, { ...strategy, seed }) : bare;
  const trainable = trainableFor(strategy, forward, blocks).weights;
  const graded = 'depthDecay' in strategy;
  return {
    forward,
    blocks,
    trainable,
    batchNorm,
    factors: graded ? (epoch) => factorsAt(strategy, forward, blocks, epoch) : null,
    split: splitLesson(forward, blocks, trainable),
  };
}

/** The place that the blueprint names, or the one before the old head, with the blocks that lead there. */
function cutOf(
  { cut }: PretrainedBlueprint,
  { graph }: Base,
): { cut: string; blocks: readonly Block[] } {
  const head = findHead(graph);
  if (cut === null || cut === head.cut) return { cut: head.cut, blocks: head.blocks };
  const at = head.blocks.findIndex(({ output }) => output === cut);
  if (at < 0) {
    throw new AppError(
      'pretrained/cut',
      `The body cannot be cut at "${cut}": no block of it ends there. Choose one of the places that the Model screen offers.`,
      { cut },
    );
  }
  return { cut, blocks: head.blocks.slice(0, at + 1) };
}

/** Names that the finished model's inputs and answers have: inner values of a body that are called so, are not. */
const TAKEN = new Set(['image', 'numeric', 'categorical', 'probabilities', 'prediction']);

function withoutClashes(body: Graph): Graph {
  const made = body.nodes.flatMap(({ outputs }) => outputs).filter((name) => TAKEN.has(name));
  return renameValues(body, new Map(made.map((name) => [name, `body/${name}`])));
}

/** The forward graph with what was learned in it, as an ordinary graph; adapters are merged. */
export function finishLesson({ forward, trainable }: Lesson, trained: Tensors): Graph {
  const learned = withInitializers(forward, only(forward, trained));
  return hasAdapters(trainable) ? mergeLora(learned) : learned;
}

/** What a LoRA run learned, by itself; null for other strategies. */
export function adapterFor({ forward, trainable }: Lesson, trained: Tensors): Adapter | null {
  if (!hasAdapters(trainable)) return null;
  const names = new Set(trainable);
  return adapterOf(forward, new Map([...trained].filter(([name]) => names.has(name))));
}

/** The forward graph of a lesson with an adapter of an earlier run in place of its own. */
export function taughtBy(
  blueprint: PretrainedBlueprint,
  base: Base,
  options: LessonOptions,
  adapter: Adapter,
): Graph {
  const plain = { ...blueprint, strategy: { kind: 'head' } } as const;
  return mergeLora(applyAdapter(prepareLesson(plain, base, options).forward, adapter));
}

function hasAdapters(trainable: readonly string[]): boolean {
  return trainable.some((name) => name.endsWith('/lora_a'));
}

/** Without the optimiser's moments. */
function only(graph: Graph, tensors: Tensors): Tensors {
  return new Map([...tensors].filter(([name]) => graph.initializers.has(name)));
}
