/** A gate, and the figure it looks at, in words: "Accuracy ≥ 97 %", "98.1 %". */
import { metricOf } from '../evaluation/gates';
import type { Estimate, Evaluation, Gate } from '../protocol/entities';
import { bytes, decimal, milliseconds, percent } from './messages/format';
import { m } from './messages/m';

function metricFigure(gate: Gate, value: number): string {
  return gate.metric === 'accuracy' || gate.metric === 'f1_macro' ? percent(value) : decimal(value);
}

export function gateWords(gate: Gate): string {
  if (gate.kind === 'size') return `${m.train.goal.size} ≤ ${bytes(gate.threshold)}`;
  if (gate.kind === 'latency') return `${m.train.goal.latency} ≤ ${milliseconds(gate.threshold)}`;
  const name = m.train.goal.metric[gate.metric ?? 'accuracy'];
  const sign = gate.metric === 'mae' || gate.metric === 'rmse' ? '≤' : '≥';
  return `${name} ${sign} ${metricFigure(gate, gate.threshold)}`;
}

/** What the gate is held against: parts of an evaluation, or a single estimate. */
export function gateFigure(
  gate: Gate,
  judged: Partial<Pick<Evaluation, 'report' | 'latency' | 'bytes'>> & {
    readonly estimate?: Estimate;
  },
): string {
  if (gate.kind === 'size') return judged.bytes === undefined ? '' : bytes(judged.bytes);
  if (gate.kind === 'latency') return judged.latency ? milliseconds(judged.latency.medianMs) : '';
  const estimate = judged.estimate ?? (judged.report ? metricOf(gate, judged.report) : null);
  return estimate ? metricFigure(gate, estimate.value) : '';
}
