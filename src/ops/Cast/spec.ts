import { DTYPE_CODE, isFloat, isPacked } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { throughType } from '../../core/number-format';
import type { Node } from '../../onnx/graph';
import { intAttribute, unsupported } from '../attributes';
import type { OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const BY_CODE = new Map(
  Object.entries(DTYPE_CODE).map(([name, code]) => [code as number, name as DType]),
);

export function castTarget(node: Node): DType {
  const code = intAttribute(node, 'to');
  const dtype = BY_CODE.get(code);
  if (!dtype || dtype === 'string') throw unsupported(node, `casts to element type ${code}`);
  return dtype;
}

/** Integers wrap around as the usual hardware does; int64 is exact up to 2^53. */
function caster(to: DType): (x: number) => number {
  switch (to) {
    case 'bool':
      return (x) => (x === 0 ? 0 : 1);
    case 'uint8':
      return (x) => x & 0xff;
    case 'int8':
      return (x) => (x << 24) >> 24;
    case 'uint16':
      return (x) => x & 0xffff;
    case 'int16':
      return (x) => (x << 16) >> 16;
    case 'int32':
      return (x) => x | 0;
    case 'uint32':
      return (x) => x >>> 0;
    case 'int64':
    case 'uint64':
      return Math.trunc;
    case 'float32':
      return Math.fround;
    default:
      return (x) => x;
  }
}

export const castSpec: OpSpec = {
  name: 'Cast',
  domain: '',
  inputs: [1, 1],
  infer: (context) => [{ dtype: castTarget(context.node), dims: inputType(context, 0).dims }],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const to = castTarget(node);
    // Values that are float32 already stay in the interpreter's full precision.
    if (isFloat(to) && isFloat(x.dtype) && (to === 'float32' || to === 'float64')) {
      return [makeValue(to, x.dims, x.data)];
    }
    if (to !== 'string' && (isPacked(to) || isFloat(to))) {
      const saturate = intAttribute(node, 'saturate', 1) !== 0;
      return [makeValue(to, x.dims, throughType(to, x.data, saturate))];
    }
    return [makeValue(to, x.dims, x.data.map(caster(to)))];
  },
  gradient: ({ node, outputGradients, type }) => {
    const [input] = node.inputs;
    return [input && isFloat(type(input).dtype) ? outputGradients[0] : undefined];
  },
};
