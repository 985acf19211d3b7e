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

/** Its status is 0 only where the losses of all trainers agree. */
it('the bench prints a row for each trainer', () => {
  const only = ['--rounds', '1', '--only', 'mlp,cnn,gpt,matmul-gradient'];
  const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/bench.mjs', ...only], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 1_500_000,
  });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  for (const name of ['ours', 'tfjs', 'jax-js', 'native']) expect(stdout).toContain(name);
  expect(stdout.match(/losses after 10 steps agree/g)).toHaveLength(3);
});
