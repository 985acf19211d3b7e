/** The network pulled (fault 21) and every scope of the studio asked to call out (faults 22, 23). */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterEach, describe, expect, it } from 'vitest';
import { clinic } from '../support/clinic-csv';
import { Journey } from '../support/journey';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';

let studio: Opened | undefined;
let folder: string | undefined;
afterEach(async () => {
  await studio?.close();
  studio = undefined;
  if (folder) await rm(folder, { recursive: true, force: true });
  folder = undefined;
});

async function savedForOffline(page: Page): Promise<void> {
  await page.getByRole('button', { name: /Works offline/ }).waitFor({ timeout: 90_000 });
}

/** Runs in any scope: what the policy says to a call outside. */
const tryOutside = () =>
  new Promise<string>((resolve) => {
    addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
    fetch('https://example.invalid/?row=1').then(
      () => resolve('it went out'),
      () => setTimeout(() => resolve('no violation'), 2000),
    );
  });

describe('with the network pulled', () => {
  it('a slow computer goes from its own table to a prediction and a file, and asks nobody', async () => {
    folder = await mkdtemp(join(tmpdir(), 'terrarium-glass-'));
    const table = join(folder, 'clinic.csv');
    const { csv } = clinic(200, 5);
    await writeFile(table, csv);
    studio = await openStudio({ context: { acceptDownloads: true } });
    const { page, context, server } = studio;
    await savedForOffline(page);

    await context.setOffline(true);
    await server.close();
    const failed: string[] = [];
    context.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText ?? '';
      // What a page no longer waits for when it is left is no failure.
      if (reason !== 'net::ERR_ABORTED') failed.push(`${request.url()}: ${reason}`);
    });
    const cold = await context.newPage();
    const session = await context.newCDPSession(cold);
    await session.send('Emulation.setCPUThrottlingRate', { rate: 6 });
    await page.close();
    await cold.goto(studio.url);

    const journey = new Journey({ page: cold, url: studio.url, folder, patience: 120_000 });
    await journey.importTable(table);
    await journey.train();
    const [header = '', ...rows] = (await journey.answer(table)).trim().split(/\r?\n/);
    expect(header).toContain('prediction');
    expect(rows).toHaveLength(200);
    expect(failed).toEqual([]);
    expect(studio.outside).toEqual([]);
  });
});

describe('asked to call outside', () => {
  it('page, workers and service worker are stopped by the policy, and the count on the page shows it', async () => {
    studio = await openStudio();
    const { page, context, server, outside } = studio;
    await savedForOffline(page);
    await page.getByRole('link', { name: /Which penguin is it/ }).click();
    await page.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 90_000 });
    await page.goto(page.url().replace(/\/train$/, '/try'));
    await page.getByText(/^It says \w+, and is/).waitFor({ timeout: 30_000 });

    const scopes: Record<string, string> = { page: await page.evaluate(tryOutside) };
    for (const worker of page.workers()) {
      const name = /\/(store|data|train|infer)\.worker-/.exec(worker.url())?.[1];
      // Threads of the engines wait inside WebAssembly and run no script that could call anybody.
      if (name) scopes[name] = await worker.evaluate(tryOutside);
    }
    const [service] = context.serviceWorkers();
    if (!service) throw new Error('There is no service worker.');
    scopes['service worker'] = await service.evaluate(tryOutside);
    expect(scopes).toEqual({
      page: 'connect-src',
      store: 'connect-src',
      data: 'connect-src',
      train: 'connect-src',
      infer: 'connect-src',
      'service worker': 'connect-src',
    });

    // Each of the six is counted, wherever it happened; none of them left.
    await page.goto(`${studio.url}#/settings`);
    await page.getByText('6 violations of the content policy').waitFor();
    await page.getByText('0 requests out', { exact: true }).waitFor();
    expect(outside.filter((address) => !address.includes('example.invalid'))).toEqual([]);
    // What the server was asked for: files, by name alone.
    const odd = server.requests.filter(
      ({ method, url }) => method !== 'GET' || /[?#]/.test(url ?? ''),
    );
    expect(odd).toEqual([]);
    expect(server.requests.length).toBeGreaterThan(20);
  });
});
