import { sizeOf } from '../../core/dtype';
import { floatAttribute, intAttribute } from '../../ops/attributes';
import { addressOf, broadcastStrides, f32 } from '../../ops/lowering/address';
import { hasInput, input, only, outputType } from '../../ops/lowering/context';
import type { Lowering, LoweringTable } from '../../ops/lowering/plan';

const gemm: Lowering = (context) => {
  const { node, plan } = context;
  const [a, b] = [input(context, 0), input(context, 1)];
  const ta = intAttribute(node, 'transA', 0) === 1;
  const tb = intAttribute(node, 'transB', 0) === 1;
  const out = outputType(context);
  const [M = 1, N = 1] = out.dims;
  const K = a.dims[ta ? 0 : 1] ?? 1;
  const y = only(
    plan.kernel({
      label: 'Gemm',
      inputs: [a, b],
      outputs: [out],
      body: `let r = index / ${N}; let c = index % ${N}; var t = 0.0;
for (var k = 0; k < ${K}; k++) { t += x0(${ta ? `k * ${M} + r` : `r * ${K} + k`}) * x1(${tb ? `c * ${K} + k` : `k * ${N} + c`}); }
y0(index, t * ${f32(floatAttribute(node, 'alpha', 1))});`,
    }),
  );
  if (!hasInput(context, 2)) return [y];
  const c = input(context, 2);
  return [
    plan.pointwise({
      label: 'Bias',
      inputs: [y, c],
      output: out,
      value: `x0(index) + ${f32(floatAttribute(node, 'beta', 1))} * x1(${addressOf(out.dims, broadcastStrides(c.dims, out.dims))})`,
    }),
  ];
};
const matmul: Lowering = (context) => {
  const { plan } = context;
  const [a, b] = [input(context, 0), input(context, 1)];
  const out = outputType(context);
  const [M = 1, N = 1] = out.dims.slice(-2);
  const K = a.dims.at(-1) ?? 1;
  const batch = out.dims.slice(0, -2);
  void sizeOf;
  const sa = broadcastStrides(
    a.dims.slice(0, -2).map((d) => d),
    batch,
  );
  const sb = broadcastStrides(
    b.dims.slice(0, -2).map((d) => d),
    batch,
  );
  return [
    only(
      plan.kernel({
        label: 'MatMul',
        inputs: [a, b],
        outputs: [out],
        body: `let r = (index / ${N}) % ${M}; let c = index % ${N}; let n = index / ${M * N}; var t = 0.0;
let pa = (${addressOf(batch, sa, 'n')}) * ${M * K}; let pb = (${addressOf(batch, sb, 'n')}) * ${K * N};
for (var k = 0; k < ${K}; k++) { t += x0(pa + r * ${K} + k) * x1(pb + k * ${N} + c); }
y0(index, t);`,
      }),
    ),
  ];
};
export const LINEAR: LoweringTable = { Gemm: gemm, MatMul: matmul };
const soft =
  (log: boolean): Lowering =>
  (context) => {
    const x = input(context, 0);
    const n = x.dims.at(-1) ?? 1;
    return context.plan.kernel({
      label: context.node.op,
      inputs: [x],
      outputs: [outputType(context)],
      items: sizeOf(x.dims) / n,
      body: `let o = index * ${n}; var top = x0(o); for (var k = 1; k < ${n}; k++) { top = max(top, x0(o + k)); }
var sum = 0.0; for (var k = 0; k < ${n}; k++) { sum += exp(x0(o + k) - top); }
for (var k = 0; k < ${n}; k++) { y0(o + k, ${log ? 'x0(o + k) - top - log(sum)' : 'exp(x0(o + k) - top) / sum'}); }`,
    });
  };
Object.assign(LINEAR, { Softmax: soft(false), LogSoftmax: soft(true) });
