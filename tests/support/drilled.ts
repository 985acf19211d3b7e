/** Runs in the built studio, driven as a person would: by the drill page, by jobs, and looked at in its database. */
import type { CDPSession, Page } from 'playwright-core';
import type { ModelVersion, Run } from '../../src/protocol/entities';

/** Rows of a table of the store, read beside the studio. */
async function rows<Row>(page: Page, table: string): Promise<readonly Row[]> {
  return page.evaluate(async (name) => {
    // Opening what is not there yet would make it, empty.
    const there = await indexedDB.databases();
    if (!there.some((each) => each.name === 'terrarium-core')) return [];
    const request = indexedDB.open('terrarium-core');
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('It does not open.'));
    });
    try {
      const all = database.transaction(name).objectStore(name).getAll();
      return await new Promise<Row[]>((resolve, reject) => {
        all.onsuccess = () => resolve(all.result as Row[]);
        all.onerror = () => reject(all.error ?? new Error('It is not read.'));
      });
    } finally {
      database.close();
    }
  }, table);
}

export const runsIn = (page: Page): Promise<readonly Run[]> => rows<Run>(page, 'runs');
export const modelsIn = (page: Page): Promise<readonly ModelVersion[]> =>
  rows<ModelVersion>(page, 'models');

/** The run to which something happened; the other one is its comparison. */
export async function harmedRun(page: Page): Promise<Run | null> {
  return (await runsIn(page)).find(({ incidents }) => incidents !== undefined) ?? null;
}

/** The one model-run of a page's store, and its model where it has ended. */
export async function taught(
  page: Page,
): Promise<{ readonly run: Run; readonly model: ModelVersion | null } | null> {
  // Both come in one transaction: whose model is there has ended, when it is looked at after it.
  const all = await modelsIn(page);
  const run = (await runsIn(page)).find(({ role }) => role === 'model');
  if (!run) return null;
  const models = all.filter(({ runId }) => runId === run.id);
  if (models.length > 1) throw new Error(`The run has ${models.length} models.`);
  return { run, model: models[0] ?? null };
}

export async function until<T>(
  what: string,
  look: () => Promise<T | null | false | undefined>,
  milliseconds = 60_000,
): Promise<T> {
  const end = Date.now() + milliseconds;
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== false && seen !== undefined) return seen;
    if (Date.now() > end) throw new Error(`In vain: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Begins a job in the page and does not wait for it. */
export async function beginJob(page: Page, url: string, job: unknown): Promise<void> {
  await page.goto(`${url}#/job`);
  await page.reload();
  await page.waitForFunction(() => 'terrariumJob' in globalThis);
  await page.evaluate((wanted) => {
    const hook = (globalThis as { terrariumJob?: (...args: unknown[]) => Promise<unknown> })
      .terrariumJob;
    const refused = (answer: unknown): void => {
      const { ok, error } = answer as { ok: boolean; error?: { message: string } };
      if (!ok) document.title = `Job refused: ${error?.message ?? ''}`;
    };
    void hook?.(wanted, { data: [], body: [] }, () => undefined).then(refused);
  }, job);
}

/** Penguins on the processor, long enough to be broken off: a few seconds. */
export const JOB = {
  format: 1,
  data: { embedded: 'penguins' },
  goal: { target: 'species' },
  blueprint: { kind: 'mlp', hidden: [64, 32], dropout: 0.2 },
  training: {
    epochs: 1200,
    patience: 0,
    learningRate: 0.002,
    schedule: { kind: 'cosine', warmup: 0.1 },
  },
  seed: 5,
  executor: 'wasm',
} as const;

/** The drill page, from its start to its verdict. */
export class DrillPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async open(url: string, executor: 'webgpu' | 'wasm'): Promise<void> {
    await this.page.goto(`${url}#/drill`);
    await this.page.getByLabel('Trains on').selectOption(executor);
  }

  async start(): Promise<void> {
    await this.page.getByRole('button', { name: /Start/ }).click();
    await this.training();
  }

  /** As `until`, with what the page shows where it is in vain. */
  async #until<T>(what: string, look: () => Promise<T | null | false>): Promise<T> {
    try {
      return await until(what, look);
    } catch (error) {
      const shown = await this.page.locator('main').innerText();
      throw new Error(`${what}: in vain. The page shows: ${shown}`, { cause: error });
    }
  }

  /** Waits until it trains and a checkpoint beyond `after` is there; returns its step. */
  training(after = 0): Promise<number> {
    return this.#until('the run trains and is saved', async () => {
      const error = await this.page.locator('main [role=alert]').count();
      if (error > 0) throw new Error(await this.page.locator('main').innerText());
      const saved = await this.saved();
      return saved > after && saved;
    });
  }

  async saved(): Promise<number> {
    const text = (await this.page.getByTestId('drill-state').textContent()) ?? '';
    return Number(/saved at step ([\d,]+)/.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
  }

  /** Presses, and waits until the run is saved again beyond where it was. */
  async harm(name: string): Promise<void> {
    const before = await this.saved();
    const times = (await this.log()).split('Recovered').length;
    await this.page.getByRole('button', { name }).click();
    await this.recovered(times);
    await this.training(before);
  }

  recovered(times = 1): Promise<true> {
    return this.#until('it recovers', async () => {
      const log = await this.log();
      return log.split('Recovered').length > times ? true : null;
    });
  }

  log(): Promise<string> {
    return this.page.getByTestId('drill-log').innerText();
  }

  /** Stops and compares; returns the whole log. */
  async verdict(): Promise<string> {
    await this.page.getByRole('button', { name: 'Stop and compare' }).click();
    return this.#until('the comparison', async () => {
      const log = await this.log();
      return /Weights|round otherwise/.test(log) && log;
    });
  }
}

export function session(page: Page): Promise<CDPSession> {
  return page.context().newCDPSession(page);
}
