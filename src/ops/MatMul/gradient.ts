/** Y = A·B: dA = dY·Bᵀ, dB = Aᵀ·dY, summed over broadcast leading axes. */
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { sizeOf } from '../../core/dtype';
import type { GradientRule } from '../define';
import { reshapeTo, sumTo, transpose } from '../gradients';
import { dimAt, sameDims } from '../shapes';

interface Typed {
  readonly name: string;
  readonly dims: readonly number[];
}

function swapLast(builder: GraphBuilder, { name, dims }: Typed): string {
  const rank = dims.length;
  const perm = dims.map((_, axis) => axis);
  perm[rank - 2] = rank - 1;
  perm[rank - 1] = rank - 2;
  return transpose(builder, name, perm);
}

function reshaped(builder: GraphBuilder, value: Typed, dims: readonly number[]): Typed {
  if (sameDims(value.dims, dims)) return value;
  return { name: reshapeTo(builder, value.name, dims), dims };
}

export const matMulGradient: GradientRule = ({ node, builder, outputGradients, type, wants }) => {
  const [g] = outputGradients;
  const [aName, bName] = node.inputs;
  const [y] = node.outputs;
  if (!g || !aName || !bName || !y) return [];
  const aDims = type(aName).dims;
  const bDims = type(bName).dims;
  const a2 = aDims.length === 1 ? [1, dimAt(aDims, 0)] : aDims;
  const b2 = bDims.length === 1 ? [dimAt(bDims, 0), 1] : bDims;
  const rows = dimAt(a2, a2.length - 2);
  const inner = dimAt(a2, a2.length - 1);
  const columns = dimAt(b2, b2.length - 1);

  // A matrix on the right: fold all leading axes of A into rows, so that Gemm needs no transposed copy.
  if (b2.length === 2) {
    const flatRows = sizeOf(a2.slice(0, -1));
    const dy = reshaped(builder, { name: g, dims: type(y).dims }, [flatRows, columns]);
    const b = reshaped(builder, { name: bName, dims: bDims }, b2);
    const da = () => {
      const product = builder.node('Gemm', [dy.name, b.name], { transB: attr.int(1) });
      return reshaped(builder, { name: product, dims: [flatRows, inner] }, aDims).name;
    };
    const db = () => {
      const a = reshaped(builder, { name: aName, dims: aDims }, [flatRows, inner]);
      const product = builder.node('Gemm', [a.name, dy.name], { transA: attr.int(1) });
      return reshaped(builder, { name: product, dims: b2 }, bDims).name;
    };
    return [wants(0) ? da() : undefined, wants(1) ? db() : undefined];
  }

  const batch = type(y).dims.slice(0, Math.max(a2.length, b2.length) - 2);
  const dy = reshaped(builder, { name: g, dims: type(y).dims }, [...batch, rows, columns]);
  const finish = (product: string, full: number[], to: readonly number[], own: readonly number[]) =>
    reshaped(builder, { name: sumTo(builder, product, full, to), dims: to }, own).name;
  const da = () => {
    const product = builder.node('MatMul', [dy.name, swapLast(builder, { name: bName, dims: b2 })]);
    return finish(product, [...batch, rows, inner], a2, aDims);
  };
  const db = () => {
    const a = reshaped(builder, { name: aName, dims: aDims }, a2);
    const product = builder.node('MatMul', [swapLast(builder, a), dy.name]);
    return finish(product, [...batch, inner, columns], b2, bDims);
  };
  return [wants(0) ? da() : undefined, wants(1) ? db() : undefined];
};
