/**
 * Which weights a fine-tuning strategy lets learn, and how fast each. The rate falls with the distance from the head:
 * Howard & Ruder 2018, "Universal Language Model Fine-tuning", discriminative rates and gradual unfreezing.
 */
import type { Block } from '../autodiff/blocks';
import { HEAD_WEIGHTS } from '../autodiff/new-head';
import type { Graph } from '../onnx/graph';
import type { FineTuneStrategy } from '../protocol/fine-tune';

export interface Trainable {
  /** Names of the initialisers that learn, the head's first: `TrainingOptions.trainable`. */
  readonly weights: readonly string[];
  /** Share of the learning rate for each of them when everything that will learn does. */
  readonly factors: ReadonlyMap<string, number>;
}

/** Blocks that learn, counted from the head, at a 0-based epoch. */
export function openBlocks(strategy: FineTuneStrategy, blocks: number, epoch: number): number {
  switch (strategy.kind) {
    case 'head':
    case 'lora':
      return 0;
    case 'last-blocks':
      return Math.min(strategy.blocks, blocks);
    case 'full':
      return blocks;
    case 'gradual':
      return Math.min(Math.floor(epoch / Math.max(1, strategy.epochsPerBlock)), blocks);
  }
}

/** @param blocks of the body, the last one next to the head (`findHead`) */
export function trainableFor(
  strategy: FineTuneStrategy,
  forward: Graph,
  blocks: readonly Block[],
): Trainable {
  return { ...learning(strategy, forward, blocks, Infinity) };
}

/**
 * Learning-rate factors at an epoch; 0 for weights whose block is still closed. The weights are those of
 * `trainableFor`, in its order, so that nothing is compiled anew when a block opens.
 */
export function factorsAt(
  strategy: FineTuneStrategy,
  forward: Graph,
  blocks: readonly Block[],
  epoch: number,
): ReadonlyMap<string, number> {
  const all = trainableFor(strategy, forward, blocks);
  const open = learning(strategy, forward, blocks, epoch).factors;
  return new Map(all.weights.map((name) => [name, open.get(name) ?? 0]));
}

function learning(
  strategy: FineTuneStrategy,
  forward: Graph,
  blocks: readonly Block[],
  epoch: number,
): Trainable {
  const factors = new Map<string, number>();
  const add = (names: readonly string[], factor: number) => {
    for (const name of names) {
      if (forward.initializers.has(name) && !factors.has(name)) factors.set(name, factor);
    }
  };
  add(HEAD_WEIGHTS, 1);
  if (strategy.kind === 'lora') {
    add(
      [...forward.initializers.keys()].filter((name) => /\/lora_[ab]$/.test(name)),
      1,
    );
  }
  const decay = 'depthDecay' in strategy ? strategy.depthDecay : 1;
  const count = openBlocks(strategy, blocks.length, epoch);
  blocks
    .toReversed()
    .slice(0, count)
    .forEach(({ weights }, index) => add(weights, decay ** (index + 1)));
  return { weights: [...factors.keys()], factors };
}
