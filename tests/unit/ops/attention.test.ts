/** Attention and RotaryEmbedding against onnxruntime, their own expansion and central differences. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attr } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { callGraph, evaluate, given, randomNumbers, uniform } from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { checkGradients } from '../../support/gradient-check';
import { expectAsExpanded, expectAsOnnxRuntime } from '../../support/oracle';

interface Settings {
  readonly flat: boolean;
  readonly batch: number;
  readonly heads: number;
  readonly group: number;
  readonly queries: number;
  readonly keys: number;
  readonly past: number;
  readonly size: number;
  readonly valueSize: number;
  readonly mask: 'none' | 'bool' | 'float';
  readonly maskRank: number;
  readonly causal: boolean;
  readonly softcap: number;
  readonly scale: number | null;
  readonly mode: number;
  readonly seed: number;
}

const settingsArbitrary: fc.Arbitrary<Settings> = fc.record({
  flat: fc.boolean(),
  batch: fc.integer({ min: 1, max: 2 }),
  heads: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 2 }),
  queries: fc.integer({ min: 1, max: 3 }),
  keys: fc.integer({ min: 1, max: 3 }),
  past: fc.integer({ min: 0, max: 2 }),
  size: fc.integer({ min: 1, max: 3 }),
  valueSize: fc.integer({ min: 1, max: 3 }),
  mask: fc.constantFrom('none', 'bool', 'float'),
  maskRank: fc.integer({ min: 2, max: 4 }),
  causal: fc.boolean(),
  softcap: fc.constantFrom(0, 0.75),
  scale: fc.constantFrom(null, 0.5, 1),
  mode: fc.integer({ min: 0, max: 3 }),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
});

function callOf(settings: Settings): Call {
  const { flat, batch, heads, group, queries, keys, past, size, valueSize, seed } = settings;
  const random = randomNumbers(seed);
  const dims = (own: number, sequence: number, each: number) =>
    flat ? [batch, sequence, own * each] : [batch, own, sequence, each];
  const total = past + keys;
  const maskDims = [batch, heads * group, queries, total].slice(4 - settings.maskRank);
  let mask: Argument | undefined;
  if (settings.mask === 'float') mask = uniform(random, maskDims);
  if (settings.mask === 'bool') {
    const size = maskDims.reduce((a, b) => a * b, 1);
    // The first key is open to all: what else there is to say is said below.
    mask = given(
      'bool',
      maskDims,
      Array.from({ length: size }, (_, i) => (i % total === 0 || random() < 0.6 ? 1 : 0)),
    );
  }
  const cache = (each: number) =>
    past === 0 ? undefined : uniform(random, [batch, heads, past, each]);
  const attributes: Record<string, Attribute> = {
    is_causal: attr.int(settings.causal ? 1 : 0),
    softcap: attr.float(settings.softcap),
    qk_matmul_output_mode: attr.int(settings.mode),
  };
  if (flat) {
    attributes['q_num_heads'] = attr.int(heads * group);
    attributes['kv_num_heads'] = attr.int(heads);
  }
  if (settings.scale !== null) attributes['scale'] = attr.float(settings.scale);
  const inputs = [
    uniform(random, dims(heads * group, queries, size)),
    uniform(random, dims(heads, keys, size)),
    uniform(random, dims(heads, keys, valueSize)),
    mask,
    cache(size),
    cache(valueSize),
  ];
  while (inputs.at(-1) === undefined) inputs.pop();
  return { op: 'Attention', inputs, attributes, outputs: 4 };
}

describe('Attention', () => {
  it('as its expansion', () => {
    fc.assert(
      fc.property(settingsArbitrary, (settings) => expectAsExpanded(callOf(settings), 1e-6)),
      { numRuns: 150 },
    );
  });

  it('as onnxruntime', () =>
    fc.assert(
      fc.asyncProperty(settingsArbitrary, (settings) => {
        // With earlier keys this onnxruntime still aligns causal masks as the standard's first text did.
        const causal = settings.causal && settings.past === 0;
        return expectAsOnnxRuntime(callOf({ ...settings, causal }), 1e-4);
      }),
      { numRuns: 60 },
    ));

  it('gradients', () => {
    fc.assert(
      fc.property(settingsArbitrary, (settings) => {
        // What a mask closes is minus infinity in the second mode, which has no differences.
        const mode = settings.mode === 2 ? 0 : settings.mode;
        checkGradients(callOf({ ...settings, mode }), { elements: 4 });
      }),
      { numRuns: 12 },
    );
  });

  it('gives zeros to a query that no key is open to', () => {
    const random = randomNumbers(3);
    const closed: Call = {
      op: 'Attention',
      inputs: [
        uniform(random, [1, 1, 2, 2]),
        uniform(random, [1, 1, 3, 2]),
        uniform(random, [1, 1, 3, 2]),
        given('bool', [2, 3], [0, 0, 0, 1, 0, 1]),
      ],
    };
    expect(Array.from(evaluate(closed)[0]?.data.subarray(0, 2) ?? [])).toEqual([0, 0]);
    expectAsExpanded(closed, 1e-6);
    const infinite = given('float32', [2, 3], [-Infinity, -Infinity, -Infinity, 0, 1, -Infinity]);
    expectAsExpanded({ ...closed, inputs: [...closed.inputs.slice(0, 3), infinite] }, 1e-6);
  });

  it('closes the keys that a shorter mask does not name', () => {
    const random = randomNumbers(4);
    const [q, k, v] = [2, 4, 4].map((length) => uniform(random, [1, 2, length, 2]));
    for (const mask of [given('bool', [2, 3], [1, 1, 1, 0, 1, 1]), uniform(random, [2, 3])]) {
      const call: Call = { op: 'Attention', inputs: [q, k, v, mask] };
      expectAsExpanded(call, 1e-6);
      const open = { ...call, inputs: [q, k, v] };
      expect(evaluate(call)[0]?.data).not.toEqual(evaluate(open)[0]?.data);
    }
  });

  it('refuses heads that do not divide', () => {
    const random = randomNumbers(5);
    const [q, k, v] = [3, 2, 2].map((heads) => uniform(random, [1, heads, 2, 2]));
    expect(() => evaluate({ op: 'Attention', inputs: [q, k, v] })).toThrow(/heads of Q/);
  });
});

const rotaryArbitrary = fc.record({
  flat: fc.boolean(),
  batch: fc.integer({ min: 1, max: 2 }),
  heads: fc.integer({ min: 1, max: 2 }),
  sequence: fc.integer({ min: 1, max: 3 }),
  half: fc.integer({ min: 1, max: 3 }),
  rest: fc.integer({ min: 0, max: 1 }),
  interleaved: fc.boolean(),
  positions: fc.boolean(),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
});

function rotaryOf(
  settings: typeof rotaryArbitrary extends fc.Arbitrary<infer T> ? T : never,
): Call {
  const { flat, batch, heads, sequence, half, rest, interleaved, positions, seed } = settings;
  const random = randomNumbers(seed);
  const size = 2 * (half + rest);
  const table = 5;
  const cache = () => uniform(random, positions ? [table, half] : [batch, sequence, half]);
  const chosen = Array.from({ length: batch * sequence }, () => Math.floor(random() * table));
  const attributes: Record<string, Attribute> = { interleaved: attr.int(interleaved ? 1 : 0) };
  if (rest > 0) attributes['rotary_embedding_dim'] = attr.int(2 * half);
  if (flat || rest > 0) attributes['num_heads'] = attr.int(heads);
  return {
    op: 'RotaryEmbedding',
    inputs: [
      uniform(random, flat ? [batch, sequence, heads * size] : [batch, heads, sequence, size]),
      cache(),
      cache(),
      ...(positions ? [given('int64', [batch, sequence], chosen)] : []),
    ],
    attributes,
  };
}

describe('RotaryEmbedding', () => {
  it('as its expansion', () => {
    fc.assert(
      fc.property(rotaryArbitrary, (settings) => expectAsExpanded(rotaryOf(settings))),
      { numRuns: 60 },
    );
  });

  it('as onnxruntime', () =>
    fc.assert(
      fc.asyncProperty(rotaryArbitrary, (settings) => expectAsOnnxRuntime(rotaryOf(settings))),
      { numRuns: 40 },
    ));

  it('gradients', () => {
    fc.assert(
      fc.property(rotaryArbitrary, (settings) =>
        checkGradients(rotaryOf(settings), { elements: 6 }),
      ),
      { numRuns: 15 },
    );
  });

  it('refuses an odd width', () => {
    const random = randomNumbers(1);
    const [x, c, s] = [
      [1, 1, 2, 3],
      [1, 2, 1],
      [1, 2, 1],
    ].map((dims) => uniform(random, dims));
    expect(() => evaluate({ op: 'RotaryEmbedding', inputs: [x, c, s] })).toThrow(/pairs/);
    expect(() => callGraph({ op: 'RotaryEmbedding', inputs: [c, c, s] })).not.toThrow();
  });
});
