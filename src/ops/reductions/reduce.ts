/**
 * Reductions over any axes, each output in a fixed order: no atomics, so two runs are bit-equal.
 *
 * - `threads`: one thread walks one output's elements. Right where outputs are many, or little is to do.
 * - `parts`: the same with each walk cut into parts, whose results a second kernel combines: a processor that
 *   emulates a GPU has few threads to fill, and pays dearly for barriers.
 * - `groups`: a workgroup takes a tile of outputs, several threads (lanes) each; the lanes meet in shared memory, by
 *   halves. Neighbouring threads lie along the innermost axis, reduced or kept, so reads are coalesced.
 * - `split`: groups over parts, whose results a second kernel combines, where tiles alone would not fill the GPU.
 */
import { sizeOf } from '../../core/dtype';
import { stridesOf } from '../shapes';
import { addressOf, collapse } from '../lowering/address';
import { only, wgslType } from '../lowering/context';
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';

export interface Reduction {
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  /** Shape that is walked. */
  readonly dims: readonly number[];
  readonly axes: readonly number[];
  readonly combine: 'sum' | 'max' | 'min' | 'product';
  /** Statements before `element`. */
  readonly lets?: string;
  /**
   * WGSL of one element, of the output's type: `x0(i)` … at `i`, its row-major number in `dims`; `o` is the number of
   * the output.
   */
  readonly element: string;
  /** WGSL that finishes `total` of output `o`, e.g. `total / 8.0`; it may read inputs at `o`. */
  readonly finish?: string;
  readonly output: StaticType;
}

type Form = 'threads' | 'parts' | 'groups' | 'split';

/** On a processor: so many threads are enough, and a part is no shorter than this. */
const SOFTWARE_THREADS = 1024;
const SOFTWARE_PART = 256;
/** On a GPU: threads of a workgroup, outputs side by side in it, elements that a lane should have. */
const GROUP = 256;
const TILE = 32;
const LANE_WORK = 8;
/** Workgroups that fill a large GPU; inputs up to SMALL elements are not worth a second kernel. */
const FULL = 256;
const SMALL = 65536;

const START = {
  f32: { sum: '0.0', max: '-infinity()', min: 'infinity()', product: '1.0' },
  i32: { sum: '0', max: 'i32(-2147483648)', min: '2147483647', product: '1' },
  bool: { sum: '0', max: '0', min: '1', product: '1' },
} as const;

const COMBINED = {
  sum: (a: string, b: string) => `${a} + ${b}`,
  max: (a: string, b: string) => `max(${a}, ${b})`,
  min: (a: string, b: string) => `min(${a}, ${b})`,
  product: (a: string, b: string) => `${a} * ${b}`,
} as const;

/** A reduction with what follows from its shape. */
interface Walk extends Reduction {
  readonly outputs: number;
  readonly length: number;
  /** The reduced axes, joined where possible. */
  readonly reduced: ReturnType<typeof collapse>;
  /** Address of the element `k` of a walk, from its start. */
  readonly step: (k: string) => string;
  /** WGSL: address of the first element of output `o`. */
  readonly base: string;
  /** Whether neighbouring elements belong to the same output. */
  readonly rows: boolean;
  readonly type: 'f32' | 'i32';
  readonly start: string;
}

export function reduce(plan: PlanBuilder, reduction: Reduction): DeviceTensor {
  const walk = walkOf(reduction);
  const { outputs, length, rows } = walk;
  if (length <= 1) return short(plan, walk);
  const fixed = formOf(plan, walk);
  const variants: readonly Form[] = plan.traits.software
    ? ['threads', 'parts']
    : ['threads', 'groups', 'split'];
  const form = plan.choose('reduce', [outputs, length, rows ? 1 : 0], variants, fixed);
  switch (form) {
    case 'threads':
      return threads(plan, walk);
    case 'parts':
      return combined(plan, walk, parts(plan, walk));
    case 'groups':
      return groups(plan, walk, 1);
    case 'split': {
      const splits = splitsOf(plan, walk);
      const results = groups(plan, walk, splits);
      return splits === 1 ? results : combined(plan, walk, results);
    }
  }
}

function walkOf(reduction: Reduction): Walk {
  const { dims, axes, output, combine } = reduction;
  const strides = stridesOf(dims);
  const chosen = new Set(axes);
  const pick = (wanted: boolean) => {
    const own = dims.map((_, axis) => axis).filter((axis) => chosen.has(axis) === wanted);
    return { dims: own.map((a) => dims[a] ?? 1), strides: own.map((a) => strides[a] ?? 1) };
  };
  const kept = pick(false);
  const inner = pick(true);
  const reduced = collapse(inner.dims, inner.strides);
  const type = wgslType(output.dtype);
  return {
    ...reduction,
    outputs: sizeOf(kept.dims),
    length: sizeOf(inner.dims),
    reduced,
    step: (k) => addressOf(inner.dims, inner.strides, k),
    base: addressOf(kept.dims, kept.strides, 'o'),
    rows: reduced.at(-1)?.stride === 1,
    type,
    start: START[output.dtype === 'bool' ? 'bool' : type][combine],
  };
}

function formOf({ traits }: PlanBuilder, { outputs, length, rows }: Walk): Form {
  const elements = outputs * length;
  if (traits.software) {
    return outputs < SOFTWARE_THREADS && length >= 2 * SOFTWARE_PART && elements > SMALL / 4
      ? 'parts'
      : 'threads';
  }
  if (length <= LANE_WORK || (!rows && length <= 4 * LANE_WORK)) return 'threads';
  const { tiles } = tilesOf(traits.workgroupThreads, { outputs, length, rows });
  return elements > SMALL && 2 * tiles <= wantedGroups(elements) ? 'split' : 'groups';
}

/** Inputs that hold one element for each of the walk: each is read once. */
const streams = ({ inputs, outputs, length }: Walk): number[] =>
  inputs.flatMap(({ dims }, slot) => (sizeOf(dims) === outputs * length ? [slot] : []));

const between = ({ type }: Walk, dims: readonly number[]): StaticType => ({
  dtype: type === 'f32' ? 'float32' : 'int32',
  dims,
});

/** Nothing to walk: the only element, or none. */
function short(plan: PlanBuilder, walk: Walk): DeviceTensor {
  const { label, inputs, output, length, start, type, lets = '', element, finish = 'total' } = walk;
  // All reduced axes have length 1, so the element has the number of its output.
  const here = (code: string) => code.replaceAll(/\b[io]\b/g, 'index');
  const own = length === 0 ? `${type}(${start})` : here(element);
  const before = length === 0 ? '' : here(lets);
  if (finish === 'total')
    return plan.pointwise({ label, inputs, output, lets: before, value: own });
  return plan.pointwise({
    label,
    inputs,
    output,
    lets: `${before}\n  let total = ${own};`,
    value: here(finish),
  });
}

/** WGSL: takes the element at `i` into `total`. */
const take = ({ lets = '', element, combine }: Walk): string => `${lets}
    let value = ${element};
    total = ${COMBINED[combine]('total', 'value')};`;

/** WGSL: loops over the reduced axes in order, from `base`; `range` may shorten one. */
function loops(
  walk: Walk,
  range: (axis: number, dim: number) => readonly [string, string],
): string {
  const open = walk.reduced.map(({ dim }, axis) => {
    const [from, to] = range(axis, dim);
    return `for (var k${axis} = ${from}; k${axis} < ${to}; k${axis}++) {`;
  });
  const terms = walk.reduced.map(({ stride }, axis) => ` + k${axis} * ${stride}`).join('');
  return `${open.join('\n  ')}
    let i = base${terms};
    ${take(walk)}
  ${'}'.repeat(open.length)}`;
}

function threads(plan: PlanBuilder, walk: Walk): DeviceTensor {
  const { label, inputs, output, base, type, start, outputs, finish = 'total' } = walk;
  return only(
    plan.kernel({
      label,
      inputs,
      outputs: [output],
      items: outputs,
      streams: streams(walk),
      body: `  let o = index;
  let base = ${base};
  var total: ${type} = ${start};
  ${loops(walk, (_, dim) => ['0', `${dim}`])}
  y0(o, ${finish});`,
    }),
  );
}

/** Results of shape [parts, outputs]: the first axis that is long enough, or the longest, is cut. */
function parts(plan: PlanBuilder, walk: Walk): DeviceTensor {
  const { label, inputs, outputs, length, base, type, start, reduced } = walk;
  const wanted = Math.max(
    2,
    Math.min(Math.ceil(SOFTWARE_THREADS / outputs), Math.floor(length / SOFTWARE_PART)),
  );
  const lengths = reduced.map(({ dim }) => dim);
  const enough = lengths.findIndex((dim) => dim >= wanted);
  const cut = enough === -1 ? lengths.indexOf(Math.max(...lengths)) : enough;
  const chunk = Math.ceil((lengths[cut] ?? 1) / wanted);
  const count = Math.ceil((lengths[cut] ?? 1) / chunk);
  return only(
    plan.kernel({
      label: `${label} parts`,
      inputs,
      outputs: [between(walk, [count, outputs])],
      streams: streams(walk),
      body: `  let o = index % ${outputs};
  let part = index / ${outputs};
  let base = ${base};
  var total: ${type} = ${start};
  ${loops(walk, (axis, dim) =>
    axis === cut ? [`part * ${chunk}`, `min(${dim}, (part + 1) * ${chunk})`] : ['0', `${dim}`],
  )}
  y0(index, total);`,
    }),
  );
}

/** The second kernel: results of parts, in their order. */
function combined(plan: PlanBuilder, walk: Walk, partial: DeviceTensor): DeviceTensor {
  const { label, output, combine, finish } = walk;
  const [count = 1, outputs = 1] = partial.dims;
  // What finishes may read inputs: they keep their numbers.
  const inputs = finish !== undefined && /\bx\d+\(/.test(finish) ? walk.inputs : [];
  const rest = walkOf({
    label: `${label} rest`,
    inputs: [...inputs, partial],
    dims: [count, outputs],
    axes: [0],
    combine,
    element: `x${inputs.length}(i)`,
    output,
    ...(finish === undefined ? {} : { finish }),
  });
  return plan.traits.software || count <= 4 * LANE_WORK
    ? threads(plan, rest)
    : groups(plan, rest, 1);
}

const powerOfTwo = (atLeast: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, atLeast)));

/** How a workgroup is laid out: outputs side by side, and lanes for each. */
function tilesOf(
  workgroupThreads: number,
  { outputs, length, rows }: Pick<Walk, 'outputs' | 'length' | 'rows'>,
) {
  const size = Math.min(GROUP, 2 ** Math.floor(Math.log2(workgroupThreads)));
  // Lanes along a row must be many to read side by side; along a column, outputs must.
  const lanes = rows
    ? Math.min(size, Math.max(LANE_WORK, powerOfTwo(length / LANE_WORK)))
    : size / Math.min(TILE, powerOfTwo(outputs));
  const tile = size / lanes;
  return { size, lanes, tile, tiles: Math.ceil(outputs / tile) };
}

const wantedGroups = (elements: number): number =>
  Math.min(FULL, Math.ceil(elements / (GROUP * LANE_WORK)));

function splitsOf({ traits }: PlanBuilder, walk: Walk): number {
  const { tiles, lanes } = tilesOf(traits.workgroupThreads, walk);
  const wanted = Math.ceil(wantedGroups(walk.outputs * walk.length) / tiles);
  return Math.max(1, Math.min(wanted, Math.ceil(walk.length / (lanes * 2))));
}

/** The output, or (`splits` > 1) results of shape [splits, outputs] that are not finished. */
function groups(plan: PlanBuilder, walk: Walk, splits: number): DeviceTensor {
  const { label, inputs, outputs, length, rows, base, type, start, combine } = walk;
  const { size, lanes, tile, tiles } = tilesOf(plan.traits.workgroupThreads, walk);
  const chunk = Math.ceil(length / splits);
  const count = Math.ceil(length / chunk);
  const whole = count === 1;
  // Threads lie along the innermost axis: lanes of a row, or outputs side by side.
  const [column, lane, apart] = rows
    ? [`local / ${lanes}`, `local % ${lanes}`, 1]
    : [`local % ${tile}`, `local / ${tile}`, tile];
  const halves: string[] = [];
  for (let half = lanes / 2; half >= 1; half /= 2) {
    const met = COMBINED[combine]('lanes[local]', `lanes[local + ${half * apart}]`);
    halves.push(`  if (lane < ${half}) { lanes[local] = ${met}; }
  workgroupBarrier();`);
  }
  return only(
    plan.kernel({
      label: whole ? label : `${label} parts`,
      inputs,
      outputs: [whole ? walk.output : between(walk, [count, outputs])],
      workgroups: { count: tiles * count, size },
      declarations: `var<workgroup> lanes: array<${type}, ${size}>;`,
      streams: streams(walk),
      body: `  let lane = ${lane};
  let o = group / ${count} * ${tile} + ${column};
  let part = group % ${count};
  let base = ${base};
  let end = select(0, min(${length}, (part + 1) * ${chunk}), o < ${outputs});
  var total: ${type} = ${start};
  for (var k = part * ${chunk} + lane; k < end; k += ${lanes}) {
    let i = base + ${walk.step('k')};
    ${take(walk)}
  }
  lanes[local] = total;
  workgroupBarrier();
${halves.join('\n')}
  if (lane == 0 && o < ${outputs}) {
    let total = lanes[local];
    ${whole ? `y0(o, ${walk.finish ?? 'total'})` : `y0(part * ${outputs} + o, total)`};
  }`,
    }),
  );
}
