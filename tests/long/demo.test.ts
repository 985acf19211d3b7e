import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { ROOT } from '../../tools/lib/setup.mjs';

/** `npm run demo` holds the floors itself: eleven trainings, too long for every test run. */
it('the demo stays above its floors', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/demo.mjs'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 1_500_000,
  });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  expect(stdout).toContain('Penguins, mean over seeds 1 to 10');
});

it('the bench prints a row for each trainer', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/bench.mjs'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 900_000,
  });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  for (const name of ['tfjs', 'jax-js']) expect(stdout).toContain(name);
});
