/** Train: what comes first, whose points a curve has, what the person is told. */
import axe from 'axe-core';
import { page } from 'vitest/browser';
import { describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { ProbeReport } from '../../../src/protocol/api';
import type { MetricPoint, Run } from '../../../src/protocol/entities';
import { App } from '../../../src/state/app.svelte';
import { bestOf, differing } from '../../../src/state/run-facts';
import { TrainView } from '../../../src/state/train-view.svelte';
import { epochsWithin, Training } from '../../../src/state/training.svelte';
import Screen from '../../../src/ui/screens/train/Screen.svelte';
import { aRun, CONFIG, judged, RUNS } from './judged-studio';
import ScreenHarness from './ScreenHarness.svelte';

function point(step: number, series: MetricPoint['series'], loss: number, metric?: number) {
  return { step, epoch: step, series, loss, ...(metric === undefined ? {} : { metric }) };
}
const CURVE = [
  point(1, 'training', 2),
  point(2, 'training', 1),
  point(2, 'validation', 1.2, 0.5),
  point(3, 'training', 0.5),
  point(3, 'validation', 0.8, 0.75),
];

describe('facts of a run', () => {
  test('the best is that of the lowest validation loss, with its Wilson interval', () => {
    const run = aRun({ id: 'r', number: 1, best: null });
    const best = bestOf(run, [...CURVE, point(4, 'validation', 0.9, 0.95)], 20);
    expect(best).toMatchObject({ metric: 0.75, epoch: 3, correct: 15, total: 20 });
    // statsmodels.stats.proportion.proportion_confint(15, 20, method='wilson')
    expect(best?.estimate?.low).toBeCloseTo(0.5313, 4);
    expect(best?.estimate?.high).toBeCloseTo(0.8881, 4);
  });

  test('differing settings, in the order in which they are shown', () => {
    const training = { ...CONFIG.training, batchSize: 64, epochs: 9 };
    expect(differing([CONFIG, { ...CONFIG, training, seed: 5 }])).toEqual([
      'epochs',
      'batchSize',
      'seed',
    ]);
    expect(differing([CONFIG, CONFIG])).toEqual([]);
  });
});

describe('Training', () => {
  function course(runs: readonly Run[]) {
    const done: string[] = [];
    const baselines = runs.filter(({ role }) => role === 'baseline');
    const fake = {
      baselines,
      trainBaselines: vi.fn(async () => Promise.resolve(void done.push('baselines'))),
      start: vi.fn(async () => Promise.resolve(void done.push('model'))),
    };
    return { fake, done };
  }

  test('baselines come first, and only once for a question', async () => {
    const { project, studio } = await judged([]);
    const without = course([]);
    const made = (fake: object) =>
      new Training(studio, Object.assign(Object.create(null), fake), () => project.current);
    await made(without.fake).start('Run 1');
    expect(without.done).toEqual(['baselines', 'model']);
    const having = course(RUNS);
    await made(having.fake).start('Run 2');
    expect(having.done).toEqual(['model']);
  });

  test('what ended a course is kept for the screen, and the next start clears it', async () => {
    const { project, studio } = await judged();
    const { fake } = course(RUNS);
    fake.start.mockRejectedValueOnce(new Error('The loss was no longer a finite number.'));
    const training = new Training(
      studio,
      Object.assign(Object.create(null), fake),
      () => project.current,
    );
    await training.start('Run 1');
    expect(training.error).toMatchObject({ message: 'The loss was no longer a finite number.' });
    expect(training.busy).toBe(false);
    await training.start('Run 1');
    expect(training.error).toBeNull();
  });

  test('a starter gets as many epochs as fit its time here, and at least one', async () => {
    const { project } = await judged();
    const digits = {
      ...project.current,
      blueprint: {
        kind: 'cnn',
        channels: [16, 32],
        batchNorm: true,
        pool: 'max',
        globalPool: false,
        dense: 64,
        dropout: 0,
      },
      training: { ...CONFIG.training, epochs: 6 },
    } as const;
    const dataset = {
      id: 'd',
      createdAt: 0,
      manifest: {
        format: 1,
        type: 'images',
        name: 'Digits',
        rows: 10_000,
        channels: 1,
        height: 28,
        width: 28,
        classes: [...'0123456789'],
        pixels: [],
        labels: [],
        source: { kind: 'embedded', name: 'digits' },
      },
    } as const;
    const report = (gflops: number): ProbeReport => ({
      chosen: 'wasm',
      reason: '',
      webgpu: null,
      wasm: { threads: 1, gflops, stepMs: 1 },
    });
    const counts = [1, 10, 30, 10_000].map((speed) =>
      epochsWithin(20, digits, dataset, report(speed)),
    );
    expect(counts[0]).toBe(1);
    expect(counts[3]).toBe(6);
    expect([...counts].sort((a, b) => a - b)).toEqual(counts);
  });
});

describe('the Train screen', () => {
  async function shown(runs: readonly Run[]) {
    location.hash = '#/p/p1/train';
    const made = await judged(runs);
    const app = new App(async () => Promise.resolve(made.studio));
    render(ScreenHarness, { app, project: made.project, screen: Screen });
    return made;
  }
  const finished = RUNS.map((run) => (run.id === 'r1' ? { ...run, curve: CURVE } : run));

  test('says in plain words what was learned, beside guessing', async () => {
    await shown(
      finished.map((run) =>
        run.id === 'b1'
          ? { ...run, best: { epoch: 0, loss: 1, metric: 0.45, correct: 9, total: 20 } }
          : run,
      ),
    );
    await expect
      .element(page.getByText('Right on 15 of 20 rows held back for checking.'))
      .toHaveTextContent('Always guessing the commonest animal: 9.');
    await expect.element(page.getByRole('link', { name: 'Try it' })).toBeVisible();
  });

  test('baselines stand first in the table', async () => {
    await shown(finished);
    const table = page.getByRole('region', { name: 'Table of runs' });
    const rows = table.getByRole('row').elements();
    expect(rows.map((row) => row.querySelector('td')?.textContent.trim())).toEqual([
      undefined,
      'Baseline',
      'Baseline',
      'Run 1',
    ]);
  });

  test('an interrupted run shows the curve of its checkpoint and offers to resume', async () => {
    const interrupted = aRun({
      id: 'r1',
      number: 3,
      name: 'Run 1',
      status: 'interrupted',
      best: null,
      stepsDone: 3,
    });
    const { project, store } = await judged([...RUNS.slice(0, 2), interrupted]);
    store.getCheckpoint.mockResolvedValue({ checkpoint: { loop: { curve: CURVE } } });
    const view = new TrainView(project);
    await view.recallCurve(interrupted);
    expect(view.points).toEqual(CURVE);
    expect(view.best).toMatchObject({ metric: 0.75, total: 20 });
    await shown([...RUNS.slice(0, 2), interrupted]);
    await expect.element(page.getByRole('button', { name: 'Resume it' })).toBeVisible();
  });

  test('axe finds nothing', async () => {
    document.documentElement.lang = 'en';
    document.title = 'Train';
    await page.viewport(1280, 900);
    await shown(finished);
    await expect.element(page.getByText('The numbers').first()).toBeVisible();
    const { violations } = await axe.run(document.body);
    expect(violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id} ${html}`))).toEqual(
      [],
    );
  });
});
