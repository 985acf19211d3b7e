/** What of a pretrained body would learn, counted from its summary: pure arithmetic, light enough for the page. */
import type { FineTuneStrategy, PretrainedBlueprint } from '../protocol/fine-tune';
import type { PretrainedBlock, PretrainedCut, PretrainedSummary } from '../protocol/pretrained';

export interface LearningBlock {
  readonly name: string;
  readonly operators: readonly string[];
  /** Numbers in it, and how many of them learn (adapters included). */
  readonly numbers: number;
  readonly learning: number;
}

export interface Learning {
  /** From the input to the cut. */
  readonly blocks: readonly LearningBlock[];
  readonly cut: PretrainedCut | null;
  readonly head: number;
  readonly body: number;
  /** All that learns, and all that there is. */
  readonly total: number;
  readonly numbers: number;
}

/** The place that a blueprint cuts at. */
export function cutOf(
  { cuts }: PretrainedSummary,
  { cut }: Pick<PretrainedBlueprint, 'cut'>,
): PretrainedCut | null {
  return cuts.find(({ value }) => value === cut) ?? cuts[0] ?? null;
}

export function learningOf(
  summary: PretrainedSummary,
  blueprint: PretrainedBlueprint,
  outputs: number,
): Learning {
  const cut = cutOf(summary, blueprint);
  const kept = summary.blocks.slice(0, cut?.blocks ?? summary.blocks.length);
  const { strategy } = blueprint;
  const open = openBlocks(strategy, kept.length);
  const blocks = kept.map((block, index): LearningBlock => {
    const numbers = block.weights.reduce((sum, weight) => sum + weight.numbers, 0);
    const whole = kept.length - index <= open;
    const learning = strategy.kind === 'lora' ? adaptersOf(block, strategy) : whole ? numbers : 0;
    return { name: block.name, operators: block.operators, numbers, learning };
  });
  const head = headNumbers(cut?.features ?? 0, blueprint.head.hidden, outputs);
  const body = blocks.reduce((sum, { learning }) => sum + learning, 0);
  const numbers = blocks.reduce((sum, block) => sum + block.numbers, head);
  return { blocks, cut, head, body, total: head + body, numbers };
}

/** Blocks that learn as a whole once everything that will learn does, counted from the head. */
function openBlocks(strategy: FineTuneStrategy, blocks: number): number {
  if (strategy.kind === 'last-blocks') return Math.min(strategy.blocks, blocks);
  return strategy.kind === 'full' || strategy.kind === 'gradual' ? blocks : 0;
}

function headNumbers(features: number, hidden: number, outputs: number): number {
  const dense = (into: number, out: number) => into * out + out;
  return hidden > 0 ? dense(features, hidden) + dense(hidden, outputs) : dense(features, outputs);
}

function adaptersOf(
  { weights }: PretrainedBlock,
  { rank, targets }: Extract<FineTuneStrategy, { kind: 'lora' }>,
): number {
  const matches = patternOf(targets);
  return weights
    .filter(({ name, node }) => matches(name) || matches(node))
    .reduce((sum, { matrix }) => sum + (matrix ? rank * (matrix[0] + matrix[1]) : 0), 0);
}

/** `*` is any text; several patterns by comma. */
function patternOf(pattern: string): (name: string) => boolean {
  const parts = pattern
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const pieces = part.split('*').map((piece) => piece.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
      return new RegExp(`^${pieces.join('.*')}$`, 's');
    });
  return (name) => parts.some((part) => part.test(name));
}
