/** The storage of the built studio, held by a tab of an older version. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { startServer } from '../../../tools/lib/server.mjs';
import { newProfile, removeProfile, startBrowser } from '../../support/own-browser';
import type { OwnBrowser } from '../../support/own-browser';
import { numbersFile } from '../../support/stored';

const SOON = { timeout: 90_000 };
let server: Awaited<ReturnType<typeof startServer>>;
let file: Awaited<ReturnType<typeof numbersFile>>;
let profile: string;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  profile = await newProfile();
  file = await numbersFile('clinic.csv', 20_000, 12);
}, 180_000);

afterAll(async () => {
  await server.close();
  await file.remove();
  await removeProfile(profile);
});

const rescue = (page: Page) => page.getByText('What is safe', { exact: true });

async function importTable(page: Page): Promise<string> {
  await page.goto('about:blank');
  await page.goto(`${server.url}#/`);
  await page.locator('section.own input[type=file]').setInputFiles(file.path);
  await page.waitForURL(/#\/p\/[^/]+\/goal/, SOON);
  return /#\/p\/([^/]+)\//.exec(page.url())?.[1] ?? '';
}

/** By the studio's own check; null where it shows a rescue screen instead. */
async function problems(page: Page): Promise<readonly string[] | null> {
  await page.goto(`${server.url}#/storage`);
  const button = page.getByRole('button', { name: 'Check every byte' });
  await button.or(rescue(page)).first().waitFor(SOON);
  if ((await rescue(page).count()) > 0) return null;
  await button.click(SOON);
  const healthy = page.getByText('every record and every byte is as it was written');
  const damaged = page.getByRole('alert').filter({ hasText: 'found:' });
  await healthy.or(damaged).or(rescue(page)).first().waitFor(SOON);
  if ((await rescue(page).count()) > 0) return null;
  return (await healthy.count()) > 0 ? [] : damaged.locator('li').allTextContents();
}

describe('an old tab that does not let go of the storage', () => {
  let own: OwnBrowser;

  beforeAll(async () => {
    own = await startBrowser(profile);
  });
  afterAll(() => own.close());

  test('is named within seconds, and when it is closed the upgrade goes on', async () => {
    const old = await own.context.newPage();
    await old.goto(`${server.url}data/penguins.json`);
    // A former version that hears nothing: it holds version 1 and ignores that another one is wanted.
    await old.evaluate(async () => {
      await new Promise<void>((resolve) => {
        const request = indexedDB.open('terrarium-core', 10);
        request.onupgradeneeded = () => {
          const database = request.result;
          for (const name of ['datasets', 'projects', 'runs', 'models', 'evaluations']) {
            const store = database.createObjectStore(name, { keyPath: 'id' });
            if (name === 'runs') store.createIndex('status', 'status');
            if (!['datasets', 'projects'].includes(name))
              store.createIndex('projectId', 'projectId');
          }
          const links = database.createObjectStore('links', {
            keyPath: ['projectId', 'datasetId'],
          });
          for (const key of ['projectId', 'datasetId']) links.createIndex(key, key);
          database.createObjectStore('checkpoints', { keyPath: 'runId' });
          database.createObjectStore('settings', { keyPath: 'key' });
        };
        request.onsuccess = () => {
          Object.assign(globalThis, { held: request.result });
          resolve();
        };
      });
    });
    const { page } = own;
    await page.goto(`${server.url}#/`);
    await page.getByRole('heading', { name: 'Another tab is in the way' }).waitFor(SOON);
    await old.close();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
    await importTable(page);
    expect(await problems(page)).toEqual([]);
  });
});
