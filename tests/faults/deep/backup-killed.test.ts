/** A project file that is being opened when the browser is killed, on the built studio. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PhiloxStream } from '../../../src/core/philox';
import { startServer } from '../../../tools/lib/server.mjs';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { largeProject } from '../../support/archives';
import { chooseOnHome, everyByteHolds } from '../../support/home';
import { newProfile, removeProfile, startBrowser } from '../../support/own-browser';
import { rounds, seed } from '../../support/rounds';
import { rowsOf } from '../../support/stored';

const SOON = { timeout: 60_000 };

test('a browser killed while a project file is being opened: the project is whole or absent', async () => {
  ensureBuilt();
  const folder = await mkdtemp(join(tmpdir(), 'terrarium-killed-'));
  const path = join(folder, 'large.terrarium');
  await largeProject(path, 48);
  const random = new PhiloxStream(seed, 'kills');
  const profile = await newProfile();
  const server = await startServer();
  const { url } = server;
  try {
    let projects = 0;
    for (let round = 0; round < rounds(2, 12); round++) {
      const own = await startBrowser(profile);
      await chooseOnHome(own.page, url, path);
      await own.page.getByText('Storing').waitFor(SOON);
      await new Promise((awake) => setTimeout(awake, random.uniform() * 400));
      await own.kill();
      const next = await startBrowser(profile);
      await everyByteHolds(next.page, url);
      const now = (await rowsOf(next.page, 'core', 'projects')) ?? [];
      expect([projects, projects + 1]).toContain(now.length);
      projects = now.length;
      const chunks = (await rowsOf(next.page, 'cache', 'chunkInfo')) ?? [];
      expect(chunks.filter(({ pendingSince }) => pendingSince !== undefined)).toEqual([]);
      if (projects === 0) expect(chunks).toEqual([]);
      await next.close();
    }
  } finally {
    await server.close();
    await removeProfile(profile);
    await rm(folder, { recursive: true });
  }
});
