/** Evaluate: the seal is counted and kept, one slider moves matrix and curves, a cell opens its examples. */
import axe from 'axe-core';
import { page, userEvent } from 'vitest/browser';
import { describe, expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { App } from '../../../src/state/app.svelte';
import { Judging } from '../../../src/state/judging.svelte';
import Screen from '../../../src/ui/screens/evaluate/Screen.svelte';
import { judged } from './judged-studio';
import ScreenHarness from './ScreenHarness.svelte';

describe('Judging', () => {
  test('the checking part is judged without opening the seal', async () => {
    const { project, store, data, evaluate } = await judged();
    const judging = new Judging(project);
    await judging.check();
    expect(evaluate.mock.calls.map(([, model, part]) => `${model} ${part}`)).toEqual([
      'm-r1 validation',
      'm-b1 validation',
      'm-b2 validation',
    ]);
    expect(store.openTest).not.toHaveBeenCalled();
    for (const call of data.readPart.mock.calls) expect(call[3]).toEqual({ unsealed: false });
    expect(judging.contenders.map(({ role }) => role)).toEqual(['model', 'rule', 'linear']);
    await judging.check();
    expect(evaluate).toHaveBeenCalledTimes(3);
  });

  test('one opening is counted however many models it judges, and before any row is read', async () => {
    const { project, store, data } = await judged();
    const judging = new Judging(project);
    await judging.open();
    expect(store.openTest).toHaveBeenCalledTimes(1);
    expect(data.readPart).toHaveBeenCalledTimes(3);
    expect(store.openTest.mock.invocationCallOrder[0]).toBeLessThan(
      data.readPart.mock.invocationCallOrder[0] ?? 0,
    );
    expect(project.current.testOpened).toBe(1);
    expect(judging.part).toBe('test');
    await judging.open();
    expect(project.current.testOpened).toBe(2);
  });

  test('where the opening cannot be counted, nothing is read', async () => {
    const { project, store, data } = await judged();
    store.openTest.mockRejectedValueOnce(new Error('No room.'));
    const judging = new Judging(project);
    await judging.open();
    expect(data.readPart).not.toHaveBeenCalled();
    expect(judging.error).toMatchObject({ message: 'No room.' });
  });
});

describe('the Evaluate screen', () => {
  async function shown() {
    location.hash = '#/p/p1/evaluate';
    const made = await judged();
    const app = new App(async () => Promise.resolve(made.studio));
    render(ScreenHarness, { app, project: made.project, screen: Screen });
    await expect.element(page.getByText('Right on 18 of 20')).toBeVisible();
    return made;
  }

  test('gates have three outcomes', async () => {
    await shown();
    const gates = page.getByRole('list', { name: 'Gates' });
    await expect.element(gates.getByText('Accuracy ≥ 20%')).toHaveTextContent('met');
    await expect.element(gates.getByText('too few to tell')).toBeVisible();
    await expect.element(gates.getByText('Size ≤ 1 kB')).toHaveTextContent('not met');
  });

  test('a cell opens its examples, the most confident first', async () => {
    const { data } = await shown();
    const cells = page.getByRole('button', { name: '2 of true dog predicted as cat' });
    await cells.first().click();
    await expect.element(page.getByText('taken for cat, the most confident first')).toBeVisible();
    await expect.poll(() => data.rows.mock.lastCall?.[1].rows).toEqual([3, 1]);
    const shownRows = page.getByText(/^row \d+ · weight/);
    await expect.element(shownRows.first()).toHaveTextContent('row 4 · weight 3 kg');
  });

  test('one slider moves the matrix and its figures', async () => {
    await shown();
    const slider = page.getByLabelText('Called this class from');
    await expect.element(page.getByText('From 50% on it finds 80% of all dog')).toBeVisible();
    await userEvent.fill(slider, '0.4');
    await expect.element(page.getByText('From 40% on it finds 90% of all dog')).toBeVisible();
    await expect
      .element(page.getByRole('button', { name: '1 of true dog predicted as not dog' }))
      .toBeVisible();
  });

  test.each(['light', 'dark'])('axe finds nothing in %s', async (theme) => {
    document.documentElement.dataset.theme = theme;
    document.documentElement.lang = 'en';
    document.title = 'Evaluate';
    await page.viewport(1280, 900);
    await shown();
    const { violations } = await axe.run(document.body);
    expect(violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id} ${html}`))).toEqual(
      [],
    );
    delete document.documentElement.dataset.theme;
  });
});
