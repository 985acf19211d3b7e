/**
 * Gradient of an embedding's look-up on the graphics processor: each row of the table finds the places that read it and
 * adds their gradients in their order. Nothing is written twice, so no atomic additions and always the same digits.
 *
 * - `groups`: a workgroup for each row. Its threads look through the indices together and mark what they find as bits
 *   in shared memory (setting bits has no order); then each thread has columns and goes through the marks.
 * - `threads`: a thread for a few rows looks through all indices by itself. For emulated GPUs, where barriers are dear.
 */
import { sizeOf } from '../../core/dtype';
import { intsAttribute } from '../attributes';
import { input, inputType, outputType } from '../lowering/context';
import type { KernelSpec, Lowering } from '../lowering/plan';

const GROUP = 64;
/** Words of marks, 32 places each, between two rounds. */
const MOST_WORDS = 256;
/** Columns that a thread of a workgroup has, and that a thread by itself keeps for each row. */
const COLUMNS = 4;
const BLOCK = 256;
/** Rows of a thread by itself. */
const ROWS = 4;

interface Sizes {
  readonly rows: number;
  readonly inner: number;
  /** Indices. */
  readonly count: number;
}

/** WGSL: a negative index counts from the end. */
const pickAt = (at: string, rows: number): string =>
  `let given = x1(${at}); let pick = select(given, given + ${rows}, given < 0);`;

/** (dY [...indices, ...inner], indices) -> dData [rows, ...inner] */
export const gatherGradient: Lowering = (context) => {
  const { plan, node } = context;
  const dims = intsAttribute(node, 'dims');
  const sizes: Sizes = {
    rows: dims[0] ?? 0,
    inner: sizeOf(dims.slice(1)),
    count: sizeOf(inputType(context, 1).dims),
  };
  const form = plan.choose(
    'GatherGrad',
    [sizes.rows, sizes.inner, sizes.count],
    ['threads', 'groups'],
    plan.traits.software ? 'threads' : 'groups',
  );
  return plan.kernel({
    label: 'GatherGrad',
    inputs: [input(context, 0), input(context, 1)],
    outputs: [outputType(context)],
    ...(form === 'threads' ? threads(sizes) : groups(sizes)),
  });
};

function threads({ rows, inner, count }: Sizes): Pick<KernelSpec, 'items' | 'body'> {
  const block = Math.min(inner, BLOCK);
  const blocks = Math.ceil(inner / block);
  const width = inner % block === 0 ? `${block}` : `min(${block}, ${inner} - column)`;
  return {
    items: Math.ceil(rows / ROWS) * blocks,
    body: `  let first = index / ${blocks} * ${ROWS};
  let column = index % ${blocks} * ${block};
  let width = ${width};
  var sums: array<f32, ${ROWS * block}>;
  for (var n = 0; n < ${count}; n++) {
    ${pickAt('n', rows)}
    let row = pick - first;
    if (row >= 0 && row < ${ROWS}) {
      for (var k = 0; k < width; k++) { sums[row * ${block} + k] += x0(n * ${inner} + column + k); }
    }
  }
  for (var row = 0; row < ${ROWS}; row++) {
    if (first + row < ${rows}) {
      for (var k = 0; k < width; k++) { y0((first + row) * ${inner} + column + k, sums[row * ${block} + k]); }
    }
  }`,
  };
}

function groups({
  rows,
  inner,
  count,
}: Sizes): Pick<KernelSpec, 'workgroups' | 'declarations' | 'body'> {
  const columns = Math.min(COLUMNS, Math.ceil(inner / GROUP));
  const blocks = Math.ceil(inner / (GROUP * columns));
  const words = Math.min(MOST_WORDS, Math.ceil(count / 32));
  const each = (code: (column: number) => string) =>
    Array.from({ length: columns }, (_, column) => code(column)).join(' ');
  const place = (column: number) => `column + ${column * GROUP}`;
  return {
    workgroups: { count: rows * blocks, size: GROUP },
    declarations: `var<workgroup> marks: array<atomic<u32>, ${words}>;`,
    body: `  let row = group / ${blocks};
  let column = group % ${blocks} * ${GROUP * columns} + local;
  ${each((column) => `var sum_${column} = 0.0;`)}
  for (var start = 0; start < ${count}; start += ${words * 32}) {
    workgroupBarrier();
    for (var word = local; word < ${words}; word += ${GROUP}) { atomicStore(&marks[word], 0u); }
    workgroupBarrier();
    let end = min(${count}, start + ${words * 32});
    for (var n = start + local; n < end; n += ${GROUP}) {
      ${pickAt('n', rows)}
      if (pick == row) { atomicOr(&marks[(n - start) / 32], 1u << u32((n - start) % 32)); }
    }
    workgroupBarrier();
    for (var word = 0; word < ${words}; word++) {
      var bits = atomicLoad(&marks[word]);
      while (bits != 0u) {
        let n = start + word * 32 + i32(firstTrailingBit(bits));
        bits &= bits - 1u;
        ${each((column) => `if (${place(column)} < ${inner}) { sum_${column} += x0(n * ${inner} + ${place(column)}); }`)}
      }
    }
  }
  ${each((column) => `if (${place(column)} < ${inner}) { y0(row * ${inner} + ${place(column)}, sum_${column}); }`)}`,
  };
}
