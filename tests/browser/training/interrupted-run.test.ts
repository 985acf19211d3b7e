/** The studio's own services and workers: a run whose tab dies goes on where it was, to the very same model. */
import { afterAll, describe, expect, it } from 'vitest';
import type { Project } from '../../../src/protocol/entities';
import type { RunEvent } from '../../../src/services/runs';
import { Studio } from '../../../src/services/studio';
import { Workers } from '../../../src/services/workers';

let workers = new Workers();
afterAll(async () => {
  await workers.store.eraseEverything();
  workers.terminate();
});

async function project(studio: Studio): Promise<Project> {
  const { dataset } = await studio.importEmbedded('import', 'penguins', () => undefined);
  const made = await studio.createProject({ name: 'Penguins', datasetId: dataset.id });
  const training = made.training && { ...made.training, epochs: 40 };
  return studio.store.editProject(made.id, made.revision, { training, executor: 'wasm' });
}

describe('an interrupted run', () => {
  it('is found after a restart and resumes to the same bits', async () => {
    let studio = new Studio(workers);
    await studio.store.eraseEverything();
    const penguins = await project(studio);
    const whole = await (await studio.startRun(penguins, 'Whole', () => undefined)).finished;

    const events: RunEvent[] = [];
    const paused = new Promise<void>((resolve, reject) => {
      const listener = (event: RunEvent): void => {
        events.push(event);
        if (event.type === 'points' && event.step > 30) void handle.then((run) => run.pause());
        if (event.type === 'state' && event.state === 'paused') resolve();
      };
      const handle = studio.startRun(penguins, 'Broken', listener);
      handle.then(({ finished }) => finished.catch(() => undefined), reject);
    });
    await paused;
    const recorded = async () =>
      (await studio.store.listRuns(penguins.id)).find(({ name }) => name === 'Broken');
    await expect.poll(async () => (await recorded())?.status).toBe('paused');
    const broken = await recorded();
    expect(events.some(({ type }) => type === 'checkpoint')).toBe(true);

    // What a crash of the tab does to its workers.
    workers.terminate();
    workers = new Workers();
    studio = new Studio(workers);
    const { interrupted } = await studio.storeStatus();
    expect(interrupted.map(({ id }) => id)).toEqual([broken?.id]);

    const handle = await studio.resumeRun(broken?.id ?? '', () => undefined);
    const { run, model } = await handle.finished;
    expect(run.status).toBe('done');
    expect(run.curve).toEqual(whole.run.curve);
    expect(model.graphHash).toBe(whole.model.graphHash);
    expect(model.file.sha256).toBe(whole.model.file.sha256);
    expect(run.incidents).toMatchObject([{ kind: 'resumed', exact: true, executor: 'wasm' }]);
    expect(await studio.store.verify()).toEqual([]);
  });
});
