/**
 * Kernels that work on rows: what a row's elements add up to decides what becomes of each of them (normalisations,
 * softmax). Two forms of the same code:
 *
 * - `threads`: one thread walks a row. For emulated GPUs, where barriers are dear; for short rows; and for rows whose
 *   neighbours interleave, so that neighbouring threads still read side by side.
 * - `groups`: a workgroup shares a row. Each thread keeps its elements in registers, so a row is read once however
 *   often the code walks it; sums meet in shared memory by halves, in an order that never changes.
 */
import { f32 } from './address';
import type { DeviceTensor, KernelSpec, PlanBuilder, StaticType } from './plan';

export interface Rows {
  /** Name under which the choice of the form is tuned. */
  readonly family: string;
  readonly count: number;
  readonly length: number;
  /** Elements between neighbours of a row; 1 where rows are contiguous. */
  readonly inner: number;
}

export interface RowWriter {
  /** Rounded to the float type of WGSL. */
  readonly length: string;
  /** For each element of the row: statements that see `at` (its address), `k` (its place in the row) and what was kept. */
  each(statements: string): string;
  /** WGSL of the combination of a variable over the threads of a row. */
  sum(variable: string): string;
  max(variable: string): string;
  /** Statements that one thread of a row runs. */
  once(statements: string): string;
}

export interface RowKernel {
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly outputs: readonly StaticType[];
  /** Statements before anything of the row is read. */
  readonly before?: string;
  /** Elements that `each` knows by these names. */
  readonly keep: Readonly<Record<string, string>>;
  /** The body; `row` is the row's number. */
  readonly body: (row: RowWriter) => string;
  readonly declarations?: string;
  /** Inputs with one element for each of the rows'. */
  readonly streams: readonly number[];
}

/** Elements a thread keeps in registers at most. */
const MOST_KEPT = 16;
/** Below this a workgroup would mostly wait for itself. */
const SHORT = 32;
const GROUP = 256;
/** On a processor: workgroups that keep its cores busy to the end; more only cost. */
const SOFTWARE_GROUPS = 64;
const UNROLL = 4;

export function rowKernel(
  plan: PlanBuilder,
  rows: Rows,
  kernel: RowKernel,
): readonly DeviceTensor[] {
  const { family, count, length, inner } = rows;
  const { traits } = plan;
  const threads = traits.software || length < SHORT || (inner > 1 && count >= GROUP);
  const form = plan.choose(
    family,
    [count, length, inner],
    ['threads', 'groups'],
    threads ? 'threads' : 'groups',
  );
  const { label, inputs, outputs, declarations = '' } = kernel;
  const common = { label, inputs, outputs };
  if (form === 'threads') {
    const size = Math.max(4, Math.min(64, 2 ** Math.floor(Math.log2(count / SOFTWARE_GROUPS))));
    const body = `  let row = group * ${size} + local;
  if (row < ${count}) {
${threadBody(rows, kernel)}
  }`;
    const workgroups = { count: Math.ceil(count / size), size };
    const own: Pick<KernelSpec, 'body' | 'items' | 'workgroups'> = traits.software
      ? { body, workgroups }
      : { body: `  let row = index;\n${threadBody(rows, kernel)}`, items: count };
    return plan.kernel({ ...common, declarations, ...own });
  }
  const size = groupSize(length, traits.workgroupThreads);
  const kept = Math.ceil(length / size) <= MOST_KEPT;
  return plan.kernel({
    ...common,
    declarations: `${declarations}${meetings(size)}`,
    workgroups: { count, size },
    body: groupBody(rows, kernel, size, kept),
    ...(kept ? { streams: kernel.streams } : {}),
  });
}

/** WGSL: address of the first element of `row`. */
const start = ({ length, inner }: Rows): string =>
  inner === 1 ? `row * ${length}` : `row / ${inner} * ${length * inner} + row % ${inner}`;

const element = ({ inner }: Rows): string =>
  `let at = start + k${inner === 1 ? '' : ` * ${inner}`};`;

const named = (keep: Readonly<Record<string, string>>, own: (name: string) => string): string =>
  Object.keys(keep)
    .map((name) => `let ${name} = ${own(name)};`)
    .join(' ');

function threadBody(rows: Rows, { keep, body, before = '' }: RowKernel): string {
  const writer: RowWriter = {
    length: f32(rows.length),
    each: (statements) =>
      unrolled(
        rows.length,
        `${element(rows)} ${named(keep, (name) => keep[name] ?? '')} ${statements}`,
      ),
    sum: (variable) => variable,
    max: (variable) => variable,
    once: (statements) => `  ${statements}`,
  };
  return `  let start = ${start(rows)};\n${before}\n${body(writer)}`;
}

/** A loop whose own work is done once for several elements: on a processor it costs as much as a read. */
function unrolled(length: number, statements: string): string {
  const whole = length - (length % UNROLL);
  const copies = Array.from(
    { length: UNROLL },
    (_, copy) => `    { let k = first${copy === 0 ? '' : ` + ${copy}`}; ${statements} }`,
  );
  return `  for (var first = 0; first < ${whole}; first += ${UNROLL}) {
${copies.join('\n')}
  }
${whole === length ? '' : `  for (var k = ${whole}; k < ${length}; k++) { ${statements} }`}`;
}

/** A power of two with about 4 elements for each thread. */
function groupSize(length: number, most: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(length / 4));
  return Math.max(32, Math.min(wanted, GROUP, 2 ** Math.floor(Math.log2(most))));
}

function groupBody(
  rows: Rows,
  { keep, body, before = '' }: RowKernel,
  size: number,
  kept: boolean,
): string {
  const { length } = rows;
  const slots = Math.ceil(length / size);
  const inside = (slot: number, code: string): string =>
    (slot + 1) * size <= length
      ? `{ ${code} }`
      : `if (local < ${length - slot * size}) { ${code} }`;
  const place = (slot: number) => `let k = local + ${slot * size}; ${element(rows)}`;
  const perSlot = (code: (slot: number) => string): string =>
    Array.from({ length: slots }, (_, slot) => `  ${code(slot)}`).join('\n');
  const names = Object.entries(keep);
  const loads = perSlot((slot) => {
    const declared = names.map(([name]) => `var ${name}_${slot} = 0.0;`).join(' ');
    const assigned = names.map(([name, code]) => `${name}_${slot} = ${code};`).join(' ');
    return `${declared} ${inside(slot, `${place(slot)} ${assigned}`)}`;
  });
  const each = (statements: string): string =>
    kept
      ? perSlot((slot) =>
          inside(slot, `${place(slot)} ${named(keep, (name) => `${name}_${slot}`)} ${statements}`),
        )
      : `  for (var k = local; k < ${length}; k += ${size}) {
    ${element(rows)} ${named(keep, (name) => keep[name] ?? '')}
    ${statements}
  }`;
  const writer: RowWriter = {
    length: f32(length),
    each,
    sum: (variable) => `row_sum(local, ${variable})`,
    max: (variable) => `row_max(local, ${variable})`,
    once: (statements) => `  if (local == 0) { ${statements} }`,
  };
  return `  let row = group;
  let start = ${start(rows)};
${before}
${kept ? loads : ''}
${body(writer)}`;
}

/** Every thread gets what all threads bring. The last barrier frees the memory for the next meeting. */
function meetings(size: number): string {
  const meeting = (name: string, combined: string) => `
fn row_${name}(local: i32, own: f32) -> f32 {
  row_parts[local] = own;
  for (var half = ${size / 2}; half > 0; half /= 2) {
    workgroupBarrier();
    if (local < half) {
      let a = row_parts[local];
      let b = row_parts[local + half];
      row_parts[local] = ${combined};
    }
  }
  workgroupBarrier();
  let all = row_parts[0];
  workgroupBarrier();
  return all;
}`;
  return `
var<workgroup> row_parts: array<f32, ${size}>;
${meeting('sum', 'a + b')}
${meeting('max', 'max(a, b)')}
`;
}
