/**
 * Convolution and its gradients as matrix products whose second matrix, the columns of windows (Chellapilla, Puri &
 * Simard 2006), is never written out: its elements are read from the picture where the sums need them.
 *
 *   forward         y[o, (n, p)]  = Σ over (c, k) of w[o, (c, k)] · x[n, c, p · stride + k · dilation − before]
 *   input gradient  dx[c, (n, i)] = Σ over (o, k) of w[o, c, k] · dy[n, o, (i + before − k · dilation) / stride]
 *   weight gradient dw[o, (c, k)] = Σ over (n, p) of dy[n, o, p] · x[n, c, p · stride + k · dilation − before]
 *
 * Groups are matrices side by side.
 */
import type { DeviceTensor } from '../lowering/plan';
import { coordinates } from '../lowering/window';
import type { DeviceAxis } from '../lowering/window';
import type { Operand, Sums } from '../MatMul/registers';
import { sizesOf } from './shape';
import type { ConvShape } from './shape';

/** A place on one axis of the picture that is read: where, and whether it exists. */
interface Place {
  readonly lets: string;
  /** undefined: always. */
  readonly inside: string | undefined;
  readonly at: string;
}

/** `base` plus steps, named after `name`; clamped, so that what does not exist can be read and dropped. */
function place(name: string, value: string, length: number, certain: boolean): Place {
  if (certain) return { lets: `let ${name} = ${value};`, inside: undefined, at: name };
  return {
    lets: `let ${name}_raw = ${value};
let ${name} = clamp(${name}_raw, 0, ${length - 1});`,
    inside: `(${name}_raw == ${name})`,
    at: name,
  };
}

/** Input position under output `out` and tap `tap`; `start` is `out · stride − before` or `tap · dilation − before`. */
function forwardPlace(axis: DeviceAxis, name: string, value: string): Place {
  const { before, input, output, stride, kernel, dilation } = axis;
  const certain = before <= 0 && (output - 1) * stride + (kernel - 1) * dilation - before < input;
  return place(name, value, input, certain);
}

/** Output position whose window has `from / stride` as its place. */
function backwardPlace(axis: DeviceAxis, name: string, value: string): Place {
  const { stride, output } = axis;
  if (stride === 1) return place(name, value, output, false);
  return {
    lets: `let ${name}_raw = ${value};
let ${name} = clamp(${name}_raw / ${stride}, 0, ${output - 1});`,
    inside: `(${name}_raw == ${name} * ${stride})`,
    at: name,
  };
}

const allOf = (places: readonly Place[]): string | undefined => {
  const tests = places.map(({ inside }) => inside).filter((test) => test !== undefined);
  return tests.length === 0 ? undefined : tests.join(' & ');
};

const letsOf = (places: readonly Place[]): string => places.map(({ lets }) => lets).join('\n');

const guarded = (value: string, test: string | undefined): string =>
  test === undefined ? value : `select(0.0, ${value}, ${test})`;

const sum = (terms: readonly string[]): string => terms.filter((term) => term !== '').join(' + ');

/** Tap number from its coordinates `k…`, and the coordinates from the number. */
const tapNumber = (axes: readonly DeviceAxis[]): string =>
  axes.reduce(
    (below, { name, kernel }) => (below === '' ? `k${name}` : `(${below}) * ${kernel} + k${name}`),
    '',
  );

function tapCoordinates(axes: readonly DeviceAxis[], prefix: string, tap: string): string {
  let below = 1;
  const lines = axes.toReversed().map(({ name, kernel }) => {
    const shifted = below === 1 ? tap : `(${tap} / ${below})`;
    below *= kernel;
    return `let ${prefix}k${name} = ${shifted} % ${kernel};`;
  });
  return lines.join('\n');
}

/** Fewer channels than this, and the innermost loop walks the last axis of the taps instead. */
const FEW_CHANNELS = 4;

/** What forward and input gradient have in common: a picture that is read under taps, channel by channel. */
interface Gather {
  readonly shape: ConvShape;
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly output: readonly number[];
  /** Slots of the picture and the weight in `inputs`. */
  readonly picture: 0 | 1;
  readonly rows: number;
  /** Channels that are summed over. */
  readonly depth: number;
  /** Channels of the picture, and elements of one of its and of the output's planes. */
  readonly channels: number;
  readonly sourcePlane: number;
  readonly outputPlane: number;
  readonly sourceStep: (axis: DeviceAxis) => number;
  /** WGSL of the output's coordinates of `pixel`, named `o…` or `i…`. */
  readonly of: 'o' | 'i';
  /** Where tap 0 lies, before clamping, and how far the next is. */
  readonly start: (axis: DeviceAxis) => string;
  readonly tapStep: (axis: DeviceAxis) => number;
  readonly place: (axis: DeviceAxis, name: string, value: string) => Place;
  /** Strides of the weight. */
  readonly weightRow: number;
  readonly weightDepth: number;
}

function gathered(gather: Gather): Sums {
  const { shape, rows, depth, channels, sourcePlane, outputPlane, picture } = gather;
  const { axes, taps, batch, groups } = { ...sizesOf(shape), groups: shape.groups };
  const last = axes.at(-1);
  const channelsInside = depth >= FEW_CHANNELS || last === undefined || last.kernel === 1;
  const [x, w] = [`x${picture}`, `x${1 - picture}`];
  const looped = channelsInside ? axes : axes.slice(0, -1);
  const loop = (name: string, count: number): string =>
    `for (var ${name} = 0; ${name} < ${count}; ${name}++) {`;
  const tapLoops = looped.map(({ name, kernel }) => loop(`k${name}`, kernel));
  const tapPlace = (axis: DeviceAxis, register: string, tap: string, suffix = ''): Place => {
    const step = gather.tapStep(axis);
    const at = `${register}_${axis.name}0 + (${tap}) * (${step})`;
    return gather.place(axis, `${register}_${axis.name}${suffix}`, at);
  };
  const address = (places: readonly Place[], over: readonly DeviceAxis[]): string =>
    sum(over.map((axis, at) => `${places[at]?.at ?? '0'} * ${gather.sourceStep(axis)}`));
  const weights: Operand = {
    prepare: (register, line) =>
      `let ${register}_start = n * ${weightGroup(shape)} + (${line}) * ${gather.weightRow};`,
    enter: (register) =>
      `let ${register}_tap = ${sum([
        `${register}_start`,
        channelsInside ? 'tap' : `c * ${gather.weightDepth} + tap`,
      ])};`,
    step: (register) =>
      `let ${register}_at = ${register}_tap + k * ${channelsInside ? gather.weightDepth : 1};`,
    load: (register, ahead) =>
      `${w}(${register}_at + ${ahead * (channelsInside ? gather.weightDepth : 1)})`,
    along: 'inner',
    element: (register, inner) => ({
      lets: '',
      value:
        gather.weightDepth === taps
          ? `${w}(${register}_start + ${inner})`
          : `${w}(${register}_start + (${inner} / ${taps}) * ${gather.weightDepth} + ${inner} % ${taps})`,
    }),
  };
  const columns: Operand = {
    prepare: (register, line) => `let ${register}_line = ${line};
let ${register}_image = ((${register}_line / ${outputPlane}) * ${channels} + n * ${depth}) * ${sourcePlane};
${coordinates(axes, gather.of, `(${register}_line % ${outputPlane})`)
  .replaceAll(/let (\w+) =/g, `let ${register}_$1 =`)
  .trim()}
${axes.map((axis) => `let ${register}_${axis.name}0 = ${register}_${gather.of}${axis.name} ${gather.start(axis)};`).join('\n')}`,
    enter: (register) => {
      const places = looped.map((axis) => tapPlace(axis, register, `k${axis.name}`));
      const test = allOf(places);
      return `${letsOf(places)}
${test === undefined ? '' : `let ${register}_inside = ${test};`}
let ${register}_tap = ${sum([
        `${register}_image`,
        channelsInside ? '' : `c * ${sourcePlane}`,
        address(places, looped),
      ])};`;
    },
    step: (register) =>
      channelsInside ? `let ${register}_at = ${register}_tap + k * ${sourcePlane};` : '',
    load: (register, ahead) => {
      const outside = looped.map((axis) => tapPlace(axis, register, `k${axis.name}`));
      const known = allOf(outside) === undefined ? [] : [`${register}_inside`];
      if (channelsInside || !last) {
        const value = `${x}(${register}_at + ${ahead * sourcePlane})`;
        return guarded(value, known[0]);
      }
      const here = tapPlace(last, register, `k + ${ahead}`, `_${ahead}`);
      const tests = [...known, ...(here.inside === undefined ? [] : [here.inside])];
      const value = `${x}(${register}_tap + ${here.at} * ${gather.sourceStep(last)})`;
      return guarded(value, tests.length === 0 ? undefined : tests.join(' & '));
    },
    ahead: (register, ahead) =>
      channelsInside || !last ? '' : tapPlace(last, register, `k + ${ahead}`, `_${ahead}`).lets,
    along: 'line',
    element: (register, inner) => {
      const places = axes.map((axis) =>
        tapPlace(axis, register, `${register}_k${axis.name}`, '_here'),
      );
      return {
        lets: `${tapCoordinates(axes, `${register}_`, inner)}\n${letsOf(places)}`,
        value: guarded(
          `${x}(${register}_image + (${inner} / ${taps}) * ${sourcePlane} + ${address(places, axes)})`,
          allOf(places),
        ),
      };
    },
  };
  const outerTap = tapNumber(looped);
  return {
    label: gather.label,
    inputs: gather.inputs,
    output: { dtype: 'float32', dims: gather.output },
    batch: groups,
    rows,
    columns: batch * outputPlane,
    outer: channelsInside ? tapLoops : [loop('c', depth), ...tapLoops],
    settle: channelsInside
      ? `let tap = ${outerTap};`
      : `let tap = ${outerTap === '' ? '0' : `(${outerTap}) * ${last.kernel}`};`,
    inner: channelsInside ? depth : last.kernel,
    length: depth * taps,
    a: weights,
    b: columns,
    place: (column) =>
      `((${column}) / ${outputPlane} * ${groups * rows} + n * ${rows}) * ${outputPlane} + (${column}) % ${outputPlane}`,
    rowStride: outputPlane,
  };
}

const weightGroup = (shape: ConvShape): number => {
  const { groupIn, groupOut, taps } = sizesOf(shape);
  return groupIn * groupOut * taps;
};

/** Inputs: x, w. */
export function forwardSums(shape: ConvShape, inputs: readonly DeviceTensor[]): Sums {
  const { groupIn, groupOut, channels, pixels, positions, taps } = sizesOf(shape);
  return gathered({
    shape,
    label: 'Conv',
    inputs,
    output: shape.y,
    picture: 0,
    rows: groupOut,
    depth: groupIn,
    channels,
    sourcePlane: pixels,
    outputPlane: positions,
    sourceStep: ({ inputStep }) => inputStep,
    of: 'o',
    start: ({ stride, before }) => `* ${stride} - (${before})`,
    tapStep: ({ dilation }) => dilation,
    place: forwardPlace,
    weightRow: groupIn * taps,
    weightDepth: taps,
  });
}

/** Inputs: dy, w. */
export function inputGradientSums(shape: ConvShape, inputs: readonly DeviceTensor[]): Sums {
  const { groupIn, groupOut, outputs, pixels, positions, taps } = sizesOf(shape);
  return gathered({
    shape,
    label: 'ConvGradInput',
    inputs,
    output: shape.x,
    picture: 0,
    rows: groupIn,
    depth: groupOut,
    channels: outputs,
    sourcePlane: positions,
    outputPlane: pixels,
    sourceStep: ({ outputStep }) => outputStep,
    of: 'i',
    start: ({ before }) => `+ (${before})`,
    tapStep: ({ dilation }) => -dilation,
    place: backwardPlace,
    weightRow: taps,
    weightDepth: groupIn * taps,
  });
}

/** Inputs: dy, x. With `parts`, sums of as many runs of images one after the other. */
export function weightGradientSums(
  shape: ConvShape,
  inputs: readonly DeviceTensor[],
  parts: number,
): Sums {
  const { batch, channels, outputs, groupIn, groupOut, axes, ...v } = sizesOf(shape);
  const { pixels, positions, taps } = v;
  const { groups } = shape;
  const images = batch / parts;
  const last = axes.at(-1);
  const around = axes.slice(0, -1);
  const inner = last?.output ?? 1;
  const under = (axis: DeviceAxis, register: string, out: string, suffix = ''): Place =>
    forwardPlace(
      axis,
      `${register}_${axis.name}${suffix}`,
      `(${out}) * ${axis.stride} + ${register}_${axis.name}0`,
    );
  const address = (places: readonly Place[], over: readonly DeviceAxis[]): string =>
    sum(over.map((axis, at) => `${places[at]?.at ?? '0'} * ${axis.inputStep}`));
  const gradient: Operand = {
    prepare: (register, line) =>
      `let ${register}_start = (n * ${groupOut} + ${line}) * ${positions};`,
    enter: (register) =>
      `let ${register}_row = ${sum([
        `${register}_start`,
        `image * ${outputs * positions}`,
        ...around.map(({ name, outputStep }) => `o${name} * ${outputStep}`),
      ])};`,
    step: (register) => `let ${register}_at = ${register}_row + k;`,
    load: (register, ahead) => `x0(${register}_at + ${ahead})`,
    along: 'inner',
    element: (register, at) => ({
      lets: '',
      value: `x0(${register}_start + (part * ${images} + ${at} / ${positions}) * ${outputs * positions} + ${at} % ${positions})`,
    }),
  };
  const windows: Operand = {
    prepare: (register, line) => `let ${register}_line = ${line};
let ${register}_start = (n * ${groupIn} + ${register}_line / ${taps}) * ${pixels};
${tapCoordinates(axes, `${register}_`, `(${register}_line % ${taps})`)}
${axes.map(({ name, dilation, before }) => `let ${register}_${name}0 = ${register}_k${name} * ${dilation} - (${before});`).join('\n')}`,
    enter: (register) => {
      const places = around.map((axis) => under(axis, register, `o${axis.name}`));
      const test = allOf(places);
      return `${letsOf(places)}
${test === undefined ? '' : `let ${register}_inside = ${test};`}
let ${register}_row = ${sum([
        `${register}_start`,
        `image * ${channels * pixels}`,
        address(places, around),
      ])};`;
    },
    step: () => '',
    ahead: (register, ahead) =>
      last ? under(last, register, `k + ${ahead}`, `_${ahead}`).lets : '',
    load: (register, ahead) => {
      const places = around.map((axis) => under(axis, register, `o${axis.name}`));
      const here = last && under(last, register, `k + ${ahead}`, `_${ahead}`);
      const tests = [
        allOf(places) === undefined ? undefined : `${register}_inside`,
        here?.inside,
      ].filter((test) => test !== undefined);
      return guarded(
        `x1(${register}_row + ${here?.at ?? '0'})`,
        tests.length === 0 ? undefined : tests.join(' & '),
      );
    },
    along: 'inner',
    element: (register, at) => {
      const places = axes.map((axis) =>
        under(axis, register, `${register}_o${axis.name}`, '_here'),
      );
      const lets = coordinates(axes, 'o', `(${at} % ${positions})`)
        .replaceAll(/let (\w+) =/g, `let ${register}_$1 =`)
        .trim();
      return {
        lets: `${lets}\n${letsOf(places)}`,
        value: guarded(
          `x1(${register}_start + (part * ${images} + ${at} / ${positions}) * ${channels * pixels} + ${address(places, axes)})`,
          allOf(places),
        ),
      };
    },
  };
  const weights = groupOut * groupIn * taps;
  return {
    label: 'ConvGradWeight',
    inputs,
    output: { dtype: 'float32', dims: parts === 1 ? shape.w : [parts, groups * weights] },
    batch: groups,
    parts,
    rows: groupOut,
    columns: groupIn * taps,
    outer: [
      `for (var i = 0; i < ${images}; i++) { let image = part * ${images} + i;`,
      ...around.map(
        ({ name, output }) => `for (var o${name} = 0; o${name} < ${output}; o${name}++) {`,
      ),
    ],
    inner,
    length: images * positions,
    a: gradient,
    b: windows,
    place: (column) => `(part * ${groups} + n) * ${weights} + ${column}`,
    rowStride: groupIn * taps,
  };
}
