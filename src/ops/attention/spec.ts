/**
 * Attention and rotary embeddings. Where a gradient goes through Attention it becomes AttentionTrain, if it is of the
 * common form; others are differentiated through their expansion.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec, TrainingForm } from '../define';
import { expandAttention } from './expand';
import { runAttention } from './reference';
import { rotaryEmbeddingSpec } from './rotary';
import { attentionTypes, settingsOf, sizesOf } from './settings';

const inTraining: TrainingForm = ({ node, type, fresh }) => {
  const [q = '', k = '', v = '', ...others] = node.inputs;
  const [y = '', ...further] = node.outputs;
  const types = [q, k, v].map(type);
  const [query, key, value] = types.map(({ dims }) => dims);
  const { softcap, causal, scale } = settingsOf(node);
  const plain =
    softcap === 0 &&
    [...others, ...further].every((name) => name === '') &&
    types.every(({ dtype, dims }) => dtype === 'float32' && dims.length === query?.length) &&
    [0, 1].includes(intAttribute(node, 'softmax_precision', 0));
  if (!plain || !query || !key || !value) return undefined;
  const { queryHeads, heads, keys, size } = sizesOf(node, query, key, value, undefined);
  if (keys === 0) return undefined;
  return {
    ...node,
    op: 'AttentionTrain',
    domain: TRAINING_DOMAIN,
    inputs: [q, k, v],
    outputs: [y, fresh(`${y}/lse`)],
    attributes: new Map([
      ['q_num_heads', attr.int(queryHeads)],
      ['kv_num_heads', attr.int(heads)],
      ['scale', attr.float(scale ?? 1 / Math.sqrt(size))],
      ['is_causal', attr.int(causal ? 1 : 0)],
    ]),
  };
};

const attentionSpec: OpSpec = {
  name: 'Attention',
  domain: '',
  inputs: [3, 6],
  infer: attentionTypes,
  reference: runAttention,
  trainingForm: inTraining,
  expand: expandAttention,
};

export const attentionSpecs: readonly OpSpec[] = [attentionSpec, rotaryEmbeddingSpec];
