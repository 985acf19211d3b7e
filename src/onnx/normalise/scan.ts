/**
 * Scan of opset 8 runs each row of a batch by itself: axis 0 of all its inputs and outputs is the batch. In later
 * opsets that is a Scan over the rows, whose body is the Scan over time.
 */
import { attr } from '../graph';
import type { Graph, ValueInfo } from '../graph';
import { cannotNormalise, intOf, intsOf } from './rule';
import type { Rule } from './rule';

export const batchedScan: Rule = (node, context) => {
  if (context.opset >= 9) return undefined;
  const [lengths, ...inputs] = node.inputs;
  const body = node.attributes.get('body');
  if (lengths || body?.type !== 'graph') {
    throw cannotNormalise(
      node,
      'has rows of their own length (opset 8), which later opsets do not know',
    );
  }
  const step = body.value;
  const scanned = intOf(node, 'num_scan_inputs', 0);
  const states = inputs.length - scanned;
  const directions = intsOf(node, 'directions');
  /** A value of one row: that of one step, with the time in front where it is scanned or stacked. */
  const ofRow = (stem: string, infos: readonly ValueInfo[]): ValueInfo[] =>
    infos.map((info, index) => ({
      ...info,
      name: `${node.name}/${stem}${index}`,
      dims: index < states ? info.dims : [`${node.name}/time`, ...info.dims],
    }));
  const row: Graph = {
    ...step,
    name: `${node.name}/row`,
    inputs: ofRow('in', step.inputs),
    outputs: ofRow('out', step.outputs),
    nodes: [],
    initializers: new Map(),
    valueInfo: new Map(),
  };
  const inner = {
    name: `${node.name}/row`,
    op: 'Scan',
    domain: '',
    inputs: row.inputs.map(({ name }) => name),
    outputs: row.outputs.map(({ name }) => name),
    attributes: new Map([
      ['body', body],
      ['num_scan_inputs', attr.int(scanned)],
      ...(directions ? [['scan_input_directions', attr.ints(directions)] as const] : []),
    ]),
  };
  return {
    ...node,
    inputs,
    attributes: new Map([
      ['body', attr.graph({ ...row, nodes: [inner] })],
      ['num_scan_inputs', attr.int(inputs.length)],
    ]),
  };
};
