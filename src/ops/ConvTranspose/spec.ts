/**
 * Transposed convolution: what ConvGradInput computes, with a bias. Its window is that of the convolution whose
 * input has the shape of this operator's output; so are its gradients (Conv and ConvGradWeight), by `expand`.
 */
import { sizeOf } from '../../core/dtype';
import { addDims, mulDims } from '../../onnx/dim';
import { attr } from '../../onnx/graph';
import type { Attribute, Dim, Node } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import { gradInput, groupAttribute, windowAttributes } from '../Conv/gradient';
import { convGradInputReference } from '../Conv/reference';
import { autoPad, spanOf, splitPads, windowSettings } from '../Conv/window';
import type { Window } from '../Conv/window';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { reshapeTo } from '../gradients';
import { makeNode } from '../nodes';
import { dimAt, inputType, isStatic, shapeError, shapeText } from '../shapes';
import { inputValue } from '../value';

function lengths(node: Node, name: string, rank: number): readonly number[] | undefined {
  if (!node.attributes.has(name)) return undefined;
  const values = intsAttribute(node, name);
  // Some exporters write the whole output shape, channels included.
  const spatial = name === 'output_shape' && values.length === rank + 2 ? values.slice(2) : values;
  if (spatial.length !== rank || spatial.some((value) => !Number.isInteger(value) || value < 0)) {
    throw shapeError(node, name, `${rank} lengths`, shapeText(values));
  }
  return spatial;
}

/** What a node says of its output's lengths. */
function wantedOf(node: Node, rank: number) {
  return {
    shape: lengths(node, 'output_shape', rank),
    more: lengths(node, 'output_padding', rank),
    mode: autoPad(node),
  };
}

/** The window of the convolution that this one transposes; `input` is the length of the result. */
export function transposedWindow(node: Node, x: readonly number[], w: readonly number[]): Window {
  const { shape, more, mode } = wantedOf(node, x.length - 2);
  return windowSettings(node, x, w.slice(2)).map((setting, axis) => {
    const { kernel, stride, dilation, pads } = setting;
    const output = dimAt(x, axis + 2);
    const reached = (output - 1) * stride + spanOf(setting);
    const full = reached + (more?.[axis] ?? 0);
    const wanted = shape?.[axis] ?? (mode.startsWith('SAME') ? output * stride : undefined);
    let [before, after] = mode === 'NOTSET' ? pads : [0, 0];
    // A wanted length says what the padding is, whatever `pads` says.
    if (wanted !== undefined) [before, after] = splitPads(Math.max(0, full - wanted), mode);
    const input = wanted ?? full - before - after;
    if (input < 1) throw shapeError(node, 'the output', 'at least 1 long', String(input));
    return { input, output, kernel, stride, dilation, before, after: reached - before - input };
  });
}

/** Spatial lengths of the output, symbolic ones as expressions. */
function spaceOf(node: Node, x: readonly Dim[], w: readonly Dim[]): Dim[] {
  if (isStatic(x) && isStatic(w)) return transposedWindow(node, x, w).map(({ input }) => input);
  const { shape, more, mode } = wantedOf(node, x.length - 2);
  if (shape) return [...shape];
  if (!isStatic(w.slice(2))) return x.slice(2).map((_, axis) => `${node.name}_${axis + 2}`);
  return windowSettings(node, x, w.slice(2)).map((setting, axis): Dim => {
    const scaled = mulDims(dimAt(x, axis + 2), setting.stride);
    if (mode.startsWith('SAME')) return scaled;
    const [before, after] = mode === 'NOTSET' ? setting.pads : [0, 0];
    const rest = spanOf(setting) - setting.stride + (more?.[axis] ?? 0) - before - after;
    return addDims(scaled, rest);
  });
}

function outputDims(node: Node, x: readonly Dim[], w: readonly Dim[]): Dim[] {
  if (w.length !== x.length) {
    throw shapeError(node, 'the weight', `of rank ${x.length}, as the input is`, shapeText(w));
  }
  const group = intAttribute(node, 'group', 1);
  const [channels, rows, perGroup] = [dimAt(x, 1), dimAt(w, 0), dimAt(w, 1)];
  if (typeof channels === 'number' && typeof rows === 'number') {
    if (channels !== rows) throw shapeError(node, 'input 0', `${rows} channels`, shapeText(x));
    if (rows % group !== 0) {
      throw shapeError(node, 'the weight', `a multiple of ${group} rows`, shapeText(w));
    }
  }
  return [dimAt(x, 0), mulDims(perGroup, group), ...spaceOf(node, x, w)];
}

interface Call {
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly dims: readonly number[];
}

/** The ConvGradInput that this call is. */
function callOf(node: Node, x: readonly number[], w: readonly number[]): Call {
  const window = transposedWindow(node, x, w);
  const filters = dimAt(w, 1) * intAttribute(node, 'group', 1);
  return {
    attributes: { ...windowAttributes(window), ...groupAttribute(node) },
    dims: [dimAt(x, 0), filters, ...window.map(({ input }) => input)],
  };
}

const reference: ReferenceKernel = (node, inputs, scope) => {
  const x = inputValue(node, inputs, 0);
  const w = inputValue(node, inputs, 1);
  const bias = inputs[2];
  const { attributes, dims } = callOf(node, x.dims, w.dims);
  const inner = makeNode('ConvGradInput', ['dy', 'w'], {
    ...attributes,
    input_shape: attr.ints(dims),
  });
  const results = convGradInputReference(inner, [x, w], scope);
  const plane = sizeOf(dims.slice(2));
  const filters = dimAt(dims, 1);
  for (const { data } of bias ? results : []) {
    for (let at = 0; at < data.length; at++) {
      const channel = Math.floor(at / plane) % filters;
      data[at] = (data[at] as number) + (bias?.data[channel] ?? 0);
    }
  }
  return results;
};

const expand: Expansion = ({ node, builder, type }) => {
  const [x, w, bias] = node.inputs;
  if (!x || !w) return [];
  const { attributes, dims } = callOf(node, type(x).dims, type(w).dims);
  const y = gradInput(builder, [x, w], attributes, dims);
  if (!bias) return [y];
  const column = reshapeTo(builder, bias, [dimAt(dims, 1), ...dims.slice(2).map(() => 1)]);
  return [builder.node('Add', [y, column])];
};

export const convTransposeSpec: OpSpec = {
  name: 'ConvTranspose',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const x = inputType(context, 0);
    const w = inputType(context, 1);
    return [{ dtype: x.dtype, dims: outputDims(context.node, x.dims, w.dims) }];
  },
  reference,
  expand,
};
