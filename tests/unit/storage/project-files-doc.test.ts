/** What docs/PROJECT-FILES.md shows works, with no code of ours, on files that were made once and are kept. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NEWEST_FORMAT } from '../../../src/storage/backup/container';

const FILES = 'tests/fixtures/project-files';
const page = readFileSync('docs/PROJECT-FILES.md', 'utf8');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-doc-'));
  const [, script] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
  writeFileSync(join(folder, 'read.mjs'), script ?? '');
});

afterAll(() => rmSync(folder, { recursive: true }));

const read = (path: string) =>
  execFileSync(process.execPath, [join(folder, 'read.mjs'), path], {
    encoding: 'utf8',
    stdio: 'pipe',
  });

test('a file of the first format', () => {
  const said = read(`${FILES}/format-1.terrarium`);
  expect(said).toContain('terrarium-project, format 1: 7 entries, all whole');
  expect(said).toContain('- all 8 rows of measures-1.csv');
  expect(said).toContain('model 1 “Linear”: 96 bytes of ONNX, whole');
});

test('an archive of the second format, with files in parts and something left out', () => {
  const said = read(`${FILES}/format-2.terrarium`);
  expect(said).toMatch(/terrarium-archive, format 2: \d+ entries, all whole/);
  expect(said).toContain('model 1 “Linear”: 96 bytes of ONNX, whole');
  expect(said).toContain('- not all rows of measures-2.csv');
});

test('a file with a changed byte is told from a whole one', () => {
  const file = readFileSync(`${FILES}/format-1.terrarium`);
  const at = file.indexOf('Which penguin?');
  file.writeUInt8(0x58, at);
  const path = join(folder, 'changed.terrarium');
  writeFileSync(path, file);
  expect(() => read(path)).toThrow(/records\.json is damaged/);
});

test('the page says which formats there are', () => {
  const formats = [...page.matchAll(/^\| (\d+) \| [\d.]+ \|/gm)].map(([, number]) =>
    Number(number),
  );
  expect(formats.at(-1)).toBe(NEWEST_FORMAT);
});
