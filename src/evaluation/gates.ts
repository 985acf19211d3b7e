/**
 * Judges a gate with three outcomes. A metric gate is decided only when the whole 95 % interval lies on one side
 * of the threshold; otherwise there are too few rows to tell. Size is exact; latency is judged by its median.
 * Pure and tiny: the page imports this file.
 */
import type { Estimate, Evaluation, Gate, GateOutcome } from '../protocol/entities';

export type Judged = Pick<Evaluation, 'report' | 'latency' | 'bytes'>;

export function judgeGate(gate: Gate, evaluation: Judged): GateOutcome {
  if (gate.kind === 'size') return evaluation.bytes <= gate.threshold ? 'met' : 'not-met';
  if (gate.kind === 'latency')
    return evaluation.latency.medianMs <= gate.threshold ? 'met' : 'not-met';
  const estimate = metricOf(gate, evaluation.report);
  // A metric of the other task says nothing about this model.
  if (!estimate) return 'too-few';
  return judgeEstimate(gate, estimate);
}

/** The figure a metric gate looks at; null where the report is of the other task. */
export function metricOf(gate: Gate, report: Evaluation['report']): Estimate | null {
  if (report.task === 'classification') {
    if (gate.metric === 'accuracy') return report.accuracy;
    return gate.metric === 'f1_macro' ? report.macro.f1 : null;
  }
  if (gate.metric === 'mae') return report.mae;
  if (gate.metric === 'rmse') return report.rmse;
  return gate.metric === 'r2' ? report.r2 : null;
}

/** A metric gate against one estimate: decided only when the whole interval lies on one side. */
export function judgeEstimate(gate: Gate, { low, high }: Estimate): GateOutcome {
  if (gate.metric === 'mae' || gate.metric === 'rmse') {
    if (high <= gate.threshold) return 'met';
    return low > gate.threshold ? 'not-met' : 'too-few';
  }
  if (low >= gate.threshold) return 'met';
  return high < gate.threshold ? 'not-met' : 'too-few';
}
