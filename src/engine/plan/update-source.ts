/**
 * WGSL of the two kernels of an update. The rules and their sources stand in ops/optimisers/spec.ts, whose reference is
 * the oracle of these kernels.
 *
 * The first gives partial sums of squares, each of the same chunks in the same order at every step. The second adds
 * them up, in every workgroup anew (on a processor, where barriers are dear, in every thread) and in one order, so all
 * have the same norm; a kernel between the two would leave the device idle. Then it updates its chunks.
 */
import { f32 } from '../../ops/lowering/address';
import type { OptimiserPlan } from '../optimiser';
import { CHUNK } from './update-table';

/** WGSL of what the kernels read and write, all but the State as bits of buffers of u32. */
export interface UpdatePlaces {
  /** For each buffer that holds gradients, its element `i`. */
  readonly sources: readonly string[];
  /**
   * A number of the chunk `row`: 0 where its gradient begins, 1 its weight, 2 and 3 its moments, 4 its length, 5
   * whether it decays, 6 the number of its weight, 7 the buffer of its gradient.
   */
  readonly row: (at: string) => string;
  /** Place of a partial sum. */
  readonly part: (at: string) => string;
  /** Of the learning rate, for the weight of `row`; undefined where all learn alike. */
  readonly factor: string | undefined;
  readonly lossScale: string | undefined;
  readonly rate: string;
  readonly step: string;
  readonly clip: string;
  /** Statements that store a result, given as the bits of a float. */
  readonly gradNorm: (bits: string) => string;
  readonly stepDone: (bits: string) => string;
}

export interface UpdateKernel {
  readonly code: string;
  readonly groups: number;
  /** Threads of each. */
  readonly size: number;
}

const GROUP = 256;
const SOFTWARE_GROUP = 16;
/** Workgroups that update; each adds the partial sums again, so they take several chunks. */
const MOST_GROUPS = 1024;
/** A thread by itself takes a quarter of a chunk. */
const QUARTERS = 4;
const QUARTER = CHUNK / QUARTERS;
const UNROLL = 4;

// Compilers may assume that there are no infinities, so they are told by their bits.
const IS_FINITE = `
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }`;

// 1 − exp(x) without losing the digits of a small x: β₂ᵗ is so near to 1 at first that they matter.
const ONE_MINUS_EXP = `
fn one_minus_exp(x: f32) -> f32 {
  if (x < -0.25) { return 1.0 - exp(x); }
  return -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))));
}`;

const MEETING = `
var<workgroup> meeting: array<vec2<f32>, ${GROUP}>;
fn sum_of_all(local: i32, own: vec2<f32>) -> vec2<f32> {
  meeting[local] = own;
  for (var half = ${GROUP / 2}; half > 0; half /= 2) {
    workgroupBarrier();
    if (local < half) { meeting[local] += meeting[local + half]; }
  }
  workgroupBarrier();
  return meeting[0];
}`;

export class UpdateSource {
  constructor(
    readonly optimiser: OptimiserPlan,
    readonly software: boolean,
    readonly chunks: number,
    readonly places: UpdatePlaces,
  ) {}

  /** A partial sum of −1 says that a gradient is not finite, whatever its weight's factor. */
  squares(parts: number): UpdateKernel {
    const { factor, lossScale, row, part } = this.places;
    const { software, chunks } = this;
    const take = (from: string, end: string, step: number): string => `    let base = ${row('0')};
    let source = ${row('7')};
    let end = ${end};
    var squares = 0.0;
${this.#each(
  from,
  step,
  `      let g = gradient(source, base + i);
      if (!is_finite(g)) { total = vec2<f32>(0.0, 1.0); }
      let unscaled = g${lossScale === undefined ? '' : ` / ${lossScale}`};
      squares += unscaled * unscaled;`,
)}
    ${factor === undefined ? 'total.x += squares;' : `if (${factor} != 0.0) { total.x += squares; }`}`;
    const given = `bitcast<u32>(select(-1.0, total.x, total.y == 0.0 && is_finite(total.x)))`;
    if (software) {
      return this.#kernel(
        `  let own = i32(place.x) * ${SOFTWARE_GROUP} + local;
  if (own >= ${parts}) { return; }
  var total = vec2<f32>(0.0);
  for (var row = own; row < ${chunks}; row += ${parts}) {
${take('0', row('4'), 1)}
  }
  ${part('own')} = ${given};`,
        Math.ceil(parts / SOFTWARE_GROUP),
        '',
      );
    }
    return this.#kernel(
      `  let own = i32(place.x);
  var total = vec2<f32>(0.0);
  for (var row = own; row < ${chunks}; row += ${parts}) {
${take('local', row('4'), GROUP)}
  }
  total = sum_of_all(local, total);
  if (local == 0) { ${part('own')} = ${given}; }`,
      parts,
      MEETING,
    );
  }

  apply(parts: number): UpdateKernel {
    const { factor, lossScale, row, part, rate, step, clip, gradNorm, stepDone } = this.places;
    const { settings } = this.optimiser;
    const { software, chunks } = this;
    const groups = Math.min(chunks, MOST_GROUPS);
    const threads = chunks * QUARTERS;
    const add = (from: string, by: number): string => `  var total = vec2<f32>(0.0);
  for (var at = ${from}; at < ${parts}; at += ${by}) {
    let squares = bitcast<f32>(${part('at')});
    if (squares < 0.0) { total.y = 1.0; } else { total.x += squares; }
  }`;
    const log = (beta: number): string => f32(Math.max(-80, Math.log(beta)));
    const control = `  let norm = sqrt(total.x);
  let finite = total.y == 0.0 && is_finite(total.x);
  let step = ${step};
  if (local == 0 && place.x == 0u) {
    ${gradNorm('select(0x7f800000u, bitcast<u32>(norm), finite)')}
    ${stepDone('bitcast<u32>(step)')}
  }
  if (!finite) { return; }
  let clip = ${clip};
  let clipped = select(1.0, clip / max(norm, 1e-30), clip > 0.0 && norm > clip);
  let scale = clipped${lossScale === undefined ? '' : ` / ${lossScale}`};
  let correct1 = one_minus_exp(step * ${log(settings.beta1)});
  let correct2 = one_minus_exp(step * ${log(settings.beta2)});`;
    const update = (from: string, end: string, by: number): string => `    let base = ${row('0')};
    let weight = ${row('1')};
    let first = ${row('2')};
    let second = ${row('3')};
    let source = ${row('7')};
    let rate = ${rate}${factor === undefined ? '' : ` * ${factor}`};
    let decay = select(0.0, rate * ${f32(settings.weightDecay)}, ${row('5')} == 1);
    let end = ${end};
${this.#each(
  from,
  by,
  `      let g = gradient(source, base + i) * scale;
      let old = state[weight + i];
${ruleOf(this.optimiser)}`,
)}`;
    if (software) {
      return this.#kernel(
        `${add('0', 1)}
${control}
  let own = i32(place.x) * ${SOFTWARE_GROUP} + local;
  if (own < ${threads}) {
    let row = own / ${QUARTERS};
    let start = own % ${QUARTERS} * ${QUARTER};
${update('start', `min(start + ${QUARTER}, ${row('4')})`, 1)}
  }`,
        Math.ceil(threads / SOFTWARE_GROUP),
        ONE_MINUS_EXP,
      );
    }
    return this.#kernel(
      `${add('local', GROUP)}
  total = sum_of_all(local, total);
${control}
  for (var row = i32(place.x); row < ${chunks}; row += ${groups}) {
${update('local', row('4'), GROUP)}
  }`,
      groups,
      `${MEETING}${ONE_MINUS_EXP}`,
    );
  }

  /** Statements for each `i` from `from` to `end`. On a processor a loop's own work is shared by several of them. */
  #each(from: string, step: number, statements: string): string {
    if (!this.software) {
      return `    for (var i = ${from}; i < end; i += ${step}) {
${statements}
    }`;
    }
    const copies = Array.from(
      { length: UNROLL },
      (_, copy) => `      { let i = next + ${copy}; ${statements} }`,
    );
    return `    var next = ${from};
    for (; next + ${UNROLL - 1} < end; next += ${UNROLL}) {
${copies.join('\n')}
    }
    for (; next < end; next++) { let i = next; ${statements} }`;
  }

  #kernel(body: string, groups: number, functions: string): UpdateKernel {
    const size = this.software ? SOFTWARE_GROUP : GROUP;
    const { sources } = this.places;
    const gradient =
      sources.length === 1
        ? `  return ${sources[0] ?? ''};`
        : `${sources.map((code, at) => `  if (source == ${at}) { return ${code}; }`).join('\n')}
  return 0.0;`;
    const code = `fn gradient(source: i32, i: i32) -> f32 {
${gradient}
}
${IS_FINITE}
${functions}
@compute @workgroup_size(${size}) fn main(@builtin(workgroup_id) place: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let local = i32(thread);
${body}
}`;
    return { code, groups, size };
  }
}

/** WGSL: new weight and moments from `g`, `old`, `rate`, `decay` and the corrections. */
function ruleOf({ kind, settings }: OptimiserPlan): string {
  const { beta1, beta2, epsilon, momentum } = settings;
  const [b1, r1] = [f32(beta1), f32(1 - beta1)];
  const [b2, r2] = [f32(beta2), f32(1 - beta2)];
  if (kind === 'SGD') {
    return `      let m = ${f32(momentum)} * state[first + i] + g;
      state[first + i] = m;
      state[weight + i] = old - rate * m;`;
  }
  if (kind === 'Lion') {
    return `      let before = state[first + i];
      let direction = sign(${b1} * before + ${r1} * g);
      state[first + i] = ${b2} * before + ${r2} * g;
      state[weight + i] = old - decay * old - rate * direction;`;
  }
  return `      let m = ${b1} * state[first + i] + ${r1} * g;
      let v = ${b2} * state[second + i] + ${r2} * (g * g);
      state[first + i] = m;
      state[second + i] = v;
      let deviation = sqrt(v / correct2) + ${f32(epsilon)};
      state[weight + i] = old - decay * old - rate * (m / correct1) / deviation;`;
}
