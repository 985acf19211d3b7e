/**
 * Where learning begins: a forward graph in two, the part that stays as it is and the part from the first weight
 * that learns. The first part need look at each row only once.
 */
import type { Block } from '../autodiff/blocks';
import { sizeOf } from '../core/dtype';
import { pruneUnused, renameValues, withOutputs } from '../onnx/compose';
import type { Graph } from '../onnx/graph';
import { infer } from '../ops/infer-shapes';

export interface LessonSplit {
  /** `features` to one value. */
  readonly body: Graph;
  /** That value, called `features`, to `logits`. */
  readonly learned: Graph;
  /** Numbers of the value for each row. */
  readonly width: number;
}

/** null where learning begins at the input, or where more than one value leads across. */
export function splitLesson(
  forward: Graph,
  blocks: readonly Block[],
  trainable: readonly string[],
): LessonSplit | null {
  const learning = new Set(trainable.map((name) => name.replace(/\/lora_[ab]$/, '')));
  const first = blocks.findIndex(({ weights }) => weights.some((name) => learning.has(name)));
  if (first === 0) return null;
  const value = first < 0 ? 'embedding' : (blocks[first - 1]?.output ?? '');
  const dims = infer(forward).types.get(value)?.dims ?? [];
  const row = dims.slice(1).map(Number);
  if (dims.length < 2 || !row.every(Number.isSafeInteger)) return null;
  const type = { dtype: 'float32', dims: ['batch', ...row] } as const;
  const body = pruneUnused(withOutputs(forward, [{ name: value, ...type }]));
  const before = new Set(body.nodes.map(({ name }) => name));
  const made = new Set(body.nodes.flatMap(({ outputs }) => outputs));
  const nodes = forward.nodes.filter(({ name }) => !before.has(name));
  const crossing = nodes.flatMap(({ inputs }) => inputs).filter((name) => made.has(name));
  if (crossing.some((name) => name !== value)) return null;
  const rest = { ...forward, inputs: [{ name: value, ...type }], nodes, valueInfo: new Map() };
  const learned = renameValues(pruneUnused(rest), new Map([[value, 'features']]));
  return { body, learned, width: sizeOf(row) };
}
