/**
 * Kernels that add up channels: of a tensor [outer, channels, inner], what all elements of one channel come to. Columns
 * of a matrix are channels with `inner` 1. Two forms of the same code, neither with atomics, both in a fixed order:
 *
 * - `threads`: a thread walks a part of one channel. For emulated GPUs, where barriers are dear.
 * - `groups`: a workgroup walks a part of one channel, or of some that lie side by side, so that neighbouring threads
 *   read neighbouring elements; they meet in shared memory by halves.
 *
 * Where channels are too few to fill the device they are cut into parts. The kernel then gives a value for each part,
 * [parts, channels], and the caller adds another that joins them.
 */
import { f32 } from './address';
import type { DeviceTensor, PlanBuilder, StaticType } from './plan';

export interface Channels {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
}

export interface ChannelWalk extends Channels {
  readonly form: 'threads' | 'groups';
  readonly parts: number;
  /** Elements of a part, but for the last, which may be shorter. */
  readonly part: number;
  /** Elements of a channel. */
  readonly length: number;
}

export interface ChannelWriter {
  /** WGSL: the number of elements of this part, as a float. */
  readonly count: string;
  /** For each element: statements that see `i`, its place in the tensor. */
  each(statements: string): string;
  /** WGSL of the sum of a variable over the threads of a channel. */
  sum(variable: string): string;
  /** Statements that one thread of a channel runs: `c` is the channel, `at` the element of [parts, channels]. */
  once(statements: string): string;
}

export interface ChannelKernel {
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly outputs: readonly StaticType[];
  readonly body: (channel: ChannelWriter) => string;
  /** Inputs of which each element is read once. */
  readonly streams?: readonly number[];
}

const GROUP = 256;
/** Channels side by side in a workgroup where elements of one do not lie so: 32 bytes are read at once. */
const BESIDE = 8;
/** Parts are added until so many workgroups run, or threads on a processor; but none gets shorter than that. */
const FULL_GROUPS = 32;
const SHORTEST_GROUP_PART = 2048;
const FULL_THREADS = 256;
const SHORTEST_THREAD_PART = 512;
const UNROLL = 4;

/** Decides form and parts. `sizes` of the tuned choice are outer, channels and inner. */
export function channelWalk(plan: PlanBuilder, family: string, of: Channels): ChannelWalk {
  const { outer, channels, inner } = of;
  const length = outer * inner;
  const form = plan.choose(
    family,
    [outer, channels, inner],
    ['threads', 'groups'],
    plan.traits.software ? 'threads' : 'groups',
  );
  const running = form === 'groups' ? Math.ceil(channels / besideOf(of)) : channels;
  const [full, shortest] =
    form === 'groups' ? [FULL_GROUPS, SHORTEST_GROUP_PART] : [FULL_THREADS, SHORTEST_THREAD_PART];
  const wanted = Math.min(Math.ceil(full / running), Math.floor(length / shortest));
  // A thread takes whole runs of `inner`.
  const unit = form === 'threads' ? inner : 1;
  const units = Math.ceil(length / unit);
  const part = Math.ceil(units / Math.max(1, Math.min(wanted, units))) * unit;
  return { ...of, form, length, part, parts: Math.max(1, Math.ceil(length / part)) };
}

/** Each part on its own, in its order: no further kernel is to be added. */
export const inOnePart = (walk: ChannelWalk): ChannelWalk => ({
  ...walk,
  parts: 1,
  part: walk.length,
});

const besideOf = ({ channels, inner }: Channels): number =>
  inner >= BESIDE ? 1 : Math.min(BESIDE, 2 ** Math.ceil(Math.log2(channels)));

export function channelKernel(
  plan: PlanBuilder,
  walk: ChannelWalk,
  { label, inputs, outputs, body, streams = [] }: ChannelKernel,
): readonly DeviceTensor[] {
  const common = { label, inputs, outputs, streams };
  const { channels, parts } = walk;
  if (walk.form === 'threads') {
    return plan.kernel({ ...common, items: channels * parts, body: threadBody(walk, body) });
  }
  const beside = besideOf(walk);
  const size = Math.min(GROUP, 2 ** Math.floor(Math.log2(plan.traits.workgroupThreads)));
  return plan.kernel({
    ...common,
    workgroups: { count: Math.ceil(channels / beside) * parts, size },
    declarations: meeting(size, beside),
    body: groupBody(walk, body, size, beside),
  });
}

function countOf({ parts, part, length }: ChannelWalk): string {
  if (parts === 1) return f32(length);
  return `f32(min(${part}, ${length} - part * ${part}))`;
}

function threadBody(walk: ChannelWalk, body: ChannelKernel['body']): string {
  const { outer, channels, inner, parts, part } = walk;
  const rows = part / inner;
  const [first, end] =
    parts === 1 ? ['0', `${outer}`] : [`part * ${rows}`, `min(${outer}, (part + 1) * ${rows})`];
  const stride = channels * inner;
  // What a loop itself costs is shared by several elements.
  const each = (statements: string): string => {
    const copies = (place: (copy: number) => string) =>
      Array.from(
        { length: UNROLL },
        (_, copy) => `    { let i = ${place(copy)}; ${statements} }`,
      ).join('\n');
    if (inner === 1) {
      return `  var n = ${first};
  for (; n + ${UNROLL - 1} < last; n += ${UNROLL}) {
${copies((copy) => `(n + ${copy}) * ${stride} + c`)}
  }
  for (; n < last; n++) { let i = n * ${stride} + c; ${statements} }`;
    }
    const whole = inner - (inner % UNROLL);
    return `  for (var n = ${first}; n < last; n++) {
    let run = n * ${stride} + c * ${inner};
    for (var s = 0; s < ${whole}; s += ${UNROLL}) {
${copies((copy) => `run + s + ${copy}`)}
    }
    for (var s = ${whole}; s < ${inner}; s++) { let i = run + s; ${statements} }
  }`;
  };
  const writer: ChannelWriter = {
    count: countOf(walk),
    // A scope of its own, since `n` is declared anew.
    each: (statements) => `  {\n${each(statements)}\n  }`,
    sum: (variable) => variable,
    once: (statements) => `  ${statements}`,
  };
  return `  let c = index % ${channels};
  let part = index / ${channels};
  let at = index;
  let last = ${end};
${body(writer)}`;
}

function groupBody(
  walk: ChannelWalk,
  body: ChannelKernel['body'],
  size: number,
  beside: number,
): string {
  const { channels, inner, parts, part, length } = walk;
  const tiles = Math.ceil(channels / beside);
  const lanes = size / beside;
  const whole = channels % beside === 0;
  const [first, end] =
    parts === 1 ? ['0', `${length}`] : [`part * ${part}`, `min(${length}, (part + 1) * ${part})`];
  const place =
    inner === 1
      ? `e * ${channels} + c`
      : `e / ${inner} * ${channels * inner} + c * ${inner} + e % ${inner}`;
  const writer: ChannelWriter = {
    count: countOf(walk),
    each: (statements) => `  for (var e = ${first} + lane; e < last; e += ${lanes}) {
    let i = ${place};
    ${statements}
  }`,
    sum: (variable) => `channel_sum(local, ${variable})`,
    once: (statements) =>
      `  if (lane == 0${whole ? '' : ` && tile + local < ${channels}`}) { ${statements} }`,
  };
  return `  let part = group / ${tiles};
  let tile = group % ${tiles} * ${beside};
  let lane = local / ${beside};
  // Threads beyond the last channel walk it again and write nothing.
  let c = ${whole ? '' : 'min('}tile + local % ${beside}${whole ? '' : `, ${channels - 1})`};
  let at = part * ${channels} + c;
  let last = ${end};
${body(writer)}`;
}

/** Lanes of a channel lie `beside` apart, so halves bring them together. */
function meeting(size: number, beside: number): string {
  return `
var<workgroup> channel_parts: array<f32, ${size}>;
fn channel_sum(local: i32, own: f32) -> f32 {
  channel_parts[local] = own;
  for (var half = ${size / 2}; half >= ${beside}; half /= 2) {
    workgroupBarrier();
    if (local < half) { channel_parts[local] += channel_parts[local + half]; }
  }
  workgroupBarrier();
  let all = channel_parts[local % ${beside}];
  workgroupBarrier();
  return all;
}
`;
}
