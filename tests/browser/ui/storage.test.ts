/** The Storage screen: what it asks of the store, and that a check is no repair. */
import axe from 'axe-core';
import { page, userEvent } from 'vitest/browser';
import { expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { App } from '../../../src/state/app.svelte';
import Storage from '../../../src/ui/screens/storage/Screen.svelte';
import { judged } from './judged-studio';
import ScreenHarness from './ScreenHarness.svelte';

const REPORT = {
  projects: [],
  pretrained: 0,
  reclaimable: { trash: 0, features: 2000, garbage: 0, imports: 0, checkpoints: 0 },
};

async function shown(describeStorage: () => Promise<typeof REPORT>) {
  location.hash = '#/storage';
  const made = await judged();
  const store = Object.assign(made.store, {
    describeStorage,
    usage: async () => Promise.resolve({ bytes: 5000, quota: 1e9, persisted: true }),
    backupStates: async () => Promise.resolve([]),
    verify: vi.fn(async () => Promise.resolve(['The chunk x is damaged.'])),
    heal: vi.fn(async () => Promise.resolve([])),
    freeStorage: vi.fn(async () => Promise.resolve({ before: 5000, after: 3000 })),
  });
  const app = new App(async () => Promise.resolve(made.studio));
  render(ScreenHarness, { app, project: made.project, screen: Storage });
  return store;
}

const check = () => userEvent.click(page.getByRole('button', { name: 'Check every byte' }));

test('a check names the damage and changes nothing; the repair has a button of its own', async () => {
  const store = await shown(async () => Promise.resolve(REPORT));
  await expect.element(page.getByText('5 kB used; the browser allows 1 GB.')).toBeVisible();
  await check();
  await expect.element(page.getByText('The chunk x is damaged.')).toBeVisible();
  expect(store.heal).not.toHaveBeenCalled();
  const { violations } = await axe.run(document, { rules: { region: { enabled: false } } });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`)).toEqual([]);
  await userEvent.click(page.getByRole('button', { name: 'Repair what can be' }));
  await expect.element(page.getByText(/^Checked: every record and every byte/)).toBeVisible();
  expect(store.heal).toHaveBeenCalledOnce();
});

test('what can go is freed, by the store’s own count', async () => {
  const store = await shown(async () => Promise.resolve(REPORT));
  await userEvent.click(page.getByRole('button', { name: 'Free 2 kB' }));
  await expect.element(page.getByText('Before: 5 kB. Now: 3 kB.')).toBeVisible();
  expect(store.freeStorage).toHaveBeenCalledWith(['garbage', 'features']);
});

test('what is too damaged to be counted can still be checked', async () => {
  const store = await shown(async () => Promise.reject(new Error('A record cannot be read.')));
  await expect.element(page.getByText('A record cannot be read.')).toBeVisible();
  await check();
  await expect.element(page.getByText('The chunk x is damaged.')).toBeVisible();
  expect(store.verify).toHaveBeenCalledOnce();
});
