/**
 * Gradients of normalisations, losses, Einsum and dequantised products over random shapes and attributes. These
 * operators have no rule of their own: what is differentiated is their expansion, what is shifted their kernel.
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { attr } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { given, randomNumbers, uniform } from '../../support/calls';
import type { Argument } from '../../support/calls';
import { checkGradients, seeds, shapeWithAxis } from '../../support/gradient-check';

const CONSTANTS = { tolerance: 2e-5 };
const text = (name: string, value: string): Record<string, Attribute> => ({
  [name]: attr.string(value),
});

describe('normalisations', () => {
  it.each(['LayerNormalization', 'RMSNormalization'])('%s from any axis', (op) => {
    fc.assert(
      fc.property(shapeWithAxis(1, 4), seeds, fc.boolean(), ({ dims, axis }, seed, biased) => {
        const random = randomNumbers(seed);
        const layer = op === 'LayerNormalization';
        const from = axis < 0 ? axis + dims.length : axis;
        const scale = dims.slice(from);
        // Of few elements the variance is almost 0, and the curvature beyond any difference quotient.
        if (scale.reduce((a, b) => a * b, 1) < 3) return;
        const inputs = [uniform(random, dims, -2, 2), uniform(random, scale)];
        if (layer && biased) inputs.push(uniform(random, scale));
        const attributes = { axis: attr.int(axis), epsilon: attr.float(0.1) };
        checkGradients({ op, inputs, attributes, outputs: layer ? 3 : 1 }, { seed, ...CONSTANTS });
      }),
      { numRuns: 20 },
    );
  });

  it.each([
    ['InstanceNormalization', 4, {}],
    ['GroupNormalization', 4, { num_groups: attr.int(2) }],
    ['GroupNormalization', 6, { num_groups: attr.int(3) }],
  ] as const)('%s of %i channels', (op, channels, attributes) => {
    const random = randomNumbers(6);
    for (const space of [[5], [3, 2], [2, 1, 3]]) {
      checkGradients(
        {
          op,
          inputs: [
            uniform(random, [2, channels, ...space], -2, 2),
            uniform(random, [channels]),
            uniform(random, [channels]),
          ],
          attributes: { ...attributes, epsilon: attr.float(0.1) },
        },
        CONSTANTS,
      );
    }
  });

  it('BatchNormalization in training mode', () => {
    const random = randomNumbers(8);
    const fixed = (low: number): Argument => ({ ...uniform(random, [3], low, 2), constant: true });
    checkGradients(
      {
        op: 'BatchNormalization',
        inputs: [
          uniform(random, [4, 3, 2]),
          uniform(random, [3]),
          uniform(random, [3]),
          fixed(-1),
          fixed(0.5),
        ],
        attributes: { training_mode: attr.int(1), epsilon: attr.float(0.1) },
        outputs: 3,
      },
      { ...CONSTANTS, outputs: [0] },
    );
  });

  it('LpNormalization, MeanVarianceNormalization, LRN', () => {
    const random = randomNumbers(2);
    const x = uniform(random, [2, 5, 3, 2], 0.5, 2);
    for (const p of [1, 2]) {
      for (const axis of [-1, 1]) {
        const attributes = { p: attr.int(p), axis: attr.int(axis) };
        checkGradients({ op: 'LpNormalization', inputs: [x], attributes }, CONSTANTS);
      }
    }
    checkGradients({ op: 'MeanVarianceNormalization', inputs: [x] }, CONSTANTS);
    const axes = { axes: attr.ints([-1, 1]) };
    checkGradients({ op: 'MeanVarianceNormalization', inputs: [x], attributes: axes }, CONSTANTS);
    for (const size of [1, 2, 3, 4]) {
      const attributes = { size: attr.int(size), alpha: attr.float(0.5), bias: attr.float(2) };
      checkGradients({ op: 'LRN', inputs: [x], attributes }, CONSTANTS);
    }
  });
});

describe('losses', () => {
  const settings = fc.record({
    space: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    classes: fc.integer({ min: 2, max: 4 }),
    reduction: fc.constantFrom('none', 'sum', 'mean'),
    weighted: fc.boolean(),
    ignore: fc.constantFrom(undefined, 1, -1, 7),
    seed: seeds,
  });

  it.each(['NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'])('%s', (op) => {
    fc.assert(
      fc.property(settings, ({ space, classes, reduction, weighted, ignore, seed }) => {
        const random = randomNumbers(seed);
        const batch = 3;
        const size = space.reduce((a, b) => a * b, batch);
        const labels = Array.from({ length: size }, (_, i) =>
          // The first target counts always: a mean over nothing is not a number.
          i > 0 && ignore !== undefined && random() < 0.3 ? ignore : i === 0 ? 0 : i % classes,
        );
        const inputs = [
          uniform(random, [batch, classes, ...space], -2, 2),
          given('int64', [batch, ...space], labels),
          ...(weighted ? [uniform(random, [classes], 0.5, 2)] : []),
        ];
        const attributes = {
          ...text('reduction', reduction),
          ...(ignore === undefined ? {} : { ignore_index: attr.int(ignore) }),
        };
        const outputs = op === 'SoftmaxCrossEntropyLoss' ? 2 : 1;
        checkGradients({ op, inputs, attributes, outputs }, { seed, ...CONSTANTS });
      }),
      { numRuns: 25 },
    );
  });
});

describe('products', () => {
  it.each([
    [
      'ij,jk->ik',
      [
        [2, 3],
        [3, 4],
      ],
    ],
    [
      'ij,jk',
      [
        [2, 3],
        [3, 4],
      ],
    ],
    [
      'bij,bjk->bik',
      [
        [2, 2, 3],
        [2, 3, 2],
      ],
    ],
    [
      '...ij,...jk->...ik',
      [
        [2, 1, 2, 3],
        [3, 3, 2],
      ],
    ],
    ['...ii->...i', [[2, 3, 3]]],
    ['ii', [[3, 3]]],
    ['ij->ji', [[2, 3]]],
    ['ij->', [[2, 3]]],
    ['i,j,k->kji', [[2], [3], [2]]],
    [
      'bhqd,bhkd->bhqk',
      [
        [1, 2, 3, 2],
        [1, 2, 2, 2],
      ],
    ],
    [
      'ij,ij,jk->k',
      [
        [2, 3],
        [2, 3],
        [3, 2],
      ],
    ],
    [
      'ik,jk->ij',
      [
        [2, 1],
        [3, 4],
      ],
    ],
    [
      'b...,c...->bc...',
      [
        [2, 3],
        [4, 3],
      ],
    ],
    [
      'iij,jj->i',
      [
        [2, 2, 3],
        [3, 3],
      ],
    ],
  ])('Einsum %s', (equation, dims) => {
    const random = randomNumbers(equation.length);
    const inputs = dims.map((each) => uniform(random, each));
    checkGradients({ op: 'Einsum', inputs, attributes: text('equation', equation) });
  });

  it('MatMulNBits: of the activations, the scales and the bias', () => {
    const random = randomNumbers(5);
    for (const [bits, inner] of [
      [4, 32],
      [4, 23],
      [8, 20],
      [2, 32],
    ] as const) {
      const block = 16;
      const blocks = Math.ceil(inner / block);
      const bytes = Array.from({ length: 3 * blocks * ((block * bits) / 8) }, () =>
        Math.floor(random() * 256),
      );
      const zeros = Math.ceil((blocks * bits) / 8);
      checkGradients({
        op: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: [
          uniform(random, [2, inner]),
          given('uint8', [3, blocks, (block * bits) / 8], bytes, true),
          uniform(random, [3, blocks], 0.1, 0.3),
          given('uint8', [3, zeros], bytes.slice(0, 3 * zeros), true),
          undefined,
          uniform(random, [3]),
        ],
        attributes: {
          K: attr.int(inner),
          N: attr.int(3),
          bits: attr.int(bits),
          block_size: attr.int(block),
        },
      });
    }
  });

  it('DequantizeLinear: of the scale, for the tensor, an axis and blocks', () => {
    const random = randomNumbers(7);
    const codes = given('int8', [2, 5], [1, -3, 100, 4, 5, -90, 8, 7, 0, 11], true);
    const zero = (dims: readonly number[]): Argument =>
      given(
        'int8',
        dims,
        Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i),
        true,
      );
    const cases: readonly [readonly number[], Record<string, Attribute>][] = [
      [[], {}],
      [[5], { axis: attr.int(1) }],
      [[2], { axis: attr.int(-2) }],
      [[2, 3], { axis: attr.int(1), block_size: attr.int(2) }],
    ];
    for (const [dims, attributes] of cases) {
      const inputs = [codes, uniform(random, dims, 0.1, 1), zero(dims)];
      checkGradients({ op: 'DequantizeLinear', inputs, attributes });
    }
  });
});
