/** Metrics of an evaluation by name, with their figures and intervals in words. */
import { metricOf } from '../../../evaluation/gates';
import type { Estimate, Evaluation, Gate, MetricName } from '../../../protocol/entities';
import { decimal, percent } from '../../messages/format';
import { m } from '../../messages/m';

/** The metric that the project's gate asks for, else accuracy or RMSE. */
export function metricFor(gates: readonly Gate[], report: Evaluation['report']): MetricName {
  const gate = gates.find((other) => other.kind === 'metric' && metricOf(other, report) !== null);
  return gate?.metric ?? (report.task === 'classification' ? 'accuracy' : 'rmse');
}

export function metricEstimate(metric: MetricName, report: Evaluation['report']): Estimate | null {
  return metricOf({ kind: 'metric', metric, threshold: 0 }, report);
}

export function metricFormat(metric: MetricName): (value: number) => string {
  return metric === 'accuracy' || metric === 'f1_macro' ? percent : (value) => decimal(value);
}

export function metricName(metric: MetricName): string {
  return m.train.goal.metric[metric];
}

export function intervalWords(estimate: Estimate, format: (value: number) => string): string {
  return m.common.interval(format(estimate.low), format(estimate.high));
}
