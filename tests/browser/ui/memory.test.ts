/** What the next run takes of memory, what would fit instead, and what is said of how a run was computed. */
import axe from 'axe-core';
import { page } from 'vitest/browser';
import { describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { MemoryEstimate, ProbeReport } from '../../../src/protocol/api';
import type { ExecutorChoice, Project, Run } from '../../../src/protocol/entities';
import { App } from '../../../src/state/app.svelte';
import { Forecast } from '../../../src/state/forecast.svelte';
import { changeTraining, offeredOn, partsOf } from '../../../src/state/next-run';
import Screen from '../../../src/ui/screens/train/Screen.svelte';
import { aRun, CONFIG, judged, RUNS } from './judged-studio';
import ScreenHarness from './ScreenHarness.svelte';

const FITS: MemoryEstimate = {
  ...{ executor: 'webgpu', total: 212e6, arena: 100e6, state: 50e6, snapshot: 50e6 },
  ...{ feeds: 10e6, constants: 2e6, largest: 50e6 },
  limit: { of: 'piece', bytes: 128e6 },
  fits: true,
  remedies: [],
};
const TOO_LARGE: MemoryEstimate = {
  ...FITS,
  ...{ largest: 400e6, fits: false },
  remedies: [
    { kind: 'accumulate', accumulate: 4, rows: 4, total: 120e6 },
    { kind: 'batch', batchSize: 4, total: 110e6 },
    { kind: 'executor', executor: 'wasm', total: 200e6 },
  ],
};
const REPORT: ProbeReport = {
  chosen: 'webgpu',
  reason: '',
  wasm: { threads: 1, gflops: 1, stepMs: 1 },
  webgpu: {
    ...{ label: 'GPU', gflops: 1, stepMs: 1, software: false },
    precisions: ['float32', 'float16'],
  },
};

async function shown(
  answer: (project: Project) => MemoryEstimate,
  runs: readonly Run[] = RUNS,
  executor: ExecutorChoice = 'webgpu',
) {
  const { project, studio } = await judged(runs);
  const forecastMemory = vi.fn(async (asked: Project) => Promise.resolve(answer(asked)));
  Object.assign(studio, { forecastMemory, probe: async () => Promise.resolve(REPORT) });
  const app = new App(async () => Promise.resolve(studio));
  await app.device.measure();
  project.edit({ executor });
  render(ScreenHarness, { app, project, screen: Screen });
  return { project, forecastMemory };
}

const settings = () => page.getByRole('button', { name: 'Change for the next run' });

describe('memory of the next run', () => {
  test('is told beside its settings', async () => {
    await shown(() => FITS);
    const line = page.getByText('Takes about 212 MB of memory on the graphics processor.');
    await expect.element(line).toBeVisible();
  });

  test('that would not fit comes with what would, one click away', async () => {
    const { project, forecastMemory } = await shown(({ training }) =>
      training?.accumulate === 4 ? FITS : TOO_LARGE,
    );
    const alert = page.getByRole('alert');
    await expect.element(alert).toHaveTextContent('One piece of 400 MB is needed');
    await expect.element(alert).toHaveTextContent('takes at most 128 MB');
    await expect.element(page.getByRole('button', { name: /^The processor/ })).toBeVisible();
    const { violations } = await axe.run(document.querySelector('[role=alert]') ?? document.body);
    expect(violations.map(({ id }) => id)).toEqual([]);
    await page.getByRole('button', { name: 'Batch in 4 parts of 4 rows, 120 MB' }).click();
    expect(project.current.training?.accumulate).toBe(4);
    await expect.element(page.getByText('Takes about 212 MB')).toBeVisible();
    expect(forecastMemory.mock.calls.length).toBe(2);
  });

  test('is asked for once at a time, and of settings passed over not at all', async () => {
    const { project } = await judged();
    const asked: (number | undefined)[] = [];
    let answer: (estimate: MemoryEstimate) => void = () => undefined;
    const forecast = new Forecast({
      forecastMemory: async ({ training }) => {
        asked.push(training?.batchSize);
        return new Promise((resolve) => (answer = resolve));
      },
    });
    const at = (batchSize: number): Project => ({
      ...project.current,
      training: { ...CONFIG.training, batchSize },
    });
    const looking = forecast.look(at(8));
    for (const size of [16, 32, 64]) await forecast.look(at(size));
    expect(asked).toEqual([8]);
    answer(FITS);
    await vi.waitFor(() => expect(asked).toEqual([8, 64]));
    answer(TOO_LARGE);
    await looking;
    expect(forecast.estimate).toBe(TOO_LARGE);
    await forecast.look(at(64));
    expect(asked).toHaveLength(2);
  });
});

describe('how a step is computed', () => {
  test('is offered as far as the engine has it', async () => {
    expect(offeredOn('webgpu', REPORT)).toEqual({ precision: true, plan: false, memory: true });
    expect(offeredOn('wasm', REPORT)).toEqual({ precision: false, plan: false, memory: false });
    expect(offeredOn(null, null)).toEqual({ precision: false, plan: false, memory: false });
    await shown(() => ({ ...FITS, executor: 'wasm' }));
    await expect.element(page.getByText('on the processor.')).toBeVisible();
    await settings().click();
    await expect.element(page.getByLabelText('Batch in parts')).toBeVisible();
    await expect.element(page.getByLabelText('Numbers', { exact: true })).not.toBeInTheDocument();
    await expect.element(page.getByLabelText('Kernels', { exact: true })).not.toBeInTheDocument();
  });

  test('is chosen in the settings', async () => {
    const { project } = await shown(() => FITS);
    await expect.element(page.getByText('Takes about 212 MB')).toBeVisible();
    await settings().click();
    await page.getByLabelText('Numbers', { exact: true }).selectOptions('float16');
    await page.getByLabelText('Batch in parts').selectOptions('2');
    await page.getByLabelText('Forward pass kept').selectOptions('full');
    expect(project.current.training).toMatchObject({
      precision: 'float16',
      accumulate: 2,
      memory: 'full',
    });
  });

  test('parts divide the batch, and go when another batch cannot be divided so', async () => {
    expect(partsOf(12)).toEqual([1, 2, 3, 4, 6, 12]);
    expect(partsOf(4096).at(-1)).toBe(64);
    const { project } = await judged();
    changeTraining(project, { batchSize: 12, accumulate: 4 });
    changeTraining(project, { batchSize: 24 });
    expect(project.current.training?.accumulate).toBe(4);
    changeTraining(project, { batchSize: 10 });
    expect(project.current.training?.accumulate).toBe(1);
  });

  test('is said under the figures of a run', async () => {
    const run = aRun({
      ...{ id: 'r1', number: 3, name: 'Run 1', stepsTotal: 600 },
      precision: 'float16',
      microBatch: { rows: 8, batchNorm: true },
      skipped: { count: 2, steps: [1, 2], lossScale: 32_768 },
    });
    await shown(() => FITS, [...RUNS.slice(0, 2), run]);
    await expect
      .element(page.getByTestId('run-notes'))
      .toHaveTextContent(
        'Gradients added up over parts of 8 rows. Batch norms saw 8 rows at a time. Computed in float16, with weights in float32. 2 of 600 steps left out: numbers overflowed, loss scale now 32,768.',
      );
  });
});
