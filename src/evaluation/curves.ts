/**
 * One-vs-rest curves of one class over all thresholds, with the conventions of scikit-learn:
 *   ROC: TPR = TP / P against FPR = FP / N; AUC by the trapezoid rule            (Fawcett 2006)
 *   PR:  precision against recall; AP = sum over n of (R_n - R_(n-1)) P_n
 * A row counts as positive when its score is at least the threshold; tied scores move together.
 */
import type { CurvePoint } from '../protocol/entities';

const MOST_POINTS = 200;
/** Threshold above every probability. Finite, because reports are stored as JSON. */
const ABOVE_ALL = 1.000001;

interface Counts {
  readonly threshold: number;
  readonly truePositives: number;
  readonly falsePositives: number;
}

export interface RocCurve {
  readonly auc: number;
  readonly points: readonly CurvePoint[];
}

export interface PrCurve {
  readonly averagePrecision: number;
  readonly points: readonly CurvePoint[];
}

/** Null where a class has no positive or no negative row: the curves are undefined there. */
export function curves(
  scores: Float64Array,
  positive: Uint8Array,
): { readonly roc: RocCurve; readonly pr: PrCurve } | null {
  const positives = positive.reduce((sum, value) => sum + value, 0);
  const negatives = positive.length - positives;
  if (positives === 0 || negatives === 0) return null;
  const counts = countsByThreshold(scores, positive);
  const roc = counts.map(({ threshold, truePositives, falsePositives }) => ({
    threshold,
    x: falsePositives / negatives,
    y: truePositives / positives,
  }));
  const pr = counts.map(({ threshold, truePositives, falsePositives }) => ({
    threshold,
    x: truePositives / positives,
    y: truePositives + falsePositives === 0 ? 1 : truePositives / (truePositives + falsePositives),
  }));
  let auc = 0;
  let averagePrecision = 0;
  for (let index = 1; index < counts.length; index++) {
    const [r0, r1, p0, p1] = [roc[index - 1], roc[index], pr[index - 1], pr[index]];
    if (!r0 || !r1 || !p0 || !p1) continue;
    auc += ((r1.x - r0.x) * (r1.y + r0.y)) / 2;
    averagePrecision += (p1.x - p0.x) * p1.y;
  }
  return {
    roc: { auc, points: thin(roc) },
    pr: { averagePrecision, points: thin(pr) },
  };
}

/** Cumulative counts at each distinct score, from nothing predicted positive to everything. */
function countsByThreshold(scores: Float64Array, positive: Uint8Array): Counts[] {
  const order = Uint32Array.from(scores, (_, index) => index);
  order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
  const counts: Counts[] = [{ threshold: ABOVE_ALL, truePositives: 0, falsePositives: 0 }];
  let truePositives = 0;
  let falsePositives = 0;
  for (const [place, row] of order.entries()) {
    if (positive[row]) truePositives++;
    else falsePositives++;
    const threshold = scores[row] ?? 0;
    const next = order[place + 1];
    if (next === undefined || scores[next] !== threshold)
      counts.push({ threshold, truePositives, falsePositives });
  }
  return counts;
}

/**
 * Drops points on a straight line, then keeps at most 200 at equal distances along the curve, ends included:
 * a steep rise keeps its shape however few thresholds it spans.
 */
export function thin(points: readonly CurvePoint[]): readonly CurvePoint[] {
  const bends = points.filter((point, index) => {
    const [before, after] = [points[index - 1], points[index + 1]];
    if (!before || !after) return true;
    const cross =
      (point.x - before.x) * (after.y - before.y) - (point.y - before.y) * (after.x - before.x);
    return Math.abs(cross) > 1e-15;
  });
  if (bends.length <= MOST_POINTS) return bends;
  const along: number[] = [0];
  for (let index = 1; index < bends.length; index++) {
    const [a, b] = [bends[index - 1], bends[index]];
    if (a && b) along.push((along.at(-1) ?? 0) + Math.abs(b.x - a.x) + Math.abs(b.y - a.y));
  }
  const length = along.at(-1) ?? 0;
  const kept: CurvePoint[] = [];
  for (const [index, point] of bends.entries()) {
    const due = (length * kept.length) / (MOST_POINTS - 1);
    const last = index === bends.length - 1;
    if (last || ((along[index] ?? 0) >= due && kept.length < MOST_POINTS - 1)) kept.push(point);
  }
  return kept;
}
