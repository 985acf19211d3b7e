import type { OpSpec } from '../define';
import { expandRecurrent } from './expand';
import { runRecurrent } from './reference';
import { recurrentTypes } from './settings';
import type { RecurrentOp } from './settings';

const spec = (name: RecurrentOp, most: number): OpSpec => ({
  name,
  domain: '',
  inputs: [3, most],
  infer: (context) => recurrentTypes(context, name),
  reference: (node, inputs) => runRecurrent(name, node, inputs),
  expand: (context) => expandRecurrent(name, context),
});

export const recurrentSpecs: readonly OpSpec[] = [spec('RNN', 6), spec('GRU', 6), spec('LSTM', 8)];
