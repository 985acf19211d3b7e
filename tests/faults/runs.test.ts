/**
 * Runs whose tab dies or is frozen, on the built studio (fault checks 2 and 20). What counts at the end is the hash of
 * the model: that of the same run left in peace.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { PhiloxStream } from '../../src/core/philox';
import { startServer } from '../../tools/lib/server.mjs';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { JOB, beginJob, session, taught, until } from '../support/drilled';
import { newProfile, removeProfile, startBrowser } from '../support/own-browser';
import type { OwnBrowser } from '../support/own-browser';
import { seed } from '../support/rounds';

let server: Awaited<ReturnType<typeof startServer>>;
let profile: string;
let own: OwnBrowser;
let expected: string | null = null;
const draws = new PhiloxStream(seed, 'kills');

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
});
afterEach(async () => {
  await own.kill();
  await removeProfile(profile);
});
afterAll(() => server.close());

async function fresh(): Promise<void> {
  profile = await newProfile();
  own = await startBrowser(profile);
}

/** The model's hash of the job that nobody disturbs. */
async function undisturbed(): Promise<string> {
  if (expected === null) {
    await fresh();
    await beginJob(own.page, server.url, JOB);
    const { model } = await until('the run in peace', async () => {
      const found = await taught(own.page);
      return found?.model ? found : null;
    });
    expected = model?.file.sha256 ?? '';
    await own.kill();
    await removeProfile(profile);
  }
  return expected;
}

/** Waits until the run has come to a checkpoint, and then a random while longer. */
async function inTheMiddle(): Promise<number> {
  const { stepsDone } = await until('a checkpoint', async () => {
    const found = await taught(own.page);
    return found && found.run.stepsDone > 0 ? found.run : null;
  });
  await new Promise((resolve) => setTimeout(resolve, draws.uniform() * 900));
  return stepsDone;
}

/** Takes the run up again on its Train screen and waits for its end. */
async function takenUp(projectId: string) {
  const { page } = own;
  await page.goto(`${server.url}#/p/${projectId}/train`);
  await page.getByRole('button', { name: 'Resume it' }).click({ timeout: 30_000 });
  return until('the end of the run', async () => {
    const found = await taught(page);
    return found?.model ? found : null;
  });
}

const DEATHS = {
  'a renderer that crashes': async () => {
    const cdp = await session(own.page);
    void cdp.send('Page.crash').catch(() => undefined);
    await own.page.waitForEvent('crash');
    const { context } = own;
    own = { ...own, page: await context.newPage() };
  },
  'a browser that is killed': async () => {
    await own.kill();
    own = await startBrowser(profile);
  },
} as const;

it.each(Object.entries(DEATHS))(
  '%s in the middle of a run: offered again, and the same model in the end',
  async (_, die) => {
    const whole = await undisturbed();
    await fresh();
    await beginJob(own.page, server.url, JOB);
    const saved = await inTheMiddle();
    await die();
    await own.page.goto(`${server.url}#/`);
    const interrupted = await until('the interrupted run', async () => {
      const found = await taught(own.page);
      return found?.run.status === 'interrupted' && found.run;
    });
    // Checkpoints only ever go forward.
    expect(interrupted.stepsDone).toBeGreaterThanOrEqual(saved);
    const { run, model } = await takenUp(interrupted.projectId);
    expect(model?.file.sha256).toBe(whole);
    expect(run).toMatchObject({ status: 'done', stepsDone: run.stepsTotal });
    expect(run.incidents?.at(-1)).toMatchObject({ kind: 'resumed', exact: true });
    const points = run.curve.map(({ series, step }) => `${series} ${step}`);
    expect(new Set(points).size).toBe(points.length);
  },
);

it('a tab that is frozen in the middle of a run: it goes on, and ends with the same model', async () => {
  const whole = await undisturbed();
  await fresh();
  const { page } = own;
  await beginJob(page, server.url, JOB);
  await inTheMiddle();
  const cdp = await session(page);
  const before = await taught(page);
  await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await cdp.send('Page.setWebLifecycleState', { state: 'active' });
  const { run, model } = await until('the end of the run', async () => {
    const found = await taught(page);
    return found?.model ? found : null;
  });
  expect(model?.file.sha256).toBe(whole);
  expect(run.stepsDone).toBeGreaterThan(before?.run.stepsDone ?? 0);
  // Whether its worker was frozen with it or not, no more time is counted than went by.
  expect(run.seconds).toBeLessThan(((run.finishedAt ?? 0) - run.createdAt) / 1000);
});
