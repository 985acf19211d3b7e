/**
 * Gradient of AttentionTrain: (dY, Q, K, V, Y, lse) -> (dQ, dK, dV), each of its input's shape and layout; attributes
 * and shapes are those of AttentionTrain. An output without a name is not wanted.
 *   δᵢ = dYᵢ·Yᵢ,  pᵢⱼ = exp(sᵢⱼ − lseᵢ),  dsᵢⱼ = pᵢⱼ·(dYᵢ·Vⱼ − δᵢ)
 *   dQᵢ = scale·Σⱼ dsᵢⱼ Kⱼ,  dKⱼ = scale·Σᵢ dsᵢⱼ Qᵢ,  dVⱼ = Σᵢ pᵢⱼ dYᵢ
 * Sums over i are also over the H/G query heads that share a key head, head by head. No gradient reaches lse.
 * Dao et al. 2022, arXiv 2205.14135, algorithm 4.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { scalarOf, transpose } from '../gradients';
import { attentionHeads } from '../attention/heads';
import { attentionTypes } from '../attention/settings';
import { checkInputDims, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const [dy, q, k, v, y, lse] = [0, 1, 2, 3, 4, 5].map((index) => inputValue(node, inputs, index));
  if (!dy || !q || !k || !v || !y || !lse) return [];
  const heads = attentionHeads(node, q.dims, k.dims, v.dims);
  const { scale, size, valueSize } = heads;
  const [dq, dk, dv] = [q, k, v].map(({ dtype, dims }) => makeValue(dtype, dims));
  if (!dq || !dk || !dv) return [];
  const add = (to: Float64Array, at: number, value: number) => {
    to[at] = (to[at] as number) + value;
  };
  heads.forEachQuery((query) => {
    let delta = 0;
    for (let d = 0; d < valueSize; d++) {
      delta += (dy.data[query.output + d] as number) * (y.data[query.output + d] as number);
    }
    query.scores(q.data, k.data).forEach((score, j) => {
      const share = Math.exp(score - (lse.data[query.row] as number));
      let slope = 0;
      for (let d = 0; d < valueSize; d++) {
        const g = dy.data[query.output + d] as number;
        slope += g * (v.data[query.value(j) + d] as number);
        add(dv.data, query.value(j) + d, share * g);
      }
      const ds = scale * share * (slope - delta);
      for (let d = 0; d < size; d++) {
        add(dq.data, query.query + d, ds * (k.data[query.key(j) + d] as number));
        add(dk.data, query.key(j) + d, ds * (q.data[query.query + d] as number));
      }
    });
  });
  return [dq, dk, dv];
};

/** As matrix products; lse is not needed where the probabilities are computed as a whole. */
const expand: Expansion = ({ node, builder, type }) => {
  const [dy = '', q = '', k = '', v = '', y = ''] = node.inputs;
  const [dq = '', dk = '', dv = ''] = node.outputs;
  const { dtype } = type(q);
  const heads = attentionHeads(node, type(q).dims, type(k).dims, type(v).dims);
  const { scale, size, valueSize } = heads;
  const nodes = heads.nodes(builder);
  const product = (a: string, b: string) => builder.node('MatMul', [a, b]);
  const turned = (name: string) => transpose(builder, name, [0, 1, 3, 2]);
  const p = builder.node('Softmax', [nodes.scores(q, k)], { axis: attr.int(-1) });
  const g = nodes.grouped(dy, valueSize);
  const toScores = () => {
    const delta = builder.node(
      'ReduceSum',
      [builder.node('Mul', [g, nodes.grouped(y, valueSize)]), builder.ints([-1])],
      { keepdims: attr.int(1) },
    );
    const slope = builder.node('Sub', [product(g, turned(nodes.keyed(v, valueSize))), delta]);
    return builder.node('Mul', [builder.node('Mul', [p, slope]), scalarOf(builder, dtype, scale)]);
  };
  const ds = dq || dk ? toScores() : '';
  return [
    dq && nodes.fromQueries(product(ds, nodes.keyed(k, size)), size),
    dk && nodes.fromKeys(product(turned(ds), nodes.grouped(q, size)), size),
    dv && nodes.fromKeys(product(turned(p), g), valueSize),
  ];
};

export const attentionGradSpec: OpSpec = {
  name: 'AttentionGrad',
  domain: TRAINING_DOMAIN,
  inputs: [6, 6],
  infer: (context) => {
    const { node } = context;
    const forward = { ...node, inputs: node.inputs.slice(1, 4) };
    const inputs = context.inputs.slice(1, 4);
    const [y, , , shown] = attentionTypes({ ...context, node: forward, inputs });
    if (!y || !shown) return [];
    checkInputDims(context, 0, 'dY', y.dims);
    checkInputDims(context, 4, 'Y', y.dims);
    checkInputDims(context, 5, 'lse', shown.dims.slice(0, 3));
    return [1, 2, 3].map((index) => inputType(context, index));
  },
  reference,
  expand,
};
