/**
 * RNN (Elman 1990), LSTM (Hochreiter & Schmidhuber 1997, with the forget gate and peepholes of Gers et al. 2000) and
 * GRU (Cho et al. 2014) in ONNX's notation:
 *
 *   RNN   H' = f(x Wᵀ + H Rᵀ + b)
 *   GRU   z, r = f(…)   h = g(x Whᵀ + (r ⊙ H) Rhᵀ + Rbh + Wbh)   H' = (1 − z) ⊙ h + z ⊙ H
 *         linear_before_reset: h = g(x Whᵀ + r ⊙ (H Rhᵀ + Rbh) + Wbh)
 *   LSTM  i, f = f(… + P ⊙ C)   c = g(…)   C' = f ⊙ C + i ⊙ c   o = f(… + Po ⊙ C')   H' = o ⊙ h(C')
 *
 * Rows end at their own length: behind it Y is 0, and the last state is that of the row's end.
 */
import type { Node } from '../../onnx/graph';
import type { Value } from '../define';
import { inputValue, makeValue } from '../value';
import { GATES, settingsOf } from './settings';
import type { Direction, RecurrentOp, Settings } from './settings';

/** Weights of one direction; matrices by rows. */
interface Weights {
  readonly w: Float64Array; // [gates · hidden, inputs]
  readonly r: Float64Array; // [gates · hidden, hidden]
  readonly wb: Float64Array; // [gates · hidden]
  readonly rb: Float64Array; // [gates · hidden]
  readonly p: Float64Array; // [3 · hidden]: i o f
  readonly hidden: number;
}

interface Row {
  h: Float64Array;
  c: Float64Array;
}

function part(value: Value | undefined, index: number, size: number): Float64Array {
  return value ? value.data.subarray(index * size, (index + 1) * size) : new Float64Array(size);
}

function product(matrix: Float64Array, row: number, x: Float64Array): number {
  let sum = 0;
  const from = row * x.length;
  for (let i = 0; i < x.length; i++) sum += (matrix[from + i] as number) * (x[i] as number);
  return sum;
}

type Step = (x: Float64Array, row: Row) => void;

function stepOf(op: RecurrentOp, weights: Weights, direction: Direction, settings: Settings): Step {
  const { w, r, wb, rb, p, hidden } = weights;
  const { clip } = settings;
  const cut = (x: number) => (clip === undefined ? x : Math.min(clip, Math.max(-clip, x)));
  const [f, g] = direction.activations.map(
    ({ apply }) =>
      (x: number) =>
        apply(cut(x)),
  );
  const h = direction.activations[2]?.apply;
  const each = (rule: (unit: number) => number) =>
    Float64Array.from({ length: hidden }, (_, unit) => rule(unit));
  /** Input and recurrent part of a gate with both biases. */
  const gate = (index: number, unit: number, x: Float64Array, state: Float64Array) => {
    const at = index * hidden + unit;
    return product(w, at, x) + product(r, at, state) + (wb[at] as number) + (rb[at] as number);
  };
  if (!f) throw new RangeError('An activation is missing.');
  if (op === 'RNN') {
    return (x, row) => {
      row.h = each((unit) => f(gate(0, unit, x, row.h)));
    };
  }
  if (!g) throw new RangeError('An activation is missing.');
  if (op === 'GRU') {
    return (x, row) => {
      const z = each((unit) => f(gate(0, unit, x, row.h)));
      const reset = each((unit) => f(gate(1, unit, x, row.h)));
      const held = row.h.map((value, unit) => value * (reset[unit] as number));
      const candidate = each((unit) => {
        if (!settings.linearBeforeReset) return g(gate(2, unit, x, held));
        const at = 2 * hidden + unit;
        const recurrent = product(r, at, row.h) + (rb[at] as number);
        return g(product(w, at, x) + (wb[at] as number) + (reset[unit] as number) * recurrent);
      });
      row.h = each((unit) => {
        const share = z[unit] as number;
        return (1 - share) * (candidate[unit] as number) + share * (row.h[unit] as number);
      });
    };
  }
  if (!h) throw new RangeError('An activation is missing.');
  return (x, row) => {
    const { h: state, c: cell } = row;
    const peep = (gateIndex: number, unit: number, of: Float64Array) =>
      (p[gateIndex * hidden + unit] as number) * (of[unit] as number);
    const next = each((unit) => {
      const i = f(gate(0, unit, x, state) + peep(0, unit, cell));
      const forget = settings.inputForget
        ? 1 - i
        : f(gate(2, unit, x, state) + peep(2, unit, cell));
      return forget * (cell[unit] as number) + i * g(gate(3, unit, x, state));
    });
    row.h = each((unit) => {
      const o = f(gate(1, unit, x, state) + peep(1, unit, next));
      // The clip is for the gates: the cell itself passes as it is, as in onnxruntime.
      return o * h(next[unit] as number);
    });
    row.c = next;
  };
}

export function runRecurrent(
  op: RecurrentOp,
  node: Node,
  inputs: readonly (Value | undefined)[],
): readonly Value[] {
  const settings = settingsOf(node, op);
  const { batchFirst, directions } = settings;
  const x = inputValue(node, inputs, 0);
  const w = inputValue(node, inputs, 1);
  const r = inputValue(node, inputs, 2);
  const [, , , biases, lengths, h0, c0, peepholes] = inputs;
  const size = x.dims[2] ?? 0;
  const hidden = r.dims[2] ?? 0;
  const [time = 0, batch = 0] = batchFirst ? [x.dims[1], x.dims[0]] : x.dims;
  const both = directions.length;
  const rows = GATES[op] * hidden;
  const y = makeValue(
    x.dtype,
    batchFirst ? [batch, time, both, hidden] : [time, both, batch, hidden],
  );
  const lastDims = batchFirst ? [batch, both, hidden] : [both, batch, hidden];
  const yh = makeValue(x.dtype, lastDims);
  const yc = makeValue(x.dtype, lastDims);
  directions.forEach((direction, d) => {
    const b = part(biases, d, 2 * rows);
    const weights: Weights = {
      w: part(w, d, rows * size),
      r: part(r, d, rows * hidden),
      wb: b.subarray(0, rows),
      rb: b.subarray(rows),
      p: part(op === 'LSTM' ? peepholes : undefined, d, 3 * hidden),
      hidden,
    };
    const step = stepOf(op, weights, direction, settings);
    for (let n = 0; n < batch; n++) {
      const state = batchFirst ? n * both + d : d * batch + n;
      const row: Row = { h: part(h0, state, hidden), c: part(c0, state, hidden) };
      const length = lengths ? (lengths.data[n] as number) : time;
      for (let s = 0; s < length; s++) {
        const t = direction.reverse ? length - 1 - s : s;
        const from = (batchFirst ? n * time + t : t * batch + n) * size;
        step(x.data.subarray(from, from + size), row);
        const to = batchFirst ? (n * time + t) * both + d : (t * both + d) * batch + n;
        y.data.set(row.h, to * hidden);
      }
      if (length === 0) continue;
      yh.data.set(row.h, state * hidden);
      yc.data.set(row.c, state * hidden);
    }
  });
  return op === 'LSTM' ? [y, yh, yc] : [y, yh];
}
