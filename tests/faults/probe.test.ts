/** `npm run probe` as a command: what it prints, and the exit code that scripts go by. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt, ROOT } from '../../tools/lib/setup.mjs';

const DATA = 'tests/fixtures/data';
const TABLE = join(DATA, 'tables/blanks.data');

beforeAll(() => ensureBuilt());

function probe(args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/probe.mjs', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 120_000,
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

it('files that are accepted end with 0 and are told', () => {
  const { status, stdout, stderr } = probe([TABLE]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toContain('table: accepted');
  expect(stdout).toContain('blanks, UTF-8, no header');
});

it('one refused among them ends with 1, and the others are still told', () => {
  const { status, stdout } = probe([join(DATA, 'malformed/ragged-row.csv'), TABLE, '--json']);
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject([
    { verdict: 'refused', code: 'data/ragged-row', facts: null },
    { verdict: 'accepted', code: null },
  ]);
});

it.each([
  ['nothing to look at', [], {}, 'Usage: '],
  ['an option that does not exist', [TABLE, '--jsn'], {}, 'Usage: '],
  ['a file that does not exist', [TABLE, 'no/such.csv'], {}, 'There is no no/such.csv.'],
  ['no browser', [TABLE], { CHROMIUM: '/no/such/browser' }, '/no/such/browser'],
])('%s ends with 2 and says why', (_, args, env, says) => {
  const { status, stdout, stderr } = probe(args, env);
  expect(stderr).toContain(says);
  expect(stdout).toBe('');
  expect(status).toBe(2);
});
