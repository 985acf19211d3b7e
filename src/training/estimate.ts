/**
 * What a run will take of memory, from its graphs alone: no device is opened. On the graphics processor the very plan
 * is drawn up that would run; elsewhere the values that are alive at once are added up in the order of the graph.
 */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { ExecutorName, Precision, StateSpec } from '../engine/executor';
import type { DeviceLimits, MemoryEstimate, MemoryRemedy } from '../protocol/memory';
import type { TrainingConfig } from '../protocol/entities';
import { valueBytes } from './liveness';
import { withBatch } from './look';
import { divisors } from './micro-batch';
import { runGraphs } from './run-graphs';
import type { GraphsRequest } from './run-graphs';
import type { StepGraph } from './training-graph';

export interface EstimateRequest extends Omit<GraphsRequest, 'precision'> {
  /** What the executor will compute in. */
  readonly precision: Precision;
  /** Of the graphics processor; null where they are not known, and then nothing is refused. */
  readonly limits: DeviceLimits | null;
  /** Whether another executor may be proposed. */
  readonly others: readonly ExecutorName[];
}

/** WebAssembly addresses its memory with 32 bits. */
const WASM_BYTES = 2 ** 32;

const NONE: ReadonlyMap<string, string> = new Map();

interface ProgramBytes {
  readonly arena: number;
  readonly feeds: number;
  readonly constants: number;
  readonly largest: number;
}

type Measured = Omit<MemoryEstimate, 'limit' | 'fits' | 'remedies'>;

async function programBytes(
  executor: ExecutorName,
  step: StepGraph,
  state: readonly StateSpec[],
  precision: Precision,
): Promise<ProgramBytes> {
  if (executor === 'webgpu') {
    const { estimateStep } = await import('../engine/plan/estimate');
    const { arena, feeds, results, constants, largest } = estimateStep(step.graph, state, {
      ...step,
      precision,
    });
    return { arena, feeds: feeds + results, constants, largest };
  }
  const held = new Set(state.map(({ name }) => name));
  const { peak, feeds, constants, largest } = valueBytes(step.graph, held);
  return { arena: peak, feeds, constants, largest: Math.max(largest, constants) };
}

async function measure(request: EstimateRequest): Promise<Measured> {
  const { executor, precision } = request;
  const { learning, judging, rows } = runGraphs(request);
  const { micro, stateSpecs } = learning;
  const parts: ProgramBytes[] = [];
  for (const step of micro ? [micro, learning] : [learning]) {
    parts.push(await programBytes(executor, step, stateSpecs, precision));
  }
  const { graph, outputs } = judging;
  const check = { graph, outputs, updates: NONE };
  parts.push(await programBytes(executor, check, stateSpecs, 'float32'));
  const sum = (of: (part: ProgramBytes) => number): number =>
    parts.reduce((total, part) => total + of(part), 0);
  const state = stateSpecs.reduce((total, { dims }) => total + sizeOf(dims) * 4, 0);
  const [arena, feeds, constants] = [
    sum((part) => part.arena),
    sum((part) => part.feeds),
    sum((part) => part.constants),
  ];
  const learned = {
    executor,
    arena,
    state,
    snapshot: state,
    feeds,
    constants,
    total: arena + feeds + constants + 2 * state,
    largest: Math.max(state, ...parts.map(({ largest }) => largest)),
  };
  const body = request.looked ? request.lesson?.split?.body : undefined;
  if (!body) return learned;
  // The frozen part looks at the rows before, and is gone when learning begins.
  const frozen = withBatch(body, rows);
  const look = { graph: frozen, outputs: frozen.outputs.map(({ name }) => name), updates: NONE };
  const looking = await programBytes(executor, look, [], 'float32');
  const total = looking.arena + looking.feeds + looking.constants;
  const largest = Math.max(learned.largest, looking.largest);
  if (total <= learned.total) return { ...learned, largest };
  return { ...looking, executor, state: 0, snapshot: 0, total, largest };
}

function limitOf({ executor, limits }: EstimateRequest): MemoryEstimate['limit'] {
  if (executor === 'wasm') return { of: 'total', bytes: WASM_BYTES };
  if (executor === 'webgpu' && limits) return { of: 'piece', bytes: limits.pieceBytes };
  return null;
}

function fitting(measured: Measured, limit: MemoryEstimate['limit']): boolean {
  return limit === null || measured[limit.of === 'piece' ? 'largest' : 'total'] <= limit.bytes;
}

export async function estimateMemory(request: EstimateRequest): Promise<MemoryEstimate> {
  const measured = await measure(request);
  const limit = limitOf(request);
  const fits = fitting(measured, limit);
  return { ...measured, limit, fits, remedies: fits ? [] : await remediesFor(request) };
}

/** The same with other settings of training; null where that would not fit either. */
async function tried(
  request: EstimateRequest,
  change: Partial<TrainingConfig>,
): Promise<Measured | null> {
  const { config } = request;
  const training = { ...config.training, ...change };
  const changed = { ...request, config: { ...config, training } };
  const measured = await measure(changed);
  return fitting(measured, limitOf(changed)) ? measured : null;
}

async function remediesFor(request: EstimateRequest): Promise<MemoryRemedy[]> {
  const { batchSize, accumulate = 1 } = request.config.training;
  const remedies: MemoryRemedy[] = [];
  const more = divisors(batchSize).filter((parts) => parts > accumulate);
  // In halves: bytes fall as parts grow, and each trial builds the graphs anew.
  let best: Extract<MemoryRemedy, { kind: 'accumulate' }> | null = null;
  for (let [low, high] = [0, more.length]; low < high;) {
    const middle = (low + high) >> 1;
    const parts = more[middle] ?? 1;
    const found = await tried(request, { accumulate: parts });
    if (found === null) low = middle + 1;
    else {
      const rows = batchSize / parts;
      best = { kind: 'accumulate', accumulate: parts, rows, total: found.total };
      high = middle;
    }
  }
  if (best) {
    remedies.push(best);
    const smaller = await tried(request, { batchSize: best.rows, accumulate: 1 });
    if (smaller) {
      remedies.push({ kind: 'batch', batchSize: best.rows, total: smaller.total });
    }
  }
  for (const executor of request.others) {
    const other = { ...request, executor };
    const measured = await measure(other);
    if (fitting(measured, limitOf(other))) {
      remedies.push({ kind: 'executor', executor, total: measured.total });
    }
  }
  return remedies;
}

const NAMES: Readonly<Record<ExecutorName, string>> = {
  webgpu: 'the graphics processor',
  wasm: 'the processor',
  reference: 'the reference interpreter',
};

/** 1 GB is 10⁹ bytes, as browsers and systems name it. */
function size(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

function told(remedy: MemoryRemedy): string {
  switch (remedy.kind) {
    case 'accumulate':
      return `batches in ${remedy.accumulate} parts of ${remedy.rows} rows (${size(remedy.total)})`;
    case 'batch':
      return `a batch size of ${remedy.batchSize} (${size(remedy.total)})`;
    case 'executor':
      return `${NAMES[remedy.executor]} (${size(remedy.total)})`;
  }
}

/** The refusal of a run that would not fit; it says what would. */
export function tooLarge(estimate: MemoryEstimate): AppError {
  const { executor, total, largest, limit, remedies } = estimate;
  const most = limit ? size(limit.bytes) : '';
  const needs =
    limit?.of === 'piece'
      ? `This run needs ${size(largest)} in one piece, and ${NAMES[executor]} takes at most ${most}.`
      : `This run needs about ${size(total)}, and ${NAMES[executor]} can hold ${most}.`;
  const help =
    remedies.length > 0
      ? `What would fit: ${remedies.map(told).join(', or ')}.`
      : 'No smaller batch would fit: choose a smaller model, or let fewer of its weights learn.';
  return new AppError('training/memory', `${needs} ${help}`, { estimate });
}
