/**
 * Budgets of a training step, counted on a stub device and therefore exact. Stock TensorFlow.js needs 90, 336 and
 * 1,347 dispatches for these models, creates 416 buffers a step for the last and peaks at 825 MB.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { BUDGET_MODELS } from '../../bench/models';
import type { ModelName } from '../../bench/models';
import file from './budgets.json';
import { stepCost } from './step-cost';
import type { StepCost } from './step-cost';

const BUDGETED = [
  'dispatches',
  'passes',
  'submits',
  'calls',
  'peakBytes',
  'movedBytes',
  'narrowKernels',
] as const;
type Budget = Readonly<Record<(typeof BUDGETED)[number], number>>;

/** A small count must not be bought with a kernel that leaves most of a GPU idle. */
const LARGE_KERNEL = 65_536;
const WIDE_ENOUGH = 32;

/** Beside the batch: learning rate, step number and the like. */
const UPLOAD_ALLOWANCE = 4096;

const budgets = new Map<string, Budget>(Object.entries(file.budgets));
const floors = new Map<string, Partial<Budget>>(Object.entries(file.floors));
const reached = new Map<string, Budget>();

function narrowKernels({ kernels }: StepCost): string[] {
  return kernels.flatMap((kernel) => {
    const elements = Math.max(kernel.bytesRead, kernel.bytesWritten) / 4;
    if (kernel.kind !== 'dispatch' || elements <= LARGE_KERNEL) return [];
    const workgroups = kernel.workgroups.reduce((product, count) => product * count, 1);
    return workgroups < WIDE_ENOUGH ? [`${kernel.label}: ${elements} by ${workgroups}`] : [];
  });
}

describe.each(Object.keys(BUDGET_MODELS) as ModelName[])('a step of the %s', (name) => {
  const model = BUDGET_MODELS[name];
  const measured = stepCost(model);

  it('stays within its budget', async () => {
    const cost = await measured;
    const { dispatches, passes, submits, calls } = cost.counts;
    const { peakBytes, movedBytes } = cost;
    const narrow = narrowKernels(cost);
    const now: Budget = {
      ...{ dispatches, passes, submits, calls, peakBytes, movedBytes },
      narrowKernels: narrow.length,
    };
    console.log(
      `${model.title}: ${dispatches} dispatches in ${passes} passes and ${submits} submits, ` +
        `${calls} calls, ${cost.counts.uploadedBytes} bytes uploaded, ` +
        `${(peakBytes / 1e6).toFixed(1)} MB at most, ${(movedBytes / 1e6).toFixed(1)} MB moved` +
        `${narrow.length > 0 ? `; narrow: ${narrow.join(', ')}` : ''}`,
    );
    reached.set(name, now);
    const budget = budgets.get(name);
    const floor = floors.get(name);
    for (const key of BUDGETED) {
      const most = Math.min(budget?.[key] ?? 0, floor?.[key] ?? Infinity);
      expect(now[key], `${key} of the ${name}`).toBeLessThanOrEqual(most);
    }
  });

  it('holds what was told before', async () => {
    const { estimatedBytes, heldBytes } = await measured;
    expect(Math.abs(estimatedBytes / heldBytes - 1)).toBeLessThan(0.15);
  });

  it('creates nothing', async () => {
    const { counts } = await measured;
    expect(counts).toMatchObject({ buffers: 0, pipelines: 0, modules: 0, bindGroups: 0 });
  });

  it('uploads its batch and little else, at once', async () => {
    const { counts, batchBytes } = await measured;
    expect(counts.uploadedBytes).toBeGreaterThanOrEqual(batchBytes);
    expect(counts.uploadedBytes).toBeLessThanOrEqual(batchBytes + UPLOAD_ALLOWANCE);
    expect(counts.uploads).toBe(1);
  });
});

afterAll(() => {
  if (process.env.BUDGETS !== 'lower') return;
  const lowered = Object.fromEntries(
    [...reached].map(([name, now]) => {
      const old = budgets.get(name);
      const keys = BUDGETED.map(
        (key) => [key, Math.min(now[key], old?.[key] ?? Infinity)] as const,
      );
      return [name, Object.fromEntries(keys)];
    }),
  );
  const text = JSON.stringify({ ...file, budgets: { ...file.budgets, ...lowered } }, null, 2);
  writeFileSync(new URL('budgets.json', import.meta.url), `${text}\n`);
});
