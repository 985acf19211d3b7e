/** Matrix products. Transposed operands are views; bias, scale and what follows are finished in the tiles. */
import { floatAttribute, intAttribute } from '../../../../ops/attributes';
import { raise, Unsupported } from '../call';
import type { Lowering, LoweringTable } from '../call';
import { f32x4 } from '../code';
import { literal, toKind } from '../expression';
import { expanded, permuted } from '../view';
import type { View } from '../view';

const gemm: Lowering = (call) => {
  const [a, b] = [call.input(0), call.input(1)];
  const turned = (view: View, name: string) =>
    intAttribute(call.node, name, 0) ? permuted(view, [1, 0]) : view;
  const alpha = floatAttribute(call.node, 'alpha', 1);
  const beta = floatAttribute(call.node, 'beta', 1);
  const bias = call.has(2) && beta !== 0 ? call.input(2) : undefined;
  const plain = alpha === 1 && bias === undefined;
  const sums = plain ? call.output() : call.temporary(call.outputDims());
  call.product({ a: turned(a, 'transA'), b: turned(b, 'transB'), output: sums });
  if (plain) return;
  const output = call.output();
  call.pointwise(bias ? [sums, bias] : [sums], output, (_, [sum, c]) => {
    const scaled = toKind(sum ?? raise(), 'float').code;
    const own = alpha === 1 ? scaled : f32x4.mul(scaled, literal(alpha, 'float').code);
    if (c === undefined) return { kind: 'float', code: own };
    const added = beta === 1 ? c.code : f32x4.mul(c.code, literal(beta, 'float').code);
    return { kind: 'float', code: f32x4.add(own, added) };
  });
};

const matMul: Lowering = (call) => {
  const [a, b] = [call.input(0), call.input(1)];
  if (a.dims.length < 2 || b.dims.length < 2 || a.kind !== 'float') throw new Unsupported('MatMul');
  const output = call.output();
  const lead = output.dims.slice(0, -2);
  call.product({
    a: expanded(a, [...lead, ...a.dims.slice(-2)]),
    b: expanded(b, [...lead, ...b.dims.slice(-2)]),
    output,
  });
};

export const ALGEBRA: LoweringTable = { Gemm: gemm, MatMul: matMul };
