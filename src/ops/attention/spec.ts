import type { OpSpec } from '../define';
import { expandAttention } from './expand';
import { runAttention } from './reference';
import { rotaryEmbeddingSpec } from './rotary';
import { attentionTypes } from './settings';

const attentionSpec: OpSpec = {
  name: 'Attention',
  domain: '',
  inputs: [3, 6],
  infer: attentionTypes,
  reference: runAttention,
  expand: expandAttention,
};

export const attentionSpecs: readonly OpSpec[] = [attentionSpec, rotaryEmbeddingSpec];
