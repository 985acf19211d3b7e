/** Shapes and settings of an Attention node, with heads laid out as [batch, heads, sequence, size]. */
import { addDims, exactDivDims, mulDims } from '../../onnx/dim';
import type { Dim, Node, TensorType } from '../../onnx/graph';
import { floatAttribute, intAttribute, unsupported } from '../attributes';
import type { InferContext } from '../define';
import { inputType, isStatic, shapeError, shapeText } from '../shapes';

/** Positions of the inputs. */
export const INPUT = { q: 0, k: 1, v: 2, mask: 3, pastKey: 4, pastValue: 5 } as const;

export interface AttentionSizes {
  /** Inputs are [batch, sequence, heads · size]. */
  readonly flat: boolean;
  readonly batch: number;
  readonly queryHeads: number;
  readonly heads: number;
  readonly queries: number;
  /** Keys given with this call. */
  readonly keys: number;
  /** Keys of earlier calls. */
  readonly past: number;
  readonly size: number;
  readonly valueSize: number;
}

export interface AttentionSettings {
  readonly causal: boolean;
  readonly scale: number | undefined;
  /** 0 is none. */
  readonly softcap: number;
  /** What the last output shows: 0 the products, 1 after the cap, 2 with the mask, 3 the probabilities. */
  readonly mode: number;
}

export function settingsOf(node: Node): AttentionSettings {
  return {
    causal: intAttribute(node, 'is_causal', 0) !== 0,
    scale: node.attributes.has('scale') ? floatAttribute(node, 'scale') : undefined,
    softcap: floatAttribute(node, 'softcap', 0),
    mode: intAttribute(node, 'qk_matmul_output_mode', 0),
  };
}

/** Heads and size of a head of one input. */
function headsOf<T extends Dim>(
  node: Node,
  port: string,
  dims: readonly T[],
  attribute: string,
): { heads: T | number; sequence: T; size: Dim } {
  if (dims.length === 4) {
    return { heads: dims[1] as T, sequence: dims[2] as T, size: dims[3] as T };
  }
  if (dims.length !== 3) throw shapeError(node, port, 'of rank 3 or 4', shapeText(dims));
  const heads = intAttribute(node, attribute);
  const hidden = dims[2] as T;
  if (typeof hidden === 'number' && hidden % heads !== 0) {
    throw shapeError(node, port, `[batch, sequence, multiple of ${heads}]`, shapeText(dims));
  }
  const size = exactDivDims(hidden, heads) ?? `${node.name}_${port}_size`;
  return { heads, sequence: dims[1] as T, size };
}

export function sizesOf(
  node: Node,
  q: readonly number[],
  k: readonly number[],
  v: readonly number[],
  pastKey: readonly number[] | undefined,
): AttentionSizes {
  const query = headsOf(node, 'Q', q, 'q_num_heads');
  const key = headsOf(node, 'K', k, 'kv_num_heads');
  const value = headsOf(node, 'V', v, 'kv_num_heads');
  if (query.heads % key.heads !== 0) {
    throw shapeError(node, 'the heads of Q', `a multiple of ${key.heads}`, String(query.heads));
  }
  if (query.size !== key.size || value.sequence !== key.sequence) {
    throw shapeError(
      node,
      'K and V',
      `to fit Q ${shapeText(q)}`,
      `${shapeText(k)}, ${shapeText(v)}`,
    );
  }
  return {
    flat: q.length === 3,
    batch: q[0] ?? 0,
    queryHeads: query.heads,
    heads: key.heads,
    queries: query.sequence,
    keys: key.sequence,
    past: pastKey?.[2] ?? 0,
    size: Number(query.size),
    valueSize: Number(value.size),
  };
}

/** Y, present key and value, and the products that the mode asks for. */
export function attentionTypes(context: InferContext): TensorType[] {
  const { node } = context;
  const [q, k, v] = [inputType(context, 0), inputType(context, 1), inputType(context, 2)];
  if (Boolean(node.inputs[INPUT.pastKey]) !== Boolean(node.inputs[INPUT.pastValue])) {
    throw unsupported(node, 'has past keys without past values, or the reverse');
  }
  const query = headsOf(node, 'Q', q.dims, 'q_num_heads');
  const key = headsOf(node, 'K', k.dims, 'kv_num_heads');
  const value = headsOf(node, 'V', v.dims, 'kv_num_heads');
  if (isStatic(q.dims) && isStatic(k.dims) && isStatic(v.dims)) {
    sizesOf(node, q.dims, k.dims, v.dims, undefined);
  }
  const batch = q.dims[0] ?? 0;
  const past = context.inputs[INPUT.pastKey]?.dims[2] ?? 0;
  const total = addDims(past, key.sequence);
  const hidden = mulDims(query.heads, value.size);
  const { dtype } = q;
  return [
    {
      dtype,
      dims:
        q.dims.length === 3
          ? [batch, query.sequence, hidden]
          : [batch, query.heads, query.sequence, value.size],
    },
    { dtype: k.dtype, dims: [batch, key.heads, total, key.size] },
    { dtype: v.dtype, dims: [batch, key.heads, total, value.size] },
    { dtype, dims: [batch, query.heads, query.sequence, total] },
  ];
}
