/** Every case is one Gemm again: the transposes move into its flags, so no transposed copy is made. */
import { attr } from '../../onnx/graph';
import { floatAttribute, intAttribute } from '../attributes';
import type { GradientRule } from '../define';
import { scale, sumTo } from '../gradients';

export const gemmGradient: GradientRule = ({ node, builder, outputGradients, type, wants }) => {
  const [g] = outputGradients;
  const [a, b, c] = node.inputs;
  const [y] = node.outputs;
  if (!g || !a || !b || !y) return [];
  const transA = intAttribute(node, 'transA', 0) ? 1 : 0;
  const transB = intAttribute(node, 'transB', 0) ? 1 : 0;
  const alpha = floatAttribute(node, 'alpha', 1);
  const gemm = (left: string, right: string, leftT: number, rightT: number) =>
    builder.node('Gemm', [left, right], {
      alpha: attr.float(alpha),
      transA: attr.int(leftT),
      transB: attr.int(rightT),
    });
  const da = () => (transA ? gemm(b, g, transB, 1) : gemm(g, b, 0, 1 - transB));
  const db = () => (transB ? gemm(g, a, 1, transA) : gemm(a, g, 1 - transA, 0));
  const dc = (name: string) =>
    scale(
      builder,
      sumTo(builder, g, type(y).dims, type(name).dims),
      floatAttribute(node, 'beta', 1),
    );
  return [
    wants(0) ? da() : undefined,
    wants(1) ? db() : undefined,
    c && wants(2) ? dc(c) : undefined,
  ];
};
