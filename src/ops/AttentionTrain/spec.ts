/**
 * Attention while learning: (Q, K, V) -> (Y, lse), what AttentionGrad needs and no table of probabilities.
 *   Q    [B, T, H·D]   or [B, H, T, D]        K [B, S, G·D] or [B, G, S, D]        V [B, S, G·E] or [B, G, S, E]
 *   Y    [B, T, H·E]   or [B, H, T, E]: all four of one rank, laid out as they are
 *   lse  [B, H, T]     natural logarithm of Σⱼ exp(sᵢⱼ) over the open keys
 *   attributes q_num_heads = H, kv_num_heads = G (H a multiple of G: query head h reads key head ⌊h·G/H⌋), scale
 *   (float), is_causal (0 or 1: query i sees the keys j ≤ i). All four are always given.
 *   sᵢⱼ = scale · Qᵢ·Kⱼ,  pᵢⱼ = exp(sᵢⱼ − lseᵢ),  Yᵢ = Σⱼ pᵢⱼ Vⱼ
 * Vaswani et al. 2017, arXiv 1706.03762; Ainslie et al. 2023, arXiv 2305.13245 (shared heads); Dao et al. 2022, arXiv
 * 2205.14135 (lse instead of probabilities). `differentiate` puts it in the place of Attention without mask, past,
 * cap and further outputs.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { Expansion, GradientRule, OpSpec, ReferenceKernel } from '../define';
import { reshapeTo, trainingNode } from '../gradients';
import { attentionHeads } from '../attention/heads';
import { attentionTypes } from '../attention/settings';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const [q, k, v] = [0, 1, 2].map((index) => inputValue(node, inputs, index));
  if (!q || !k || !v) return [];
  const heads = attentionHeads(node, q.dims, k.dims, v.dims);
  const { batch, queryHeads, queries, valueSize } = heads;
  const y = makeValue(q.dtype, heads.outputDims);
  const lse = makeValue(q.dtype, [batch, queryHeads, queries]);
  heads.forEachQuery((query) => {
    const scores = query.scores(q.data, k.data);
    const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
    const logSum = Math.log(sum) + most;
    lse.data[query.row] = logSum;
    scores.forEach((score, j) => {
      const share = Math.exp(score - logSum);
      for (let d = 0; d < valueSize; d++) {
        const at = query.output + d;
        y.data[at] = (y.data[at] as number) + share * (v.data[query.value(j) + d] as number);
      }
    });
  });
  return [y, lse];
};

const expand: Expansion = ({ node, builder, type }) => {
  const [q = '', k = '', v = ''] = node.inputs;
  const heads = attentionHeads(node, type(q).dims, type(k).dims, type(v).dims);
  const { batch, queryHeads, queries } = heads;
  const nodes = heads.nodes(builder);
  const scores = nodes.scores(q, k);
  const probabilities = builder.node('Softmax', [scores], { axis: attr.int(-1) });
  const lse = builder.node('ReduceLogSumExp', [scores, builder.ints([-1])], {
    keepdims: attr.int(0),
  });
  const y = builder.node('MatMul', [probabilities, nodes.keyed(v, heads.valueSize)]);
  return [
    nodes.fromQueries(y, heads.valueSize),
    reshapeTo(builder, lse, [batch, queryHeads, queries]),
  ];
};

const gradient: GradientRule = ({ node, builder, outputGradients, wants }) => {
  const [g] = outputGradients;
  const [q = '', k = '', v = ''] = node.inputs;
  const [y = '', lse = ''] = node.outputs;
  if (g === undefined) return [];
  const names = ['dq', 'dk', 'dv'].map((name, index) =>
    wants(index) ? `${y}/${name}` : undefined,
  );
  const attributes = Object.fromEntries(node.attributes);
  return trainingNode(builder, 'AttentionGrad', [g, q, k, v, y, lse], names, attributes);
};

export const attentionTrainSpec: OpSpec = {
  name: 'AttentionTrain',
  domain: TRAINING_DOMAIN,
  inputs: [3, 3],
  infer: (context) => {
    const [y, , , shown] = attentionTypes(context);
    return y && shown ? [y, { dtype: y.dtype, dims: shown.dims.slice(0, 3) }] : [];
  },
  reference,
  gradient,
  expand,
};
