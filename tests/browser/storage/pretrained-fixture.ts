import type { PretrainedSummary } from '../../../src/protocol/pretrained';

export const SUMMARY: PretrainedSummary = {
  inputs: [],
  outputs: [],
  parameters: 3,
  operators: [],
  picture: null,
  head: null,
  cuts: [],
  blocks: [],
  trainingBlockers: [],
  runBlockers: [],
};
