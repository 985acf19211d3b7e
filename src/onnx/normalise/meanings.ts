/** Operators whose meaning or name changed between opsets 7 and 24. */
import { ownValue } from '../../core/own-value';
import { DTYPE_CODE } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { attr } from '../graph';
import type { Node, Tensor } from '../graph';
import { attention } from './attention';
import type { Rule } from './rule';
import { batchedScan } from './scan';
import { cannotNormalise, floatOf, intOf, stringOf, withAttributes } from './rule';

/**
 * Before opset 13 these see their input as a matrix: axes before `axis` are rows, and a row is normalised as a
 * whole. The same as today's meaning where `axis` is the last one; otherwise the matrix is made.
 */
const flattening: Rule = (node, context) => {
  if (context.opset >= 13) return undefined;
  const [x = ''] = node.inputs;
  const axis = intOf(node, 'axis', 1);
  const rank = context.rank(x);
  if (axis === -1 || (rank !== undefined && axis === rank - 1)) {
    return withAttributes(node, [], { axis: attr.int(-1) });
  }
  const matrix = context.before(node, 'Flatten', [x], { axis: attr.int(axis) });
  const result = context.before(node, node.op, [matrix], { axis: attr.int(-1) });
  const shape = context.before(node, 'Shape', [x]);
  return { ...node, op: 'Reshape', inputs: [result, shape], attributes: new Map() };
};

const batchNormalization: Rule = (node, context) => {
  if (context.opset < 9 && intOf(node, 'spatial', 1) === 0) {
    throw cannotNormalise(node, 'normalises each position by itself (spatial = 0)');
  }
  const extra = node.outputs.slice(1).filter((name) => name !== '');
  if (context.opset >= 14) return undefined;
  if (extra.some((name) => context.isRead(name))) {
    throw cannotNormalise(node, 'is in training mode and its statistics are used');
  }
  const plain = withAttributes(node, ['spatial', 'is_test', 'consumed_inputs']);
  return { ...plain, outputs: node.outputs.slice(0, 1) };
};

const NEAREST_FLOOR = {
  coordinate_transformation_mode: attr.string('asymmetric'),
  nearest_mode: attr.string('floor'),
};

const upsample: Rule = (node, context) => {
  const [x = '', given] = node.inputs;
  const attribute = node.attributes.get('scales');
  const scales =
    attribute?.type === 'floats'
      ? context.constant('float32', [attribute.value.length], attribute.value)
      : given;
  if (scales === undefined) throw cannotNormalise(node, 'does not say by how much it enlarges');
  return {
    ...withAttributes(node, ['scales'], NEAREST_FLOOR),
    op: 'Resize',
    inputs: [x, '', scales],
  };
};

/** Resize-10 has only scales; later an empty `roi` or `scales` stands for none. */
const resize: Rule = (node, context) => {
  const [x = '', scales = ''] = node.inputs;
  if (context.opset === 10) {
    return { ...withAttributes(node, [], NEAREST_FLOOR), inputs: [x, '', scales] };
  }
  const inputs = node.inputs.map((name, index) =>
    index > 0 && context.tensor(name)?.data.length === 0 ? '' : name,
  );
  if (inputs.every((name, index) => name === node.inputs[index])) return undefined;
  while (inputs.at(-1) === '') inputs.pop();
  return { ...node, inputs };
};

/** Scale and bias a group (18) become scale and bias a channel (21). */
const groupNormalization: Rule = (node, context) => {
  if (context.opset >= 21) return undefined;
  const [x = '', scale = '', bias = ''] = node.inputs;
  const groups = context.constant('int64', [1], [intOf(node, 'num_groups', 1)]);
  const one = context.constant('int64', [1], [1]);
  const channels = context.before(node, 'Shape', [x], { start: attr.int(1), end: attr.int(2) });
  const each = context.before(node, 'Div', [channels, groups]);
  const table = context.before(node, 'Concat', [groups, each], { axis: attr.int(0) });
  const perChannel = (name: string): string => {
    const column = context.before(node, 'Unsqueeze', [name, one]);
    const wide = context.before(node, 'Expand', [column, table]); // [groups, channels / groups]
    return context.before(node, 'Reshape', [wide, channels]);
  };
  return { ...node, inputs: [x, perChannel(scale), perChannel(bias)] };
};

/** x · sigmoid(α x) */
const swish: Rule = (node, context) => {
  const [x = ''] = node.inputs;
  const alpha = floatOf(node, 'alpha') ?? 1;
  const factor = context.constant(context.floatType(x), [], [alpha]);
  const inner = alpha === 1 ? x : context.before(node, 'Mul', [x, factor]);
  const gate = context.before(node, 'Sigmoid', [inner]);
  return { ...node, op: 'Mul', inputs: [x, gate], attributes: new Map() };
};

const GRID_MODES: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };

const gridSample: Rule = (node, context) => {
  if (context.opset >= 20) return undefined;
  const mode = ownValue(GRID_MODES, stringOf(node, 'mode') ?? 'bilinear');
  return mode === undefined ? undefined : withAttributes(node, [], { mode: attr.string(mode) });
};

/** Constants come in seven forms; `value` says them all. */
const constant: Rule = (node) => {
  const value = constantOf(node);
  if (!value || node.attributes.has('value')) return undefined;
  return { ...node, attributes: new Map([['value', attr.tensor(value)]]) };
};

/** The tensor of a Constant node. */
export function constantOf(node: Node): Tensor | undefined {
  for (const [name, attribute] of node.attributes) {
    if (!name.startsWith('value')) continue;
    switch (attribute.type) {
      case 'tensor':
        return attribute.value;
      case 'int':
        return int64([], [attribute.value]);
      case 'ints':
        return int64([attribute.value.length], attribute.value);
      case 'float':
        return { dtype: 'float32', dims: [], data: Float32Array.of(attribute.value) };
      case 'floats': {
        const { value } = attribute;
        return { dtype: 'float32', dims: [value.length], data: Float32Array.from(value) };
      }
      case 'string':
        return { dtype: 'string', dims: [], data: [attribute.value] };
      case 'strings':
        return { dtype: 'string', dims: [attribute.value.length], data: [...attribute.value] };
      default:
        return undefined;
    }
  }
  return undefined;
}

function int64(dims: readonly number[], values: readonly number[]): Tensor {
  const data = BigInt64Array.from(values, (value) =>
    value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value),
  );
  return { dtype: 'int64', dims, data };
}

const renamed =
  (op: string): Rule =>
  (node) => ({ ...node, op });

/** Very old exporters write the type as a word. */
const cast: Rule = (node) => {
  const word = stringOf(node, 'to')?.toLowerCase();
  if (word === undefined) return undefined;
  const spoken = { float: 'float32', double: 'float64' }[word] ?? word;
  if (!(spoken in DTYPE_CODE)) throw cannotNormalise(node, `casts to "${word}", which is no type`);
  return withAttributes(node, ['to'], { to: attr.int(DTYPE_CODE[spoken as DType]) });
};

export const meaningRules: Readonly<Record<string, Rule>> = {
  Softmax: flattening,
  LogSoftmax: flattening,
  Hardmax: flattening,
  BatchNormalization: batchNormalization,
  Upsample: upsample,
  Resize: resize,
  GroupNormalization: groupNormalization,
  Swish: swish,
  Attention: attention,
  GridSample: gridSample,
  Constant: constant,
  Scatter: renamed('ScatterElements'),
  Scan: batchedScan,
  Cast: cast,
};
