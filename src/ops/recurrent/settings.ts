/** What RNN, GRU and LSTM share: directions, layout, sizes, activations and the shape rule. */
import type { Dim, Node, TensorType } from '../../onnx/graph';
import { floatAttribute, intAttribute, stringAttribute, unsupported } from '../attributes';
import type { InferContext } from '../define';
import { inputType, shapeError, shapeText } from '../shapes';
import { activationsOf } from './activations';
import type { Activation } from './activations';

export type RecurrentOp = 'RNN' | 'GRU' | 'LSTM';

/** Gates in the order in which W, R and B hold them: GRU z r h; LSTM i o f c. */
export const GATES: Readonly<Record<RecurrentOp, number>> = { RNN: 1, GRU: 3, LSTM: 4 };

const DEFAULTS: Readonly<Record<RecurrentOp, readonly string[]>> = {
  RNN: ['Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  LSTM: ['Sigmoid', 'Tanh', 'Tanh'],
};

export interface Direction {
  readonly reverse: boolean;
  /** RNN: f. GRU: f, g. LSTM: f, g, h. */
  readonly activations: readonly Activation[];
}

export interface Settings {
  readonly directions: readonly Direction[];
  /** X is [batch, time, ...] instead of [time, batch, ...], and the outputs likewise. */
  readonly batchFirst: boolean;
  /** What goes into an activation is cut to [−clip, clip]. */
  readonly clip: number | undefined;
  readonly linearBeforeReset: boolean;
  readonly inputForget: boolean;
}

export function settingsOf(node: Node, op: RecurrentOp): Settings {
  const direction = stringAttribute(node, 'direction', 'forward');
  const reversed = direction === 'bidirectional' ? [false, true] : [direction === 'reverse'];
  if (!['forward', 'reverse', 'bidirectional'].includes(direction)) {
    throw unsupported(node, `runs in the direction "${direction}"`);
  }
  const each = DEFAULTS[op];
  const activations = activationsOf(
    node,
    reversed.flatMap(() => each),
  );
  return {
    directions: reversed.map((reverse, index) => ({
      reverse,
      activations: activations.slice(index * each.length, (index + 1) * each.length),
    })),
    batchFirst: intAttribute(node, 'layout', 0) !== 0,
    clip: node.attributes.has('clip') ? floatAttribute(node, 'clip') : undefined,
    linearBeforeReset: intAttribute(node, 'linear_before_reset', 0) !== 0,
    inputForget: intAttribute(node, 'input_forget', 0) !== 0,
  };
}

/** Y [time, directions, batch, hidden], then Y_h and for LSTM Y_c [directions, batch, hidden]. */
export function recurrentTypes(context: InferContext, op: RecurrentOp): TensorType[] {
  const { node } = context;
  const x = inputType(context, 0);
  const weights = inputType(context, 1).dims;
  const recurrence = inputType(context, 2).dims;
  const { directions, batchFirst } = settingsOf(node, op);
  const hidden = recurrence[2] ?? intAttribute(node, 'hidden_size');
  const size = typeof hidden === 'number' ? GATES[op] * hidden : undefined;
  const fits = (dim: Dim | undefined, wanted: Dim | undefined) =>
    wanted === undefined || typeof dim === 'string' || typeof wanted === 'string' || dim === wanted;
  if (x.dims.length !== 3) throw shapeError(node, 'X', 'of rank 3', shapeText(x.dims));
  if (
    weights.length !== 3 ||
    !fits(weights[0], directions.length) ||
    !fits(weights[1], size) ||
    !fits(weights[2], x.dims[2])
  ) {
    const expected = shapeText([directions.length, size ?? 'gates', x.dims[2] ?? 'inputs']);
    throw shapeError(node, 'W', expected, shapeText(weights));
  }
  if (recurrence.length !== 3 || !fits(recurrence[1], size)) {
    const expected = shapeText([directions.length, size ?? 'gates', hidden]);
    throw shapeError(node, 'R', expected, shapeText(recurrence));
  }
  const [first = 0, second = 0] = x.dims;
  const both = directions.length;
  const last = {
    dtype: x.dtype,
    dims: batchFirst ? [first, both, hidden] : [both, second, hidden],
  };
  const y = {
    dtype: x.dtype,
    dims: batchFirst ? [first, second, both, hidden] : [first, both, second, hidden],
  };
  return op === 'LSTM' ? [y, last, last] : [y, last];
}
