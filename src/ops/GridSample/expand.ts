/**
 * GridSample in simpler operators: positions and weights by arithmetic on the grid, pixels by Gather. So gradients
 * for the picture and for the grid come by themselves.
 */
import { sizeOf } from '../../core/dtype';
import type { GraphBuilder } from '../../onnx/builder';
import { attr } from '../../onnx/graph';
import type { Expansion } from '../define';
import { reshapeTo, transpose } from '../gradients';
import { dimAt, stridesOf } from '../shapes';
import { CUBIC_A, gridAxis, gridSettings, OFFSETS } from './settings';
import type { GridAxis, GridSettings } from './settings';

/** Arithmetic on values and numbers, so that formulas read as such. */
class Formula {
  readonly #builder: GraphBuilder;

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  #operand(value: string | number): string {
    return typeof value === 'number' ? this.#builder.scalar(value) : value;
  }

  add(a: string, b: string | number): string {
    return b === 0 ? a : this.#builder.node('Add', [a, this.#operand(b)]);
  }

  sub(a: string | number, b: string | number): string {
    return this.#builder.node('Sub', [this.#operand(a), this.#operand(b)]);
  }

  mul(a: string, b: string | number): string {
    return b === 1 ? a : this.#builder.node('Mul', [a, this.#operand(b)]);
  }

  of(op: string, ...values: readonly (string | number)[]): string {
    return this.#builder.node(
      op,
      values.map((value) => this.#operand(value)),
    );
  }

  /** c₀ + c₁t + c₂t² + …, coefficients from the highest. */
  polynomial(t: string, [first = 0, ...rest]: readonly number[]): string {
    let value: string | undefined;
    for (const coefficient of rest) {
      value = this.add(value === undefined ? this.mul(t, first) : this.mul(value, t), coefficient);
    }
    return value ?? this.#builder.scalar(first);
  }
}

function reflect(f: Formula, x: string, { low, range }: GridAxis): string {
  if (range <= 0) return f.add(f.mul(x, 0), low);
  const distance = f.of('Abs', f.sub(x, low));
  const times = f.of('Floor', f.mul(distance, 1 / range));
  const rest = f.sub(distance, f.mul(times, range));
  const odd = f.sub(times, f.mul(f.of('Floor', f.mul(times, 0.5)), 2));
  const back = f.mul(odd, f.sub(range, f.mul(rest, 2)));
  return f.add(f.add(rest, back), low);
}

/** Keys' kernel at distances 1 + t, t, 1 − t and 2 − t, as polynomials of the fraction. */
function cubicWeights(f: Formula, t: string): string[] {
  const a = CUBIC_A;
  const rest = f.sub(1, t);
  const far = [a, -2 * a, a, 0]; // a(t³ − 2t² + t) is the outer branch at 1 + t
  const near = [a + 2, -(a + 3), 0, 1];
  return [
    f.polynomial(t, far),
    f.polynomial(t, near),
    f.polynomial(rest, near),
    f.polynomial(rest, far),
  ];
}

interface Tap {
  /** Whole numbers within the axis, as floats. */
  readonly index: string;
  /** Undefined: 1. */
  readonly weight: string | undefined;
}

function tapsOf(f: Formula, coordinate: string, axis: GridAxis, settings: GridSettings): Tap[] {
  const { mode, padding } = settings;
  const last = axis.length - 1;
  let x = f.add(f.mul(coordinate, axis.factor), axis.shift);
  if (mode === 'nearest') x = f.of('Round', x);
  if (padding === 'border' && mode !== 'cubic') x = f.of('Clip', x, 0, last);
  if (padding === 'reflection') x = reflect(f, x, axis);
  const below = mode === 'nearest' ? x : f.of('Floor', x);
  let weights: (string | undefined)[] = [undefined];
  if (mode !== 'nearest') {
    const fraction = f.sub(x, below);
    weights = mode === 'linear' ? [f.sub(1, fraction), fraction] : cubicWeights(f, fraction);
  }
  return OFFSETS[mode].map((offset, tap) => {
    let index = f.add(below, offset);
    let weight = weights[tap];
    if (padding === 'zeros') {
      // Distance to the nearest pixel of the axis: 0 inside, a whole number outside.
      const away = f.of('Abs', f.sub(index, f.of('Clip', index, 0, last)));
      const inside = f.sub(1, f.of('Clip', away, 0, 1));
      weight = weight === undefined ? inside : f.mul(weight, inside);
    }
    if (padding === 'reflection') index = f.of('Floor', reflect(f, index, axis));
    return { index: f.of('Clip', index, 0, last), weight };
  });
}

export const gridSampleExpand: Expansion = ({ node, builder, type }) => {
  const [x = '', grid = ''] = node.inputs;
  const settings = gridSettings(node);
  const [batch, channels, ...space] = type(x).dims as [number, number, ...number[]];
  const out = type(grid).dims.slice(1, -1);
  const points = sizeOf(out);
  const plane = sizeOf(space);
  const strides = stridesOf(space);
  const f = new Formula(builder);
  const pixels = reshapeTo(builder, x, [batch, channels, plane]);
  const rows = reshapeTo(builder, transpose(builder, pixels, [0, 2, 1]), [batch * plane, channels]);
  const flat = reshapeTo(builder, grid, [batch, points, space.length]);
  // Pixels of the n-th picture begin at row n · plane.
  const starts = Array.from({ length: batch }, (_, n) => n * plane);
  const first = builder.constant('float32', [batch, 1, 1], starts);
  let corners: Tap[] = [{ index: first, weight: undefined }];
  space.forEach((length, a) => {
    const at = space.length - 1 - a;
    const coordinate = builder.node('Slice', [
      flat,
      builder.ints([at]),
      builder.ints([at + 1]),
      builder.ints([2]),
    ]); // [batch, points, 1]
    const taps = tapsOf(f, coordinate, gridAxis(length, settings), settings);
    corners = corners.flatMap((corner) =>
      taps.map(({ index, weight }) => ({
        index: f.add(corner.index, f.mul(index, dimAt(strides, a))),
        weight:
          corner.weight === undefined || weight === undefined
            ? (corner.weight ?? weight)
            : f.mul(corner.weight, weight),
      })),
    );
  });
  const terms = corners.map(({ index, weight }) => {
    const whole = builder.node('Cast', [reshapeTo(builder, index, [batch, points])], {
      to: attr.int(7),
    });
    const found = builder.node('Gather', [rows, whole], { axis: attr.int(0) });
    return weight === undefined ? found : f.mul(found, weight); // [batch, points, channels]
  });
  const sum = terms.reduce((total, term) => f.add(total, term));
  const planes = transpose(builder, sum, [0, 2, 1]);
  return [reshapeTo(builder, planes, [batch, channels, ...out])];
};
