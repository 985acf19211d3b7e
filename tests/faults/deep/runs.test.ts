/** A run whose browser is killed again and again, also while a checkpoint is being written (fault checks 2 and 3). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PhiloxStream } from '../../../src/core/philox';
import { startServer } from '../../../tools/lib/server.mjs';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { JOB, beginJob, taught, until } from '../../support/drilled';
import { newProfile, removeProfile, startBrowser } from '../../support/own-browser';
import type { OwnBrowser } from '../../support/own-browser';
import { rounds, seed } from '../../support/rounds';

let server: Awaited<ReturnType<typeof startServer>>;
let profile: string;
let own: OwnBrowser;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  profile = await newProfile();
});
afterAll(async () => {
  await own.kill();
  await removeProfile(profile);
  await server.close();
});

/** Small models are saved every second, so one kill in a few falls into the writing of a checkpoint. */
it('ends with the model of a run that was left in peace', async () => {
  const draws = new PhiloxStream(seed, 'kills again');
  own = await startBrowser(profile);
  await beginJob(own.page, server.url, JOB);
  const peaceful = await until('the run in peace', async () => {
    const found = await taught(own.page);
    return found?.model ? found.model.file.sha256 : null;
  });
  await own.kill();
  await removeProfile(profile);

  profile = await newProfile();
  own = await startBrowser(profile);
  await beginJob(own.page, server.url, JOB);
  const { projectId } = await until('the run', async () => (await taught(own.page))?.run);
  let steps = 0;
  for (let kill = 0; kill < rounds(3, 25); kill++) {
    await new Promise((resolve) => setTimeout(resolve, 200 + draws.uniform() * 1500));
    if ((await taught(own.page))?.model) break;
    await own.kill();
    own = await startBrowser(profile);
    await own.page.goto(`${server.url}#/p/${projectId}/train`);
    const found = await until('the store', () => taught(own.page));
    // What was once saved stays saved.
    expect(found.run.stepsDone).toBeGreaterThanOrEqual(steps);
    steps = found.run.stepsDone;
    if (found.model) break;
    await own.page.getByRole('button', { name: 'Resume it' }).click({ timeout: 30_000 });
  }
  const { run, model } = await until('the end of the run', async () => {
    const found = await taught(own.page);
    return found?.model ? found : null;
  });
  expect(model?.file.sha256, `seed ${seed}`).toBe(peaceful);
  const points = run.curve.map(({ series, step }) => `${series} ${step}`);
  expect(new Set(points).size).toBe(points.length);
});
