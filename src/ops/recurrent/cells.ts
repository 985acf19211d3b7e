/** One step of each cell as nodes; the equations stand in reference.ts. */
import { attr } from '../../onnx/graph';
import type { Activation } from './activations';
import { GATES } from './settings';
import type { Direction, RecurrentOp } from './settings';
import type { Writer } from './writer';

/** Gates next to each other that share an activation. */
interface Group {
  readonly activate: (x: string) => string;
  /** x Wᵀ + b of each step: [batch, gates · hidden]. */
  readonly steps: readonly string[];
  /** [gates · hidden, hidden] */
  readonly r: string;
  /** Recurrent bias that is not in `steps`: GRU's Rbh where it is multiplied by the reset gate. */
  readonly rb: string | undefined;
}

export interface State {
  readonly h: string;
  readonly c: string;
}

export type Step = (t: number, state: State) => State;

export interface Parameters {
  readonly flat: string;
  readonly w: string;
  readonly r: string;
  readonly b: string | undefined;
  readonly p: string | undefined;
}

/** @param from, to gates of the group @param apart the recurrent bias stays out of the steps */
function groupOf(
  writer: Writer,
  { flat, w, r, b }: Parameters,
  activation: Activation,
  [from, to]: readonly [number, number],
  gates: number,
  apart = false,
): Group {
  const { builder, sizes } = writer;
  const { time, batch, hidden } = sizes;
  const whole = from === 0 && to === gates;
  const cut = (name: string, offset = 0) =>
    whole && offset === 0 && name !== b
      ? name
      : writer.rows(name, (offset + from) * hidden, (offset + to) * hidden);
  const wb = b === undefined ? undefined : cut(b);
  const rb = b === undefined ? undefined : cut(b, gates);
  const bias = wb === undefined || rb === undefined || apart ? wb : writer.add(wb, rb);
  const projected = builder.node('Gemm', [flat, cut(w), ...(bias === undefined ? [] : [bias])], {
    transB: attr.int(1),
  });
  const steps = writer.split(
    projected,
    Array.from({ length: time }, () => batch),
    0,
  );
  return { activate: writer.activate(activation), steps, r: cut(r), rb: apart ? rb : undefined };
}

export function stepOf(
  writer: Writer,
  op: RecurrentOp,
  direction: Direction,
  parameters: Parameters,
): Step {
  const { builder, sizes, settings, add, mul } = writer;
  const { hidden } = sizes;
  const [f, g, h] = direction.activations;
  if (!f) throw new RangeError('An activation is missing.');
  const gates = GATES[op];
  const group = (activation: Activation, from: number, to: number, apart = false) =>
    groupOf(writer, parameters, activation, [from, to], gates, apart);
  const withState = ({ steps, r }: Group, t: number, state: string) =>
    builder.node('Gemm', [state, r, steps[t] ?? ''], { transB: attr.int(1) });
  if (op === 'RNN') {
    const all = group(f, 0, 1);
    return (t, state) => ({ h: all.activate(withState(all, t, state.h)), c: '' });
  }
  if (!g) throw new RangeError('An activation is missing.');
  if (op === 'GRU') {
    const zr = group(f, 0, 2);
    const candidate = group(g, 2, 3, settings.linearBeforeReset);
    return (t, { h: state }) => {
      const [z = '', reset = ''] = writer.split(
        zr.activate(withState(zr, t, state)),
        [hidden, hidden],
        1,
      );
      let input: string;
      if (settings.linearBeforeReset) {
        const { r, rb, steps } = candidate;
        const recurrent = builder.node('Gemm', [state, r, ...(rb === undefined ? [] : [rb])], {
          transB: attr.int(1),
        });
        input = add(steps[t] ?? '', mul(reset, recurrent));
      } else {
        input = withState(candidate, t, mul(reset, state));
      }
      // (1 − z) ⊙ h + z ⊙ H
      const made = candidate.activate(input);
      return { h: add(made, mul(z, builder.node('Sub', [state, made]))), c: '' };
    };
  }
  if (!h) throw new RangeError('An activation is missing.');
  const cell = group(g, 3, 4);
  // The clip is for the gates: the cell itself passes as it is.
  const output = (c: string) => h.emit(builder, c);
  const mix = (i: string, forget: string, made: string, c: string) =>
    add(mul(forget, c), mul(i, made));
  const forgetOf = (i: string) => builder.node('Sub', [writer.scalar(1), i]);
  const { p } = parameters;
  if (p === undefined) {
    const iof = group(f, 0, 3);
    return (t, state) => {
      const [i = '', o = '', forget = ''] = writer.split(
        iof.activate(withState(iof, t, state.h)),
        [hidden, hidden, hidden],
        1,
      );
      const made = cell.activate(withState(cell, t, state.h));
      const c = mix(i, settings.inputForget ? forgetOf(i) : forget, made, state.c);
      return { h: mul(o, output(c)), c };
    };
  }
  const [i, o, forget] = [group(f, 0, 1), group(f, 1, 2), group(f, 2, 3)];
  const peepholes = writer.split(p, [hidden, hidden, hidden], 0);
  const peep = (index: number, c: string) => mul(peepholes[index] ?? '', c);
  return (t, state) => {
    const gate = (own: Group, index: number, c: string) =>
      own.activate(add(withState(own, t, state.h), peep(index, c)));
    const input = gate(i, 0, state.c);
    const kept = settings.inputForget ? forgetOf(input) : gate(forget, 2, state.c);
    const c = mix(input, kept, cell.activate(withState(cell, t, state.h)), state.c);
    return { h: mul(gate(o, 1, c), output(c)), c };
  };
}
