/**
 * RNN, GRU and LSTM written out over their fixed number of steps. What does not wait for the state, all of x Wᵀ + b,
 * is one product for all steps; a step is then a Gemm for each group of gates with one activation, and element by
 * element work. Rows of shorter sequences keep their state behind their end by Where.
 */

import { attr } from '../../onnx/graph';
import type { ExpansionContext } from '../define';
import { reshapeTo, scalarOf, transpose } from '../gradients';
import { stepOf } from './cells';
import type { State, Step } from './cells';
import { GATES, settingsOf } from './settings';
import type { RecurrentOp } from './settings';
import { Writer } from './writer';

/** Of a value with a leading axis of directions, the one for direction `d`, in shape `dims`. */
function ofDirection(writer: Writer, name: string, d: number, dims: readonly number[]): string {
  const count = writer.settings.directions.length;
  const own = count === 1 ? name : writer.rows(name, d, d + 1);
  return reshapeTo(writer.builder, own, dims);
}

export function expandRecurrent(op: RecurrentOp, context: ExpansionContext): readonly string[] {
  const { node, builder, type } = context;
  const settings = settingsOf(node, op);
  const { batchFirst, directions } = settings;
  const [x = '', w = '', r = '', b = '', lengths = '', h0 = '', c0 = '', p = ''] = node.inputs;
  const [first = 0, second = 0, inputs = 0] = type(x).dims;
  const [time, batch] = batchFirst ? [second, first] : [first, second];
  const hidden = type(r).dims[2] ?? 0;
  const writer = new Writer(builder, { time, batch, inputs, hidden }, settings, (value) =>
    scalarOf(builder, type(x).dtype, value),
  );
  const byTime = batchFirst ? transpose(builder, x, [1, 0, 2]) : x;
  const flat = reshapeTo(builder, byTime, [time * batch, inputs]);
  const masks = lengths === '' ? undefined : stepMasks(writer, lengths);
  const initial = (name: string, d: number) => {
    if (name === '') return writer.zeros([batch, hidden]);
    const leading = batchFirst ? transpose(builder, name, [1, 0, 2]) : name;
    return ofDirection(writer, leading, d, [batch, hidden]);
  };
  const results = directions.map((direction, d) => {
    const step = stepOf(writer, op, direction, {
      flat,
      w: ofDirection(writer, w, d, [GATES[op] * hidden, inputs]),
      r: ofDirection(writer, r, d, [GATES[op] * hidden, hidden]),
      b: b === '' ? undefined : ofDirection(writer, b, d, [2 * GATES[op] * hidden]),
      p: p === '' || op !== 'LSTM' ? undefined : ofDirection(writer, p, d, [3 * hidden]),
    });
    const start = { h: initial(h0, d), c: op === 'LSTM' ? initial(c0, d) : '' };
    return unroll(writer, step, start, direction.reverse, masks);
  });
  const stack = (names: readonly string[], axis: number) =>
    names.length === 1 && names[0] !== undefined
      ? names[0]
      : builder.node('Concat', names, { axis: attr.int(axis) });
  const y = stack(
    results.map((result) => reshapeTo(builder, result.y, [time, 1, batch, hidden])),
    1,
  );
  const last = (pick: (state: State) => string) => {
    const whole = stack(
      results.map(({ state }) => reshapeTo(builder, pick(state), [1, batch, hidden])),
      0,
    );
    return batchFirst ? transpose(builder, whole, [1, 0, 2]) : whole;
  };
  const outputs = [batchFirst ? transpose(builder, y, [2, 0, 1, 3]) : y, last(({ h }) => h)];
  return op === 'LSTM' ? [...outputs, last(({ c }) => c)] : outputs;
}

/** For each step which rows are still inside their sequence: [batch, 1]. Last: which have a sequence at all. */
function stepMasks(writer: Writer, lengths: string): readonly string[] {
  const { builder, sizes } = writer;
  const { time, batch } = sizes;
  const steps = builder.constant(
    'float32',
    [time, 1],
    Array.from({ length: time }, (_, t) => t),
  );
  const row = reshapeTo(builder, builder.node('Cast', [lengths], { to: attr.int(1) }), [1, batch]);
  const inside = reshapeTo(builder, builder.node('Less', [steps, row]), [time * batch, 1]);
  const any = builder.node('Greater', [reshapeTo(builder, row, [batch, 1]), builder.scalar(0)]);
  const parts = writer.split(
    inside,
    Array.from({ length: time }, () => batch),
    0,
  );
  return [...parts, any];
}

function unroll(
  writer: Writer,
  step: Step,
  start: State,
  reverse: boolean,
  masks: readonly string[] | undefined,
): { y: string; state: State } {
  const { builder, sizes } = writer;
  const pick = (mask: string, a: string, b: string) => builder.node('Where', [mask, a, b]);
  const kept = (mask: string, a: State, b: State): State => ({
    h: pick(mask, a.h, b.h),
    c: a.c === '' ? '' : pick(mask, a.c, b.c),
  });
  let state = start;
  const outputs = new Array<string>(sizes.time);
  for (let s = 0; s < sizes.time; s++) {
    const t = reverse ? sizes.time - 1 - s : s;
    const next = step(t, state);
    const mask = masks?.[t];
    outputs[t] = mask === undefined ? next.h : pick(mask, next.h, writer.scalar(0));
    state = mask === undefined ? next : kept(mask, next, state);
  }
  const any = masks?.at(-1);
  if (any !== undefined) {
    const none = writer.zeros([sizes.batch, sizes.hidden]);
    state = kept(any, state, { h: none, c: none });
  }
  const y = outputs.length === 1 ? outputs[0] : undefined;
  return { y: y ?? builder.node('Concat', outputs, { axis: attr.int(0) }), state };
}
