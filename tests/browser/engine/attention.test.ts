/** Attention without its table of scores, forward and backward, in every form: layouts, shared heads, odd lengths. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr } from '../../../src/onnx/graph';
import type { Tensor } from '../../../src/onnx/graph';
import { closeForms, expectForms, expectRepeats, floats, graphOf, openForms } from './kernel-forms';
import type { Form } from './kernel-forms';

let forms: Form[];
let large: Form[];
beforeAll(async () => {
  forms = await openForms({
    'four queries a thread': { software: true, variant: 'threads' },
    'tiles of 8': { software: false, variant: '8x8' },
  });
  // Emulated GPUs take minutes to compile the largest tiles, which are the same code with other numbers.
  large = await openForms({
    'tiles of 16 by 8': { software: false, variant: '16x8' },
    'tiles of 16': { software: false, variant: '16x16' },
  });
});
afterAll(() => {
  closeForms([...forms, ...large]);
});

interface Case {
  readonly layout: 'flat' | 'by heads';
  readonly batch: number;
  readonly heads: readonly [queries: number, keys: number];
  readonly lengths: readonly [queries: number, keys: number];
  readonly sizes: readonly [keys: number, values: number];
  readonly causal: boolean;
}

const CASES: readonly Case[] = [
  { layout: 'flat', batch: 2, heads: [3, 3], lengths: [5, 5], sizes: [4, 4], causal: true },
  { layout: 'by heads', batch: 2, heads: [4, 2], lengths: [37, 37], sizes: [8, 8], causal: true },
  { layout: 'flat', batch: 1, heads: [2, 1], lengths: [33, 45], sizes: [12, 20], causal: false },
  { layout: 'by heads', batch: 1, heads: [2, 2], lengths: [3, 41], sizes: [7, 5], causal: true },
  { layout: 'by heads', batch: 1, heads: [2, 2], lengths: [41, 3], sizes: [7, 5], causal: true },
  { layout: 'flat', batch: 1, heads: [1, 1], lengths: [19, 19], sizes: [20, 20], causal: true },
];

async function expectCase(of: Case, checked: readonly Form[]): Promise<void> {
  const { layout, batch, heads, lengths, sizes, causal } = of;
  const tensor = (head: number, length: number, size: number, seed: number): Tensor => {
    const dims = layout === 'flat' ? [batch, length, head * size] : [batch, head, length, size];
    return floats(dims, 1.5, 0, seed);
  };
  const [queryHeads, keyHeads] = heads;
  const [queries, keys] = lengths;
  const [size, valueSize] = sizes;
  const q = tensor(queryHeads, queries, size, 1);
  const k = tensor(keyHeads, keys, size, 2);
  const v = tensor(keyHeads, keys, valueSize, 3);
  const attributes = {
    q_num_heads: attr.int(queryHeads),
    kv_num_heads: attr.int(keyHeads),
    scale: attr.float(0.4),
    is_causal: attr.int(causal ? 1 : 0),
  };
  await expectForms(checked, { op: 'Attention', inputs: [q, k, v], attributes });
  const forward = {
    op: 'AttentionTrain',
    inputs: [q, k, v],
    outputs: 2,
    attributes,
    training: true,
  };
  await expectForms(checked, forward);
  const graph = graphOf(forward);
  const made = runGraph(graph, new Map([q, k, v].map((each, at) => [`in${at}`, each])));
  const [y, lse] = graph.outputs.map(({ name }) => made.get(name));
  if (!y || !lse) throw new Error('The reference gave no attention.');
  const inputs = [tensor(queryHeads, queries, valueSize, 4), q, k, v, y, lse];
  if (checked === forms && batch === 2 && queryHeads === 3) await expectRepeats(checked, forward);
  const backward = { op: 'AttentionGrad', inputs, outputs: 3, attributes, training: true };
  await expectForms(checked, backward);
}

describe.each(CASES)(
  '$layout, heads $heads, lengths $lengths, sizes $sizes, causal $causal',
  (of) => {
    it('agrees with the reference in every form', () => expectCase(of, forms));
  },
);

it('takes heads of 128 numbers', async () => {
  const common = { layout: 'flat', batch: 1, heads: [1, 1], causal: true } as const;
  const [first] = forms;
  if (first) await expectCase({ ...common, lengths: [9, 9], sizes: [128, 128] }, [first]);
});

it('agrees in larger tiles', async () => {
  const sizes = [7, 5] as const;
  const common = { layout: 'flat', batch: 1, heads: [2, 1], sizes, causal: true } as const;
  await expectCase({ ...common, lengths: [41, 41] }, large);
});
