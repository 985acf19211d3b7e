/** LpNormalization, MeanVarianceNormalization and LRN: normalisations without parameters. */
import { sizeOf } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute, intsAttribute, unsupported } from '../attributes';
import type { OpSpec, Value } from '../define';
import { emitter, reshapeTo } from '../gradients';
import {
  aroundAxis,
  broadcastIndex,
  dimAt,
  inputType,
  normalizeAxis,
  shapeError,
  shapeText,
} from '../shapes';
import { inputValue, makeValue } from '../value';
import { meanOver } from './standardise';

function lpAxis(node: Node, rank: number): { axis: number; p: number } {
  const p = intAttribute(node, 'p', 2);
  if (p !== 1 && p !== 2) throw unsupported(node, `has p = ${p}; only 1 and 2 are defined. It`);
  return { axis: normalizeAxis(node, intAttribute(node, 'axis', -1), rank), p };
}

/** y = x / ‖x‖ₚ along one axis; 0 where all of it is 0. */
const lpNormalizationSpec: OpSpec = {
  name: 'LpNormalization',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const x = inputType(context, 0);
    lpAxis(context.node, x.dims.length);
    return [x];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const { axis, p } = lpAxis(node, x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    const y = makeValue(x.dtype, x.dims);
    for (let row = 0; row < outer * inner; row++) {
      const base = Math.floor(row / inner) * length * inner + (row % inner);
      let sum = 0;
      for (let k = 0; k < length; k++) sum += Math.abs(x.data[base + k * inner] as number) ** p;
      const norm = p === 1 ? sum : Math.sqrt(sum);
      for (let k = 0; k < length; k++) {
        const at = base + k * inner;
        y.data[at] = norm === 0 ? 0 : (x.data[at] as number) / norm;
      }
    }
    return [y];
  },
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const { dtype, dims } = type(x);
    const e = emitter(builder, dtype);
    const { axis, p } = lpAxis(node, dims.length);
    const norm = builder.node(`ReduceL${p}`, [x, builder.ints([axis])], { keepdims: attr.int(1) });
    return [e('Div', x, e('Where', e('Equal', norm, 0), 1, norm))];
  },
};

/** The standard's own ε. */
const MVN_EPSILON = 1e-9;

function mvnAxes(node: Node, rank: number): number[] {
  return intsAttribute(node, 'axes', [0, 2, 3]).map((axis) => normalizeAxis(node, axis, rank));
}

/** y = (x − mean) / (√var + ε) over `axes`. */
const meanVarianceSpec: OpSpec = {
  name: 'MeanVarianceNormalization',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const x = inputType(context, 0);
    mvnAxes(context.node, x.dims.length);
    return [x];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const axes = mvnAxes(node, x.dims.length);
    const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const group = groupIndex(x, kept);
    const groups = sizeOf(kept);
    const count = x.data.length / Math.max(1, groups);
    const mean = new Float64Array(groups);
    const variance = new Float64Array(groups);
    x.data.forEach((value, i) => (mean[group(i)] = (mean[group(i)] as number) + value / count));
    x.data.forEach((value, i) => {
      const of = group(i);
      variance[of] = (variance[of] as number) + (value - (mean[of] as number)) ** 2 / count;
    });
    const data = x.data.map((value, i) => {
      const deviation = Math.sqrt(variance[group(i)] as number) + MVN_EPSILON;
      return (value - (mean[group(i)] as number)) / deviation;
    });
    return [makeValue(x.dtype, x.dims, data)];
  },
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const { dtype, dims } = type(x);
    const e = emitter(builder, dtype);
    const axes = mvnAxes(node, dims.length);
    const centred = e('Sub', x, meanOver(builder, x, axes));
    const variance = meanOver(builder, e('Mul', centred, centred), axes);
    return [e('Div', centred, e('Add', e('Sqrt', variance), MVN_EPSILON))];
  },
};

/** For each element, the number of its group among `kept` (reduced axes 1 long). */
function groupIndex(x: Value, kept: readonly number[]): (index: number) => number {
  const index = broadcastIndex(kept, x.dims);
  return (at) => index[at] as number;
}

function lrnWindow(node: Node) {
  const size = intAttribute(node, 'size');
  return {
    size,
    before: Math.floor((size - 1) / 2),
    after: Math.ceil((size - 1) / 2),
    alpha: floatAttribute(node, 'alpha', 1e-4),
    beta: floatAttribute(node, 'beta', 0.75),
    bias: floatAttribute(node, 'bias', 1),
  };
}

/**
 * Across neighbouring channels: y = x / (bias + α/size · Σ x²)^β.
 * Krizhevsky, Sutskever & Hinton 2012, section 3.3.
 */
const lrnSpec: OpSpec = {
  name: 'LRN',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const x = inputType(context, 0);
    if (x.dims.length < 2) {
      throw shapeError(context.node, 'input 0', 'of rank 2 or more', shapeText(x.dims));
    }
    lrnWindow(context.node);
    return [x];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const { size, before, after, alpha, beta, bias } = lrnWindow(node);
    const { outer, length, inner } = aroundAxis(x.dims, 1);
    const y = makeValue(x.dtype, x.dims);
    for (let n = 0; n < outer; n++) {
      for (let c = 0; c < length; c++) {
        const [from, to] = [Math.max(0, c - before), Math.min(length - 1, c + after)];
        for (let i = 0; i < inner; i++) {
          const at = (channel: number) => (n * length + channel) * inner + i;
          let squares = 0;
          for (let k = from; k <= to; k++) squares += (x.data[at(k)] as number) ** 2;
          y.data[at(c)] = (x.data[at(c)] as number) / (bias + (alpha / size) * squares) ** beta;
        }
      }
    }
    return [y];
  },
  // The sum over neighbours is a product with a band of ones.
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const { dtype, dims } = type(x);
    const e = emitter(builder, dtype);
    const { size, before, after, alpha, beta, bias } = lrnWindow(node);
    const channels = dimAt(dims, 1);
    const band = Array.from({ length: channels * channels }, (_, i) => {
      const [row, column] = [Math.floor(i / channels), i % channels];
      return column >= row - before && column <= row + after ? alpha / size : 0;
    });
    const flat = [dimAt(dims, 0), channels, sizeOf(dims.slice(2))];
    const squares = reshapeTo(builder, e('Mul', x, x), flat);
    const ones = builder.constant('float32', [channels, channels], band);
    const matrix = dtype === 'float32' ? ones : e('CastLike', ones, x);
    const sums = reshapeTo(builder, e('MatMul', matrix, squares), dims);
    return [e('Div', x, e('Pow', e('Add', sums, bias), beta))];
  },
};

export const simpleNormalisationSpecs: readonly OpSpec[] = [
  lpNormalizationSpec,
  meanVarianceSpec,
  lrnSpec,
];
