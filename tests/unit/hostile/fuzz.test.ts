/**
 * Damaged files of every kind that is read without a browser, thousands of them. A mutation is found again by the seed
 * and number that a failure names: TERRARIUM_SEED=… and the test of that target.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TARGETS } from '../../support/fuzz/targets';
import { rounds, seed } from '../../support/rounds';

const ROUNDS = rounds(500, 10_000);
/** The child's heap; a bomb that is not counted ends the process, and the mutation is known. */
const HEAP_MB = 384;
/** A mutation that is under way for so long hangs, however busy the machine is. */
const SILENT_MS = 20_000;

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-fuzz-'));
  await build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: join(process.cwd(), 'tests', 'support', 'fuzz', 'child.ts'),
      outDir: folder,
      emptyOutDir: true,
      minify: false,
      rollupOptions: { output: { entryFileNames: 'child.mjs' } },
    },
    ssr: { noExternal: true },
  });
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Line {
  readonly number?: number;
  readonly wrong?: string;
  readonly done?: Readonly<Record<string, number>>;
}

interface Outcome {
  /** What went wrong, each with its number. */
  readonly wrong: readonly string[];
  /** How often mutations were accepted, and refused with which code. */
  readonly counts: Readonly<Record<string, number>>;
}

async function fuzzed(target: string): Promise<Outcome> {
  const progress = join(folder, `${target.replaceAll(' ', '-')}.txt`);
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${HEAP_MB}`,
      join(folder, 'child.mjs'),
      ...[target, String(seed), '0', String(ROUNDS), progress],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (err += data.toString()));
  const under = () => readFile(progress, 'utf8').catch(() => '');
  let seen = '';
  let hung = false;
  const watch = setInterval(() => {
    void under().then((now) => {
      hung = now === seen;
      if (hung) child.kill('SIGKILL');
      seen = now;
    });
  }, SILENT_MS);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(watch);
  const lines = out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
  const wrong = lines.flatMap(({ number, wrong }) =>
    wrong === undefined ? [] : [`seed ${seed}, mutation ${number}: ${wrong}`],
  );
  if (code !== 0 || !lines.some(({ done }) => done !== undefined)) {
    const why = hung ? 'hangs' : `ended the process (${code}): ${err.slice(-1500)}`;
    wrong.push(`seed ${seed}, mutation ${(await under()).trim()}: ${why}`);
  }
  const counts = lines.find(({ done }) => done !== undefined)?.done ?? {};
  return { wrong, counts };
}

describe(`${ROUNDS} damaged files of each kind are taken or refused with a reason, within a second and their memory`, () => {
  it.concurrent.each(Object.keys(TARGETS))(
    '%s',
    async (target) => {
      const { wrong, counts } = await fuzzed(target);
      expect(wrong.slice(0, 5), `${wrong.length} mutations of "${target}"`).toEqual([]);
      // Damage that is never noticed, or files that are never read, would try nothing.
      expect(counts['accepted'], JSON.stringify(counts)).toBeGreaterThan(0);
      expect(Object.keys(counts).length, JSON.stringify(counts)).toBeGreaterThan(1);
      if (process.env['DEBUG']) console.info(target, counts);
    },
    30 * 60_000,
  );
});
