/**
 * What is known of small integer tensors before anything runs: the shapes, starts, repeats and sizes that exporters
 * compute by chains of Shape, Gather, Concat, Mul and the like. Elements are numbers or symbolic lengths (onnx/dim.ts);
 * an operator without a rule here makes unknown elements. Where everything is constant, `infer` folds instead.
 */
import { ownValue } from '../core/own-value';
import { isFloat } from '../core/dtype';
import {
  addDims,
  equalDims,
  exactDivDims,
  floorDivDims,
  maxDim,
  minDim,
  modDims,
  mulDims,
  productDims,
  signOf,
  subDims,
} from '../onnx/dim';
import type { Dim, Node, TensorType } from '../onnx/graph';
import { intAttribute } from './attributes';
import { broadcastDims, broadcastIndex, isStatic } from './shapes';

export type Elements = readonly Dim[];

/** More elements than this are weights or data. */
export const ELEMENT_LIMIT = 1024;

export interface ShapeValueContext {
  readonly node: Node;
  readonly inputs: readonly (TensorType | undefined)[];
  readonly outputs: readonly TensorType[];
  elements(index: number): Elements | undefined;
}

type Rule = (context: ShapeValueContext) => readonly (Elements | undefined)[] | undefined;

const same: Rule = ({ elements }) => [elements(0)];

const cast: Rule = ({ elements, outputs }) => {
  const data = elements(0);
  const isKnown = outputs[0]?.dtype !== 'bool' || data?.every((dim) => typeof dim === 'number');
  return isKnown ? [data] : undefined;
};

const shape: Rule = ({ node, inputs }) => {
  const dims = inputs[0]?.dims ?? [];
  const resolve = (axis: number) =>
    Math.min(dims.length, Math.max(0, axis < 0 ? axis + dims.length : axis));
  const start = resolve(intAttribute(node, 'start', 0));
  return [dims.slice(start, Math.max(start, resolve(intAttribute(node, 'end', dims.length))))];
};

const size: Rule = ({ inputs }) => [[productDims(inputs[0]?.dims ?? [])]];

const gather: Rule = ({ node, inputs, elements }) => {
  const [data, indices] = [elements(0), elements(1)];
  if (inputs[0]?.dims.length !== 1 || intAttribute(node, 'axis', 0) > 0 || !indices)
    return undefined;
  const picked = indices.map((index) =>
    typeof index === 'number' ? data?.[index < 0 ? index + data.length : index] : undefined,
  );
  return [picked.every((dim) => dim !== undefined) ? picked : undefined];
};

const concat: Rule = ({ node, inputs, elements }) => {
  const all: Dim[] = [];
  for (const [index, type] of inputs.entries()) {
    const length = type?.dims[0];
    if (type?.dims.length !== 1 || typeof length !== 'number' || length > ELEMENT_LIMIT) {
      return undefined;
    }
    // One unknown part leaves the others known.
    all.push(...(elements(index) ?? opaque(node.inputs[index] ?? node.name, length)));
  }
  return [all];
};

function opaque(name: string, length: number): Dim[] {
  return Array.from({ length }, (_, index) => `${name}_at${index}`);
}

const slice: Rule = ({ node, inputs, elements }) => {
  const data = elements(0);
  const [starts, ends] = [elements(1), elements(2)];
  const axes = node.inputs[3] ? elements(3) : [0];
  const steps = node.inputs[4] ? elements(4) : [1];
  if (!data || inputs[0]?.dims.length !== 1 || starts?.length !== 1) return undefined;
  const [start, end, axis, step] = [starts[0], ends?.[0], axes?.[0], steps?.[0]];
  if (typeof start !== 'number' || typeof end !== 'number' || typeof step !== 'number') {
    return undefined;
  }
  if ((axis !== 0 && axis !== -1) || step === 0) return undefined;
  const { length } = data;
  const clamp = (value: number, low: number, high: number) =>
    Math.min(high, Math.max(low, value < 0 ? value + length : value));
  const cut: Dim[] = [];
  if (step > 0) {
    const stop = clamp(end, 0, length);
    for (let at = clamp(start, 0, length); at < stop; at += step) cut.push(data[at] ?? 0);
  } else {
    const stop = end < -length ? -1 : clamp(end, -1, length - 1);
    for (let at = clamp(start, 0, length - 1); at > stop; at += step) cut.push(data[at] ?? 0);
  }
  return [cut];
};

const split: Rule = ({ elements, outputs, inputs }) => {
  const data = elements(0);
  if (!data || inputs[0]?.dims.length !== 1) return undefined;
  let at = 0;
  return outputs.map(({ dims: [length] }) => {
    if (typeof length !== 'number') return undefined;
    at += length;
    return data.slice(at - length, at);
  });
};

/** Element by element with broadcasting; undefined where one element has no answer. */
function elementwise(apply: (...values: Dim[]) => Dim | undefined): Rule {
  return (context) => {
    const { node, inputs } = context;
    const parts = inputs.map((type, index) => ({ dims: type?.dims, of: context.elements(index) }));
    let out: readonly Dim[] = [];
    for (const { dims, of } of parts) {
      if (!dims || !of || !isStatic(dims)) return undefined;
      if (of.some((dim) => typeof dim === 'number' && !Number.isInteger(dim))) return undefined;
      out = broadcastDims(node, out, dims);
    }
    if (!isStatic(out)) return undefined;
    const shape = out;
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (count > ELEMENT_LIMIT) return undefined;
    const indices = parts.map(({ dims }) => broadcastIndex((dims ?? []) as number[], shape));
    const result: Dim[] = [];
    for (let at = 0; at < count; at++) {
      const values = parts.map(({ of }, index) => of?.[indices[index]?.[at] ?? 0] ?? 0);
      const value = apply(...values);
      if (value === undefined) return undefined;
      result.push(value);
    }
    return [result];
  };
}

const pairwise = (apply: (a: Dim, b: Dim) => Dim | undefined): Rule =>
  elementwise((first = 0, ...rest) =>
    rest.reduce<Dim | undefined>((a, b) => (a === undefined ? a : apply(a, b)), first),
  );

/** Lengths are never negative, so C's division and the floor agree; floats only where nothing is left over. */
const div: Rule = (context) =>
  pairwise((a, b) => {
    if (b === 0) return undefined;
    const whole = exactDivDims(a, b);
    if (whole !== undefined || isFloat(context.inputs[0]?.dtype ?? 'int64')) return whole;
    if (typeof a === 'number' && typeof b === 'number') return Math.trunc(a / b);
    return signOf(a) === 1 && signOf(b) === 1 ? floorDivDims(a, b) : undefined;
  })(context);

const compare = (holds: (sign: number) => boolean): Rule =>
  pairwise((a, b) => {
    const sign = equalDims(a, b) ? 0 : signOf(subDims(a, b));
    return sign === undefined ? undefined : Number(holds(sign));
  });

const reduce =
  (apply: (a: Dim, b: Dim) => Dim): Rule =>
  ({ elements, outputs }) => {
    const [first, ...rest] = elements(0) ?? [];
    const dims = outputs[0]?.dims;
    if (first === undefined || !dims?.every((dim) => dim === 1)) return undefined;
    return [[rest.reduce(apply, first)]];
  };

const range: Rule = ({ elements, outputs }) => {
  const [start] = elements(0) ?? [];
  const [step] = elements(2) ?? [];
  const count = outputs[0]?.dims[0];
  if (start === undefined || step === undefined || typeof count !== 'number') return undefined;
  if (count > ELEMENT_LIMIT) return undefined;
  return [Array.from({ length: count }, (_, index) => addDims(start, mulDims(index, step)))];
};

/** One value, known, over a small fixed shape: Expand and Tile of a single element, ConstantOfShape. */
function filled(value: Dim | undefined, type: TensorType | undefined): Elements | undefined {
  const dims = type?.dims;
  if (value === undefined || !dims || !isStatic(dims)) return undefined;
  const count = dims.reduce((product, dim) => product * dim, 1);
  return count <= ELEMENT_LIMIT ? Array.from({ length: count }, () => value) : undefined;
}

const spread: Rule = ({ elements, outputs }) => {
  const data = elements(0);
  const dims = outputs[0]?.dims;
  if (data && dims && isStatic(dims) && productDims(dims) === data.length) return [data];
  return [data?.length === 1 ? filled(data[0], outputs[0]) : undefined];
};

const constantOfShape: Rule = ({ node, outputs }) => {
  const value = node.attributes.get('value');
  if (!value) return [filled(0, outputs[0])];
  if (value.type !== 'tensor' || isFloat(value.value.dtype)) return undefined;
  return [filled(Number(value.value.data[0]), outputs[0])];
};

const RULES: Readonly<Record<string, Rule>> = {
  Shape: shape,
  Size: size,
  Identity: same,
  Cast: cast,
  Squeeze: same,
  Unsqueeze: same,
  Reshape: same,
  Flatten: same,
  Gather: gather,
  Concat: concat,
  Slice: slice,
  Split: split,
  Add: pairwise(addDims),
  Sub: pairwise(subDims),
  Mul: pairwise(mulDims),
  Div: div,
  Mod: pairwise((a, b) => (signOf(a) === 1 && signOf(b) === 1 ? modDims(a, b) : undefined)),
  Min: pairwise(minDim),
  Max: pairwise(maxDim),
  Neg: elementwise((a = 0) => subDims(0, a)),
  Floor: same,
  Ceil: same,
  Equal: pairwise((a, b) => {
    if (equalDims(a, b)) return 1;
    const sign = signOf(subDims(a, b));
    return sign === undefined ? undefined : 0;
  }),
  Greater: compare((sign) => sign > 0),
  GreaterOrEqual: compare((sign) => sign >= 0),
  Less: compare((sign) => sign < 0),
  LessOrEqual: compare((sign) => sign <= 0),
  Not: elementwise((a = 0) => (typeof a === 'number' ? Number(a === 0) : undefined)),
  Where: elementwise((condition = 0, a = 0, b = 0) => {
    if (typeof condition === 'number') return condition === 0 ? b : a;
    return equalDims(a, b) ? a : undefined;
  }),
  ReduceProd: reduce(mulDims),
  ReduceSum: reduce(addDims),
  ReduceMin: reduce(minDim),
  ReduceMax: reduce(maxDim),
  Range: range,
  Expand: spread,
  Tile: spread,
  ConstantOfShape: constantOfShape,
};

/** Elements of the outputs as far as they are known; undefined where nothing is. */
export function shapeValues(
  context: ShapeValueContext,
): readonly (Elements | undefined)[] | undefined {
  const { node } = context;
  return node.domain === '' ? ownValue(RULES, node.op)?.(context) : undefined;
}
