// What is made of the bench's rounds: medians, ratios round by round, verdicts and a table. Pure, so that it is tested
// without a browser. A ratio is what a contender takes divided by what ours takes in the same round on the same
// backend: above 1, ours is faster.

/** Ours must be this many times as fast on each model; on operators alone nothing is promised. */
export const FLOORS = { webgpu: { tfjs: 5, 'jax-js': 1.3 }, wasm: { tfjs: 3, 'jax-js': 1.2 } };

/** Losses after ten equal steps may differ by this share; the order of sums explains far less. */
export const LOSS_TOLERANCE = 1e-3;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return NaN;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Round by round, so that what slows the machine for a while slows both sides of a ratio. */
export function ratios(times, own) {
  return spread(times.map((time, round) => time / own[round]));
}

/**
 * @param task `{ title, examples, operations, model, contenders: [{ library, backend, times, loss } | { …, error }] }`
 * @returns the task with `ms`, `ratio`, `floor` and `passes` for each contender
 */
export function judged(task) {
  const own = (backend) =>
    task.contenders.find((entry) => entry.library === 'ours' && entry.backend === backend)?.times;
  const contenders = task.contenders.map((entry) => {
    if (entry.error) return entry;
    const ms = spread(entry.times);
    const base = own(entry.backend);
    const judgedEntry = { ...entry, ms };
    if (task.operations > 0) judgedEntry.gigaflops = task.operations / ms.median / 1e6;
    if (entry.library === 'ours' || entry.library === 'native' || !base) return judgedEntry;
    const ratio = ratios(entry.times, base);
    const floor = task.model ? FLOORS[entry.backend][entry.library] : undefined;
    return { ...judgedEntry, ratio, floor, passes: floor && ratio.median >= floor };
  });
  const native = contenders.find(({ library, error }) => library === 'native' && !error);
  const toNative = {};
  for (const backend of ['webgpu', 'wasm']) {
    const base = own(backend);
    if (native && base) toNative[backend] = ratios(base, native.times);
  }
  return { ...task, contenders, toNative, losses: agreement(contenders) };
}

/** How far the losses (of operators: the numbers that are looked at) lie apart, as a share of the first or of 1. */
function agreement(contenders) {
  const losses = contenders.flatMap(({ loss, number }) => loss ?? number ?? []);
  if (losses.length === 0) return undefined;
  const isModel = contenders.some(({ loss }) => loss !== undefined);
  const scale = isModel ? Math.abs(losses[0]) : Math.max(1, Math.abs(losses[0]));
  const apart = (Math.max(...losses) - Math.min(...losses)) / scale;
  return { apart, agree: apart <= LOSS_TOLERANCE };
}

const times = (value) => `${value.toFixed(value < 10 ? 2 : 1)}x`;
const milliseconds = (value) => value.toFixed(value < 10 ? 2 : 1);

function cellsOf(entry) {
  const { library, backend, version, error } = entry;
  if (error) return [library, backend, 'refuses', '', '', '', error];
  const { ms, ratio, floor, passes, loss, gigaflops } = entry;
  const speed = gigaflops === undefined ? '' : `${gigaflops.toFixed(1)} GFLOP/s`;
  const verdict = floor === undefined ? '' : ` ${passes ? 'ok' : 'MISSED'} (${floor}x)`;
  return [
    library,
    backend,
    milliseconds(ms.median),
    `${milliseconds(ms.min)}–${milliseconds(ms.max)}`,
    ratio ? `${times(ratio.median)} [${times(ratio.min)}–${times(ratio.max)}]${verdict}` : '',
    loss === undefined ? speed : loss.toFixed(5),
    version,
  ];
}

const HEAD = ['library', 'on', 'ms', 'min–max', 'of ours', 'result', 'version or reason'];
const RIGHT = new Set([2, 3]);

/** @param tasks as `judged` gives them */
export function table(tasks) {
  const blocks = tasks.map(({ title, contenders }) => ({ title, rows: contenders.map(cellsOf) }));
  const all = [HEAD, ...blocks.flatMap(({ rows }) => rows)];
  const widths = HEAD.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const line = (row) =>
    `  ${row
      .map((cell, i) => (RIGHT.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()}`;
  const lines = blocks.flatMap(({ title, rows }) => ['', title, ...rows.map(line)]);
  return [line(HEAD), ...lines].join('\n');
}

/** One line a task: do the losses agree, how far is native, what share of the card's peak. */
export function remarks(task, { peak } = {}) {
  const lines = [];
  const { title, losses, toNative } = task;
  if (losses) {
    const apart = losses.apart.toExponential(1);
    lines.push(
      `${title}: ${task.model ? 'losses after 10 steps' : 'results'} ${losses.agree ? 'agree' : 'DISAGREE'} (${apart}).`,
    );
  }
  for (const [backend, ratio] of Object.entries(toNative)) {
    const range = `[${times(ratio.min)}–${times(ratio.max)}]`;
    const what = task.model ? ' (forward and backward only)' : '';
    lines.push(
      `${title}: ours on ${backend} takes ${times(ratio.median)} ${range} of native${what}.`,
    );
  }
  for (const entry of task.contenders) {
    if (!peak || entry.error || entry.backend !== 'webgpu' || !entry.gigaflops) continue;
    const teraflops = entry.gigaflops / 1e3;
    const share = ((teraflops / peak) * 100).toFixed(1);
    lines.push(`${title}: ${entry.library} ${teraflops.toFixed(2)} TFLOP/s, ${share} % of peak.`);
  }
  return lines;
}

/** Where one of our steps takes its time: equal kernels together, the longest first. */
export function profileLines({ title, clock, stepMicros, kernels }) {
  const groups = new Map();
  for (const { label, micros, bytesRead, bytesWritten } of kernels) {
    const group = groups.get(label) ?? { label, count: 0, micros: 0, bytes: 0 };
    group.count++;
    group.micros += micros;
    group.bytes += bytesRead + bytesWritten;
    groups.set(label, group);
  }
  const total = kernels.reduce((sum, { micros }) => sum + micros, 0);
  const sorted = [...groups.values()].sort((a, b) => b.micros - a.micros);
  const head = `${title}: ${(total / 1e3).toFixed(2)} ms in ${kernels.length} kernels (${clock}), ${(stepMicros / 1e3).toFixed(2)} ms with waiting`;
  return [
    head,
    ...sorted.map(({ label, count, micros, bytes }) => {
      const share = ((micros / total) * 100).toFixed(1).padStart(5);
      const rate = micros > 0 ? `${(bytes / micros / 1e3).toFixed(1)} GB/s` : '';
      return `  ${share} %  ${(micros / 1e3).toFixed(3).padStart(9)} ms  ${String(count).padStart(3)}x  ${rate.padStart(11)}  ${label}`;
    }),
  ];
}
