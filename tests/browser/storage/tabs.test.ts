/** Pages among each other: asking before taking over, silence, and looking on. Each has a store of its own. */
import { describe, expect, test, vi } from 'vitest';
import type { Seated } from '../../../src/services/tabs';
import { Tabs } from '../../../src/services/tabs';
import type { RunEvent } from '../../../src/services/runs';
import { FaultyDisk } from './faulty-disk';
import { fill, freshStores, runDraft } from './fixtures';

const stores = freshStores();

function seat(under: readonly RunEvent[] = []) {
  return {
    letGo: vi.fn(async () => Promise.resolve()),
    moved: vi.fn(),
    written: vi.fn<Seated['written']>(),
    freed: vi.fn(),
    run: vi.fn<Seated['run']>(),
    underWay: () => under,
  };
}

async function twoPages(under: readonly RunEvent[] = []) {
  const name = stores.name();
  const [a, b] = [await stores.opened({ name }), await stores.opened({ name })];
  const { projectId: id, datasetId } = await fill(a);
  const options = { store: name, silenceMs: 150, savingMs: 600, gatherMs: 20 };
  const first = new Tabs(a, options);
  const second = new Tabs(b, options);
  const [here, there] = [seat(under), seat()];
  expect(await first.sit(id, here)).toBe(true);
  expect(await second.sit(id, there)).toBe(false);
  return { a, b, first, second, here, there, id, datasetId };
}

/** Two messages after it nothing is on its way any more: channels keep their order. */
const heard = () => new Promise((resolve) => setTimeout(resolve, 60));

describe('a take-over', () => {
  test('waits for what the other page saves, and then needs no theft', async () => {
    const { a, b, second, here, there, id } = await twoPages();
    here.letGo.mockImplementation(async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      await a.openTest(id);
    });
    const saving = vi.fn();
    await second.takeOver(id, saving);
    expect(saving).toHaveBeenCalledOnce();
    expect(await b.openTest(id)).toMatchObject({ testOpened: 2 });
    await heard();
    // It let go by itself, so nobody has to tell it that it lost.
    expect(here.moved).not.toHaveBeenCalled();
    expect(there.moved).not.toHaveBeenCalled();
    await expect(a.openTest(id)).rejects.toMatchObject({ code: 'store/elsewhere' });
  });

  test.each([
    ['is silent', () => new Promise<void>(() => undefined), true],
    ['fails to save', () => Promise.reject(new Error('The disk is full.')), false],
  ])('from a page that %s goes on all the same', async (_, letGo, stolen) => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { b, second, here, id } = await twoPages();
    here.letGo.mockImplementation(letGo);
    await second.takeOver(id, () => undefined);
    expect(await b.openTest(id)).toMatchObject({ testOpened: 1 });
    await expect.poll(() => here.moved.mock.calls.length).toBe(stolen ? 1 : 0);
    warned.mockRestore();
  });

  test('from a page that is not there any more asks nobody', async () => {
    const { first, second, here, there, id } = await twoPages();
    await first.rise(id, false);
    await expect.poll(() => there.freed.mock.calls.at(-1)).toEqual([true]);
    await second.takeOver(id, () => undefined);
    expect(here.letGo).not.toHaveBeenCalled();
  });

  test('of a run that its page has left asks that page too', async () => {
    const { a, first, second, here, id, datasetId } = await twoPages();
    const run = await a.createRun(runDraft(id, datasetId));
    await first.rise(id, true);
    here.letGo.mockImplementation(
      async () => void (await a.updateRun(run.id, { status: 'interrupted' })),
    );
    await second.takeOver(id, () => undefined);
    expect(here.letGo).toHaveBeenCalledOnce();
    expect(here.moved).not.toHaveBeenCalled();
  });
});

test('a full disk keeps nobody from opening a project', async () => {
  const disk = new FaultyDisk(1, 'quota');
  const name = stores.name();
  const store = await stores.opened({ name, middleware: disk.middleware });
  const { projectId: id } = await fill(store);
  const page = new Tabs(store, { store: name });
  disk.armed = true;
  expect(await page.sit(id, seat())).toBe(true);
  expect(disk.failed).toBe(true);
  // There is room again, and nothing has to be opened anew.
  expect(await store.openTest(id)).toMatchObject({ testOpened: 1 });
});

describe('a page that looks on', () => {
  test('hears what was written, and the page that writes does not hear itself', async () => {
    const { a, here, there, id } = await twoPages();
    await a.openTest(id);
    await expect.poll(() => there.written.mock.calls.length).toBeGreaterThan(0);
    expect(there.written.mock.calls.at(-1)?.[0]).toContain('projects');
    expect(here.written).not.toHaveBeenCalled();
  });

  test('sees the run from its beginning, gathered, and no rows of the data', async () => {
    const phase = (label: string) => ({ type: 'phase', progress: { label } }) as const;
    const { first, here, there, id } = await twoPages([phase('so far'), phase('and then')]);
    const begun = { begins: true, events: [phase('so far'), phase('and then')] };
    await expect.poll(() => there.run.mock.calls).toEqual([[begun.begins, begun.events]]);
    first.share(id, phase('on'));
    first.share(id, { type: 'hardest', examples: [{ row: 3, actual: 0, predicted: 1, loss: 2 }] });
    first.share(id, phase('and on'));
    await expect.poll(() => there.run.mock.calls.length).toBe(2);
    expect(there.run.mock.calls[1]).toEqual([false, [phase('on'), phase('and on')]]);
    // Another run: what was gathered of the former one is no longer of interest.
    first.share(id, phase('late'));
    first.share(id, phase('new'), true);
    await expect.poll(() => there.run.mock.calls.length).toBe(3);
    expect(there.run.mock.calls[2]).toEqual([true, [phase('new')]]);
    expect(here.run).not.toHaveBeenCalled();
  });
});
