/** How a reduction is carried out follows from sizes and traits; every element is read once, and the GPU is filled. */
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { KernelList } from '../../../src/engine/plan/kernels';
import { reduce } from '../../../src/ops/reductions/reduce';
import { coreOf, HARDWARE, pointwiseOf, SOFTWARE } from '../../support/lowered';

function reduced(dims: readonly number[], axes: readonly number[], traits = SOFTWARE, more = {}) {
  const list = new KernelList(traits);
  const x = list.resident({ dtype: 'float32', dims }, { kind: 'feed', name: 'x' }, 'x');
  const output = {
    dtype: 'float32',
    dims: dims.filter((_, axis) => !axes.includes(axis)),
  } as const;
  const y = reduce(list, {
    ...{ label: 'Sum', inputs: [x], dims, axes, combine: 'sum', element: 'x0(i)', output },
    ...more,
  });
  expect(y.dims).toEqual(output.dims);
  return list;
}

describe('the form', () => {
  const form = (dims: readonly number[], axes: readonly number[], traits = SOFTWARE) =>
    reduced(dims, axes, traits).choices.map(({ chosen }) => chosen);

  it('on a processor is threads, or parts where they would be few', () => {
    expect(form([64, 128], [0])).toEqual(['threads']);
    expect(form([4096, 256], [1])).toEqual(['threads']);
    expect(form([8192, 64], [0])).toEqual(['parts']);
    expect(form([1048576], [0])).toEqual(['parts']);
  });

  it('on a GPU is groups, split where they would be few', () => {
    expect(form([8, 4096], [0], HARDWARE)).toEqual(['threads']);
    expect(form([2048, 256], [1], HARDWARE)).toEqual(['groups']);
    expect(form([256, 128], [0], HARDWARE)).toEqual(['groups']);
    expect(form([8192, 64], [0], HARDWARE)).toEqual(['split']);
    expect(form([64, 16, 28, 28], [0, 2, 3], HARDWARE)).toEqual(['split']);
    expect(form([1048576], [0], HARDWARE)).toEqual(['split']);
  });

  it('of one element each is an expression, which fuses', () => {
    const { kernels, choices } = reduced([4, 1], [1], SOFTWARE, { finish: 'total * 2.0' });
    expect(choices).toEqual([]);
    const { lets, value } = pointwiseOf(kernels[0]);
    expect([lets?.trim(), value]).toEqual(['let total = x0(index);', 'total * 2.0']);
  });

  it('of no element is what the sum starts with', () => {
    expect(pointwiseOf(reduced([4, 0], [1]).kernels[0]).value).toBe('f32(0.0)');
  });
});

describe('on a GPU', () => {
  const shapes: readonly (readonly [readonly number[], readonly number[]])[] = [
    [[131072], [0]],
    [[2, 65536], [1]],
    [[65536, 2], [0]],
    [[1024, 128], [0]],
    [
      [32, 16, 28, 28],
      [0, 2, 3],
    ],
    [
      [300, 7, 91],
      [0, 2],
    ],
    [[4096, 768], [0]],
    [[4096, 768], [1]],
    [[100000, 12], [1]],
  ];
  it.each(shapes)('%j over %j fills it', (dims, axes) => {
    const [first] = reduced(dims, axes, HARDWARE).kernels.map((kernel) => coreOf(kernel));
    expect(first?.workgroups?.count).toBeGreaterThanOrEqual(32);
    expect(first?.streams).toEqual([0]);
  });

  it.each(shapes)('%j over %j reads every element once', (dims, axes) => {
    const [first] = reduced(dims, axes, HARDWARE).kernels.map((kernel) => coreOf(kernel));
    const reads = new Uint8Array(sizeOf(dims));
    if (first) walkGroups(first.body, first.workgroups, (i) => (reads[i] = (reads[i] ?? 0) + 1));
    expect(reads.every((count) => count === 1)).toBe(true);
  });

  it('finishes once, in the kernel that has the whole sum', () => {
    const { kernels } = reduced([131072, 2], [0], HARDWARE, { finish: 'total / x0(o)' });
    const [parts, rest] = kernels.map((kernel) => coreOf(kernel));
    expect(parts?.body).not.toContain('total / ');
    expect(rest?.body).toContain('y0(o, total / x0(o))');
    expect(rest?.inputs).toHaveLength(2);
  });
});

/** Carries out what a thread of each group reads, from the lines that say where. */
function walkGroups(
  body: string,
  groups: { readonly count: number; readonly size: number } | undefined,
  visit: (i: number) => void,
): void {
  // WGSL's integers as JavaScript's: a division is cut, and what this kernel uses of WGSL is renamed.
  const line = (name: string) => {
    const found = new RegExp(`let ${name} = (.*);`).exec(body)?.[1] ?? '';
    return found
      .replaceAll(/(\w+) \/ (\d+)/g, 'Math.trunc($1 / $2)')
      .replaceAll('min(', 'Math.min(');
  };
  const loop = /for \(var k = (.*); k < end; k \+= (\d+)\)/.exec(body);
  const end = line('end').replace(/^select\(0, (.*), (o < \d+)\)$/, '($2) ? $1 : 0');
  const run = new Function(
    ...['groups', 'visit'],
    `for (let group = 0; group < groups.count; group++) for (let local = 0; local < groups.size; local++) {
  const lane = ${line('lane')}; const o = ${line('o')}; const part = ${line('part')};
  const base = ${line('base')}; const end = ${end};
  for (let k = ${loop?.[1] ?? ''}; k < end; k += ${loop?.[2] ?? ''}) { const i = ${line('i')}; visit(i); }
}`,
  ) as (groups: unknown, visit: (i: number) => void) => void;
  run(groups, visit);
}
