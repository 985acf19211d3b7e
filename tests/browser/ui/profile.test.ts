/** Profile: when there is something to press, what a recorded step shows, its trace, and its colours on the graph. */
import axe from 'axe-core';
import { page } from 'vitest/browser';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { AppError } from '../../../src/core/errors';
import type { TrainEvent } from '../../../src/protocol/api';
import type { GraphPicture, PictureNode } from '../../../src/protocol/graph-view';
import type { RunProfile } from '../../../src/protocol/profile';
import type { RunHandle } from '../../../src/services/runs';
import { App } from '../../../src/state/app.svelte';
import { GraphViewer } from '../../../src/state/graph-viewer.svelte';
import { LiveRun } from '../../../src/state/live-run.svelte';
import GraphScreen from '../../../src/ui/screens/graph/Screen.svelte';
import { groundOf, markOf, mixed, paletteOf } from '../../../src/ui/screens/graph/draw';
import Panel from '../../../src/ui/screens/profile/Panel.svelte';
import { PROFILE, STEP } from '../../support/profiles';
import { aRun, judged } from './judged-studio';
import ScreenHarness from './ScreenHarness.svelte';

const RUN = aRun({ id: 'r1', number: 3, name: 'Run 1' });

beforeEach(() => {
  document.documentElement.lang = 'en';
  document.title = 'Profile';
});

async function shown(
  kept: RunProfile | null,
  change: (made: Awaited<ReturnType<typeof judged>>) => void = () => undefined,
) {
  const made = await judged();
  if (kept) made.project.profile.keep(kept, RUN);
  change(made);
  const app = new App(async () => Promise.resolve(made.studio));
  render(ScreenHarness, { app, project: made.project, screen: Panel });
  return { ...made, app };
}

function cells(table: string): string[][] {
  const rows = page.getByRole('group', { name: table }).getByRole('row').elements();
  return rows.map((row) =>
    [...row.children].map((cell) => cell.textContent.replaceAll(/\s+/g, ' ').trim()),
  );
}

describe('taking a profile', () => {
  const event = (done: number, profile: RunProfile | null = null): TrainEvent => ({
    type: 'profile',
    done,
    of: 10,
    profile,
  });

  test('without a run it tells how far it is, can be stopped, and keeps the result', async () => {
    const stop = vi.fn(async () => Promise.resolve());
    let tell: (event: TrainEvent) => void = () => undefined;
    let end: (profile: RunProfile) => void = () => undefined;
    const { project } = await shown(null, ({ studio }) => {
      studio.profile = async (_project, _name, _steps, listener) => {
        tell = listener;
        const finished = new Promise<RunProfile>((resolve) => (end = resolve));
        return Promise.resolve({ finished, stop });
      };
    });
    await expect
      .element(page.getByRole('button', { name: 'Open' }))
      .toHaveAttribute('aria-expanded', 'false');
    await page.getByRole('button', { name: 'Open' }).click();
    await expect.element(page.getByText(/Nothing of what they learn is kept/)).toBeVisible();
    await page.getByRole('button', { name: 'Profile 10 steps' }).click();
    tell(event(4));
    await expect.element(page.getByText('4 of 10')).toBeVisible();
    await page.getByRole('button', { name: 'Stop' }).click();
    expect(stop).toHaveBeenCalledOnce();
    end({ ...PROFILE, steps: 5 });
    await expect.element(page.getByRole('heading', { name: /first 5 steps/ })).toBeVisible();
    expect(project.profile.kept).toMatchObject({ steps: 5, run: null });
    expect(project.profile.progress).toBeNull();
  });

  test('an engine without a clock is said once, and nothing is offered', async () => {
    await shown(null, ({ studio }) => {
      studio.profile = async () =>
        Promise.resolve({
          finished: Promise.reject(new AppError('training/no-profile', 'It cannot.')),
          stop: async () => Promise.resolve(),
        });
    });
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('button', { name: 'Profile 10 steps' }).click();
    await expect.element(page.getByText(/cannot time its kernels one by one/)).toBeVisible();
    expect(page.getByRole('button', { name: /Profile/ }).elements()).toEqual([]);
  });

  test('another failure stands beside the button and can be tried again', async () => {
    const refused = new AppError('training/busy', '“Run 4” is training.');
    await shown(null, ({ studio }) => {
      studio.profile = async () => Promise.reject(refused);
    });
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('button', { name: 'Profile 10 steps' }).click();
    await expect.element(page.getByText('“Run 4” is training.')).toBeVisible();
    await expect.element(page.getByRole('button', { name: 'Profile 10 steps' })).toBeVisible();
  });

  test.each([
    ['no-model', { blueprint: null }],
    [
      'pretrained',
      {
        blueprint: {
          kind: 'pretrained',
          source: { kind: 'ours' },
          cut: null,
          strategy: { kind: 'head' },
        },
      },
    ],
  ])('%s: there is nothing to press', async (readiness, change) => {
    const { project } = await judged();
    project.edit(Object.assign(Object.create(null), change));
    expect(project.profile.readiness).toBe(readiness);
  });

  test('the steps of a live run: asked of the run, its own end kept', async () => {
    const profile = vi.fn(async () => Promise.resolve());
    const kept: unknown[] = [];
    const live = new LiveRun(
      () => undefined,
      (taken, run) => kept.push([taken.steps, run.id]),
    );
    expect(live.canProfile).toBeNull();
    const handle: RunHandle = Object.assign(Object.create(null), { profile });
    live.hold(handle);
    live.receive({ type: 'run', run: { ...RUN, status: 'running' } });
    live.receive({
      type: 'started',
      planId: 'p',
      label: 'l',
      graphHash: 'g',
      stepsTotal: 100,
      weights: 1,
      canProfile: true,
    });
    live.settle();
    expect(live.canProfile).toBe(true);
    await live.profile(10);
    expect(profile).toHaveBeenCalledWith(10);
    expect(live.profiling).toEqual({ done: 0, of: 10 });
    live.receive(event(3));
    live.settle();
    expect(live.profiling).toEqual({ done: 3, of: 10 });
    live.receive(event(10, PROFILE));
    live.settle();
    expect(live.profiling).toBeNull();
    expect(kept).toEqual([[10, 'r1']]);
  });
});

describe('the panel', () => {
  test('figures of the step', async () => {
    await shown(PROFILE);
    await expect
      .element(page.getByRole('heading', { name: 'Typical of 10 steps of Run 1' }))
      .toBeVisible();
    const figures = page.getByLabelText('Figures of a step');
    for (const words of ['2ms', '1ms in kernels', '50%', '2 passes, 1 submit', '26.5 kB', '9 kB']) {
      await expect.element(figures).toHaveTextContent(words);
    }
    await expect
      .element(page.getByRole('list', { name: 'Phase' }))
      .toHaveTextContent(/Forward 42% Backward 58% Update 0%/);
  });

  test('a table that is sorted by any column, and for a phase alone', async () => {
    await shown(PROFILE);
    const table = 'Time by operator';
    const names = () =>
      cells(table)
        .slice(1)
        .map(([name]) => name);
    expect(names()).toEqual(['Gemm + Mul', 'Gemm + Relu', 'Gemm', 'SoftmaxCrossEntropy', 'AdamW']);
    expect(cells(table)[3]).toEqual(['Gemm', '0.3ms', '30%', '4 kB', '0.0133', '2']);
    const bytes = page.getByRole('button', { name: 'Bytes', exact: true });
    await bytes.click();
    expect(names()[0]).toBe('AdamW');
    await expect
      .element(page.getByRole('columnheader', { name: 'Bytes' }))
      .toHaveAttribute('aria-sort', 'descending');
    await bytes.click();
    expect(names().at(-1)).toBe('AdamW');
    await page.getByRole('button', { name: 'Operator', exact: true }).click();
    expect(names()).toEqual(['AdamW', 'Gemm', 'Gemm + Mul', 'Gemm + Relu', 'SoftmaxCrossEntropy']);
    await page.getByRole('combobox', { name: 'Phase' }).selectOptions('Backward');
    expect(names()).toEqual(['Gemm', 'Gemm + Mul']);
    expect(cells(table)[1]?.[2]).toBe('20%');
  });

  test('nodes of the model, and what is not one of them', async () => {
    await shown(PROFILE);
    await page.getByRole('tab', { name: 'By node' }).click();
    expect(
      cells('Time by node of the model')
        .slice(1)
        .map(([name, time]) => [name, time]),
    ).toEqual([
      ['dense1.gemm, dense1.relu', '0.68ms'],
      ['output.gemm', '0.3ms'],
      ['SoftmaxCrossEntropy_0 loss and update', '0.02ms'],
      ['AdamW_0 loss and update', '–'],
    ]);
  });

  test('kernels in their order, one looked at by keys', async () => {
    await shown(PROFILE);
    await page.getByRole('tab', { name: 'In order' }).click();
    await expect
      .element(
        page.getByText('6 kernels take 1ms in all. The longest is Gemm + Mul with 0.38ms, 38%.'),
      )
      .toBeVisible();
    const slider = page.getByRole('slider', { name: 'Kernel' });
    await slider.fill('4');
    await expect.element(page.getByText(/Backward · 0\.38ms, 38% · 5 kB moved/)).toBeVisible();
    await slider.fill('5');
    await expect.element(page.getByText(/Update · too short for its clock/)).toBeVisible();
  });

  test('memory: the peak, and the largest then', async () => {
    await shown(PROFILE);
    await page.getByRole('tab', { name: 'Memory' }).click();
    await expect
      .element(
        page.getByText('The most at once is 9 kB, at kernel 5 (Gemm + Mul). 44% of it is state.'),
      )
      .toBeVisible();
    expect(cells('Largest at that moment').slice(1, 3)).toEqual([
      ['dense1.weight', 'state', '4 kB', '1 to 6'],
      ['dense1.weight/grad', 'gradients', '2 kB', '5 to 6'],
    ]);
  });

  test('is saved as a trace', async () => {
    await shown(PROFILE);
    const blobs: Blob[] = [];
    vi.spyOn(URL, 'createObjectURL').mockImplementation((blob) => {
      if (blob instanceof Blob) blobs.push(blob);
      return '#';
    });
    await page.getByRole('button', { name: 'Save as a Chrome trace' }).click();
    const trace: unknown = JSON.parse((await blobs[0]?.text()) ?? '');
    expect(trace).toMatchObject({ otherData: { device: 'a test device', dispatches: 6 } });
    vi.restoreAllMocks();
  });

  test('bears a step whose kernels are all too short, and one awaited kernel by kernel', async () => {
    const kernels = STEP.kernels.map((kernel) => ({ ...kernel, micros: 0 }));
    await shown({ ...PROFILE, step: { ...STEP, kernels, clock: 'wall' } });
    await expect.element(page.getByText(/no clock for kernels/)).toBeVisible();
    await page.getByRole('tab', { name: 'In order' }).click();
    await expect
      .element(page.getByText('6 kernels ran, each too short for the clock of this device.'))
      .toBeVisible();
  });

  test.each(['By operator', 'By node', 'In order', 'Memory'])(
    'axe finds nothing: %s',
    async (tab) => {
      await page.viewport(1280, 1400);
      await shown(PROFILE);
      await page.getByRole('tab', { name: tab }).click();
      const { violations } = await axe.run(document.body);
      expect(
        violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id} ${html}`)),
      ).toEqual([]);
    },
  );

  test('fits 360 px', async () => {
    await page.viewport(360, 800);
    await shown(PROFILE);
    for (const tab of ['By operator', 'By node', 'In order', 'Memory']) {
      await page.getByRole('tab', { name: tab }).click();
      expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(360);
    }
  });
});

describe('on the graph', () => {
  function node(
    name: string,
    title: string,
    y: number,
    category: PictureNode['category'] = 'layer',
  ): PictureNode {
    return { name, title, detail: '', category, change: 'same', x: 100, y, width: 90, height: 30 };
  }
  const PICTURE: GraphPicture = {
    id: 'g1',
    nodes: [
      // A port may bear a node's name.
      node('output.gemm', 'output.gemm', 20, 'port'),
      node('dense1.gemm', 'Gemm', 80),
      node('dense1.relu', 'Relu', 140),
      node('flatten', 'Flatten', 200, 'shape'),
      node('output.gemm', 'Gemm', 260),
    ],
    edges: [],
    width: 200,
    height: 300,
    facts: { name: 'mlp', opset: 23, nodes: 4, weights: 10, metadata: [] },
    changes: null,
  };

  async function viewed(graph = 'm-r1') {
    const made = await judged();
    const openGraph = vi.fn(async () => Promise.resolve(PICTURE));
    Object.assign(made.studio, {
      openGraph,
      graphNode: vi.fn(async () => Promise.resolve(DETAILS)),
    });
    made.project.profile.keep(PROFILE, RUN);
    made.project.profile.showOn(graph);
    return made;
  }
  const DETAILS = {
    name: 'dense1.gemm',
    op: 'Gemm',
    domain: '',
    change: 'same',
    attributes: [],
    inputs: [],
    outputs: [],
  };

  test('nodes cost what their kernels cost; ports and other graphs nothing', async () => {
    const { project } = await viewed();
    const viewer = new GraphViewer(project);
    expect(viewer.after?.id).toBe('m-r1');
    expect(project.profile.takeWanted()).toBeNull();
    await viewer.open(viewer.after, null);
    expect(viewer.profiled).toBe(true);
    expect(viewer.heat?.costs.map((cost) => cost?.micros ?? null)).toEqual([
      null,
      680,
      680,
      null,
      300,
    ]);
    expect(viewer.heat?.most).toBe(680);
    project.profile.measure = 'bytes';
    expect(viewer.heat).toMatchObject({ measure: 'bytes', most: 8000 });
    project.profile.measure = null;
    expect(viewer.heat).toBeNull();
    project.profile.measure = 'time';
    viewer.show('m-b2');
    expect(viewer.profiled).toBe(false);
    expect(viewer.heat).toBeNull();
    viewer.show('m-r1');
    viewer.compareWith('m-b2');
    expect(viewer.heat).toBeNull();
  });

  test('colours run from the ground to half of the full colour', async () => {
    const { project } = await viewed();
    const viewer = new GraphViewer(project);
    await viewer.open(viewer.after, null);
    const palette = {
      ...paletteOf(document.body),
      panel: 'rgb(0, 0, 0)',
      heat: 'rgb(200, 100, 50)',
    };
    const ground = (index: number) => groundOf(palette, viewer.heat, index);
    expect(ground(1)).toBe('rgb(100, 50, 25)');
    expect(ground(3)).toBe('rgb(0, 0, 0)');
    expect(ground(4)).toBe(mixed(palette.panel, palette.heat, 0.5 * Math.sqrt(300 / 680)));
    expect(groundOf(palette, null, 1)).toBe(palette.panel);
    expect([1, 3, 4].map((index) => markOf(viewer.heat, index))).toEqual(['68%', '', '30%']);
  });

  test('text stays readable on the warmest ground, in both themes', () => {
    const luminance = (colour: string): number => {
      const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map((part) => {
        const value = Number(part) / 255;
        return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    for (const theme of ['light', 'dark']) {
      document.documentElement.dataset['theme'] = theme;
      const { panel, heat, ink } = paletteOf(document.body);
      const [a, b] = [luminance(mixed(panel, heat, 0.5)), luminance(ink)];
      expect((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)).toBeGreaterThan(4.5);
    }
    delete document.documentElement.dataset['theme'];
  });

  test('the screen names what colours mean, and what a node costs', async () => {
    await page.viewport(1280, 1000);
    location.hash = '#/p/p1/graph';
    const made = await viewed();
    made.project.data.refresh = async () => Promise.resolve();
    const app = new App(async () => Promise.resolve(made.studio));
    render(ScreenHarness, { app, project: made.project, screen: GraphScreen });
    await expect.element(page.getByText(/They take 98% of the time/)).toBeVisible();
    await expect.element(page.getByLabelText('Colour by')).toHaveValue('time');
    await page.getByLabelText('Find nodes').fill('Relu');
    await page.getByRole('button', { name: 'Relu dense1.relu' }).click();
    await expect.element(page.getByText('0.68ms, 68% of the time')).toBeVisible();
    await expect.element(page.getByText('Shared with dense1.gemm')).toBeVisible();
    await page.getByLabelText('Colour by').selectOptions('operator');
    expect(page.getByText('0.68ms, 68% of the time').elements()).toEqual([]);
  });
});
