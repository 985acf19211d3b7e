/**
 * The mask of a dropout layer, drawn where it is needed: (dropout_key) -> mask.
 *   dropout_key  int32 [4]: seed low word, seed high word, step, part; read as uint32 (core/philox.ts, dropoutKey)
 *   mask         float32 `dims` = [rows, ...row]
 *   attributes   dims (ints), ratio (float, 0 ≤ ratio < 1), purpose (int, a uint32)
 *
 * Element e of row r (e counts through the row) is lane e mod 4 of Philox 4x32-10 (Salmon et al. 2011) with
 *   counter (c₀, c₁, c₂, c₃) = (⌊e/4⌋, part · rows + r, step, purpose),   key (k₀, k₁) = (seed low, seed high)
 * ten times:  c₀, c₁, c₂, c₃ ← hi(M₁·c₂) ^ c₁ ^ k₀, lo(M₁·c₂), hi(M₀·c₀) ^ c₃ ^ k₁, lo(M₀·c₀)
 *             k₀, k₁ ← k₀ + 0x9e3779b9, k₁ + 0xbb67ae85
 * with M₀ = 0xd2511f53, M₁ = 0xcd9e8d57, all of it modulo 2³², lo the product modulo 2³² and hi its upper 32 bits. By
 * 16-bit halves, a = (a₁, a₀), b = (b₁, b₀), in which nothing overflows:
 *   m = a₁·b₀ + (a₀·b₀ >> 16),  o = a₀·b₁ + (m & 0xffff),  hi = a₁·b₁ + (m >> 16) + (o >> 16)
 * The element is 0 where its lane < round(ratio · 2³²), as unsigned integers, else 1/(1 − ratio) rounded to float32.
 *
 * It has no expansion: executors without a kernel draw it before the step (engine/host-masks.ts).
 */
import { dropoutThreshold, fillDropoutMask } from '../../core/philox';
import { sizeOf } from '../../core/dtype';
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute, intsAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { checkInputDims, inputType, shapeError, shapeText } from '../shapes';
import { inputValue } from '../value';

/** Graph input of training graphs with dropout: `dropoutKey` of the step. */
export const DROPOUT_KEY = 'dropout_key';
export const DROPOUT_KEY_WORDS = 4;

export interface DropoutMaskSettings {
  readonly dims: readonly number[];
  readonly ratio: number;
  /** Lanes below it are dropped; a uint32. */
  readonly threshold: number;
  /** What a kept element is, as float32. */
  readonly kept: number;
  readonly purpose: number;
  /** Elements of one row. */
  readonly rowSize: number;
}

export function dropoutMaskSettings(node: Node): DropoutMaskSettings {
  const dims = intsAttribute(node, 'dims', []);
  const ratio = floatAttribute(node, 'ratio');
  return {
    dims,
    ratio,
    threshold: dropoutThreshold(ratio),
    kept: Math.fround(1 / (1 - ratio)),
    purpose: intAttribute(node, 'purpose'),
    rowSize: sizeOf(dims.slice(1)),
  };
}

/** The mask of a node for one step. */
export function drawMask(node: Node, key: ArrayLike<number>, out: Float32Array): void {
  fillDropoutMask(out, { ...dropoutMaskSettings(node), key });
}

export const dropoutMaskSpec: OpSpec = {
  name: 'DropoutMask',
  domain: TRAINING_DOMAIN,
  inputs: [1, 1],
  infer: (context) => {
    const { node } = context;
    const { dims, ratio } = dropoutMaskSettings(node);
    checkInputDims(context, 0, 'dropout_key', [DROPOUT_KEY_WORDS]);
    const { dtype } = inputType(context, 0);
    if (dtype !== 'int32') throw shapeError(node, 'dropout_key', 'int32', dtype);
    if (dims.length === 0) throw shapeError(node, 'dims', 'of rank 1 or more', shapeText(dims));
    if (!(ratio >= 0 && ratio < 1)) {
      throw shapeError(node, 'ratio', 'at least 0 and below 1', String(ratio));
    }
    return [{ dtype: 'float32', dims }];
  },
  reference: (node, inputs) => {
    const { dims } = dropoutMaskSettings(node);
    const mask = new Float32Array(sizeOf(dims));
    drawMask(node, inputValue(node, inputs, 0).data, mask);
    return [{ dtype: 'float32', dims, data: Float64Array.from(mask) }];
  },
};
