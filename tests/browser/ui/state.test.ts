/** The state classes by themselves: edits with undo and redo, conflicts, addresses, and the pictures on Home. */
import { describe, expect, test, vi } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { Project, ProjectEdit, Run } from '../../../src/protocol/entities';
import { resized, secondsHere, shapeOf } from '../../../src/state/model-shape';
import { OpenProject } from '../../../src/state/project.svelte';
import { hrefOf, parseHash } from '../../../src/state/router.svelte';
import { FIRST_LABELS, readDigits, readPenguins } from '../../../src/state/samples';
import { changesSince } from '../../../src/state/stages';
import type { Studio } from '../../../src/state/studio';

const PROJECT: Project = {
  id: 'p1',
  name: 'Penguins',
  createdAt: 0,
  updatedAt: 0,
  trashedAt: null,
  temporary: false,
  starter: null,
  datasetId: 'd1',
  target: 'species',
  task: 'classification',
  gates: [],
  recipe: { format: 1, use: {}, imputeNumeric: 'median', standardise: true },
  split: { kind: 'stratified', train: 0.7, validation: 0.15, test: 0.15, seed: 1 },
  blueprint: { kind: 'linear' },
  training: null,
  seed: 1,
  executor: 'auto',
  testOpened: 0,
  revision: 1,
};

/** A store of one project that keeps revisions as the real one does. */
function opened() {
  let stored = PROJECT;
  const store = {
    editProject: vi.fn(async (_: string, revision: number, edit: ProjectEdit) => {
      await Promise.resolve();
      if (revision !== stored.revision) throw new AppError('store/conflict', 'Another tab wrote.');
      stored = { ...stored, ...edit, revision: revision + 1 };
      return stored;
    }),
    getProject: vi.fn(async () => Promise.resolve(stored)),
  };
  // Only the store is asked here.
  const studio: Studio = Object.assign(Object.create(null), { store });
  return {
    project: new OpenProject(studio, PROJECT),
    store,
    elsewhere: (edit: ProjectEdit) =>
      (stored = { ...stored, ...edit, revision: stored.revision + 1 }),
    stored: () => stored,
  };
}

describe('OpenProject', () => {
  test('an edit shows at once, is written, undone and redone', async () => {
    const { project, stored } = opened();
    project.edit({ name: 'Birds', seed: 7 });
    expect(project.current.name).toBe('Birds');
    project.edit({ seed: 8 });
    expect(project.undo()).toEqual(['seed']);
    expect(project.current.seed).toBe(7);
    expect(project.undo()).toEqual(['name', 'seed']);
    expect(project.undo()).toBeNull();
    expect(project.redo()).toEqual(['name', 'seed']);
    await project.settled();
    expect(stored()).toMatchObject({ name: 'Birds', seed: 7 });
    expect(project.canRedo).toBe(true);
    project.edit({ name: 'Other' });
    expect(project.canRedo).toBe(false);
  });

  test('an edit of nothing is no edit', () => {
    const { project, store } = opened();
    project.edit({ name: 'Penguins', recipe: { ...PROJECT.recipe } });
    expect(project.canUndo).toBe(false);
    expect(store.editProject).not.toHaveBeenCalled();
  });

  test('an edit after another tab wrote is made again on what it left', async () => {
    const { project, stored, elsewhere } = opened();
    elsewhere({ seed: 42 });
    project.edit({ name: 'Birds' });
    await project.settled();
    expect(stored()).toMatchObject({ name: 'Birds', seed: 42 });
    expect(project.current.seed).toBe(42);
    expect(project.error).toBeNull();
  });

  test('a failed write is said, and the screen shows what is stored', async () => {
    const { project, store } = opened();
    store.editProject.mockRejectedValueOnce(new AppError('store/full', 'No room.'));
    project.edit({ name: 'Birds' });
    await project.settled();
    expect(project.current.name).toBe('Penguins');
    expect(project.error).toMatchObject({ code: 'store/full' });
    expect(project.canUndo).toBe(false);
  });

  test('undo never re-seals the test part', async () => {
    const { project, elsewhere } = opened();
    project.edit({ seed: 3 });
    await project.settled();
    const counted = { ...elsewhere({}), testOpened: 1 };
    project.accept(counted);
    project.undo();
    expect(project.current.testOpened).toBe(1);
  });
});

describe('stages', () => {
  test('says what changed since a run', () => {
    const { datasetId, target, task, recipe, split, blueprint, seed, executor } = PROJECT;
    const config = { format: 1, datasetId, target, task, recipe, split, blueprint, seed, executor };
    const run: Run = Object.assign(Object.create(null), { config });
    expect(changesSince(PROJECT, run)).toEqual([]);
    const edited: Project = {
      ...PROJECT,
      recipe: { ...recipe, standardise: false },
      blueprint: { kind: 'mlp', hidden: [8], activation: 'relu', dropout: 0 },
    };
    expect(changesSince(edited, run)).toEqual(['preparation', 'model']);
  });
});

describe('addresses', () => {
  test.each(['#/', '#/settings', '#/new/penguins', '#/new/digits', '#/p/a1/data', '#/p/a1/try'])(
    '%s is read and written alike',
    (hash) => {
      expect(hrefOf(parseHash(hash))).toBe(hash);
    },
  );

  test.each(['#/p/a1/nowhere', '#/new/cats', '#/else', '#/p/a1/data/more'])(
    '%s is nothing',
    (hash) => {
      expect(parseHash(hash)).toEqual({ screen: 'unknown' });
    },
  );
});

describe('model shape', () => {
  const cnn = {
    kind: 'cnn',
    channels: [8, 16],
    batchNorm: true,
    pool: 'max',
    globalPool: false,
    dense: 0,
    dropout: 0,
  } as const;

  test('counts what is learned', () => {
    const shape = shapeOf({ kind: 'mlp', hidden: [10], activation: 'relu', dropout: 0 }, [4], 3);
    expect(shape.weights).toBe(4 * 10 + 10 + 10 * 3 + 3);
    expect(shape.bytes).toBe(shape.weights * 4);
    expect(shape.problem).toBeNull();
  });

  test('a picture too small to halve reddens the wire into that block, and keeps what fits', () => {
    // 28 -> 14 -> 7 -> 3 -> 1: the fifth block cannot halve.
    const shape = shapeOf({ ...cnn, channels: [8, 8, 8, 8, 8] }, [1, 28, 28], 10);
    expect(shape.problem?.error.code).toBe('blueprint/too-small');
    expect(shape.problem?.at).toBe(16);
    expect(shape.layers).toHaveLength(16);
  });

  test('time is the smallest step plus the work, for every step of every epoch', () => {
    const speed = { stepMs: 2, gflops: 1 };
    const seconds = secondsHere({ multiplyAdds: 1e6 }, { epochs: 3, batchSize: 10 }, 95, speed);
    expect(seconds).toBeCloseTo(30 * (0.002 + 0.06), 6);
  });

  test('layers are added as the last one, blocks with twice its filters', () => {
    expect(resized([32], 3, 1)).toEqual([32, 32, 32]);
    expect(resized([16, 32], 4, 2)).toEqual([16, 32, 64, 128]);
    expect(resized([16, 32, 64], 1, 2)).toEqual([16]);
  });
});

describe('pictures on Home', () => {
  test('the digits stand in the order that their labels are said in', async () => {
    const digits = await readDigits(40);
    expect(digits).toHaveLength(40);
    const header = await (await fetch('/data/digits.json')).json();
    const body = (await fetch('/data/digits.bin')).body;
    if (!body) throw new Error('No digits.');
    const bytes = await new Response(body.pipeThrough(new DecompressionStream('gzip'))).bytes();
    const from = header.rows * 784;
    const labels = bytes.subarray(from, from + FIRST_LABELS.length);
    expect(labels.join('')).toBe(FIRST_LABELS);
    expect(digits.map(({ label }) => label).join('')).toBe(FIRST_LABELS.slice(0, 40));
    expect(digits[3]?.pixels).toEqual(bytes.subarray(3 * 784, 4 * 784));
  });

  test('the penguins come with all four measures', async () => {
    const { species, birds } = await readPenguins();
    expect(species).toEqual(['Adelie', 'Chinstrap', 'Gentoo'].sort());
    expect(birds).toHaveLength(342);
  });
});
