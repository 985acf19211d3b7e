/**
 * Each file of tests/fixtures/hostile through the parser of its folder. `expected.json` says what the file is and what
 * has to come of it: `accepted`, or the code of the refusal and some of its words.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { findPictures } from '../../../src/data/pictures/layout';
import { readPictureHeader } from '../../../src/data/pictures/header';
import { PictureZip } from '../../../src/data/pictures/zip';
import { parseTable } from '../../../src/data/readers/table';
import { parseJobText } from '../../../src/protocol/job';
import { readPretrained } from '../../../src/training/picked-model';
import { checkModel } from '../../../src/training/picked-model';
import { kerasFiles } from '../../support/fuzz/seeds';

const FOLDER = join(process.cwd(), 'tests', 'fixtures', 'hostile');

interface Expected {
  readonly what: string;
  readonly outcome: string;
  readonly says?: string;
}

const expected = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Readonly<
  Record<string, Expected>
>;

const bytesOf = (path: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(readFileSync(join(FOLDER, path)));

async function readZip(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const zip = await PictureZip.open(new Blob([bytes]));
  const { pictures } = findPictures(zip.names);
  if (pictures.length === 0) throw new AppError('data/no-pictures', 'There is no picture here.');
  for (const { index } of pictures) {
    const file = await zip.read(index);
    readPictureHeader(new Uint8Array(await file.arrayBuffer()));
  }
}

/** What an earlier test or file could have left. */
const PARSERS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  onnx: (path) => checkModel(new Blob([bytesOf(path)])),
  tables: (path) => parseTable(new Blob([bytesOf(path)])),
  pictures: (path) => Promise.resolve().then(() => readPictureHeader(bytesOf(path))),
  zips: (path) => readZip(bytesOf(path)),
  jobs: (path) =>
    Promise.resolve().then(() => parseJobText(readFileSync(join(FOLDER, path), 'utf8'))),
  models: (path) =>
    readPretrained(
      path.endsWith('model.json')
        ? kerasFiles(bytesOf(path))
        : [{ path, file: new Blob([bytesOf(path)]) }],
      { blueprint: { kind: 'linear' }, featureDims: [2], outputs: 2 },
      () => undefined,
    ),
};

function filesIn(folder: string): string[] {
  return readdirSync(join(FOLDER, folder)).flatMap((name) => {
    const path = folder === '' ? name : `${folder}/${name}`;
    return statSync(join(FOLDER, path)).isDirectory() ? filesIn(path) : [path];
  });
}

describe('every file of the hostile corpus', () => {
  it('is expected', () => {
    const files = filesIn('').filter((path) => path !== 'expected.json');
    expect(files.sort()).toEqual(Object.keys(expected).sort());
  });

  it.each(Object.entries(expected))('%s', async (path, { what, outcome, says = '' }) => {
    const read = PARSERS[path.split('/')[0] ?? ''];
    if (!read) throw new Error(`There is no parser for ${path}.`);
    const started = process.cpuUsage();
    const found: unknown = await read(path).then(
      () => 'accepted',
      (error: unknown) => error,
    );
    const { user, system } = process.cpuUsage(started);
    if (found instanceof AppError) {
      expect(found.code, `${what}: ${found.message}`).toMatch(new RegExp(`^(${outcome})$`));
      expect(found.message).toContain(says);
      expect(found.message.length).toBeLessThan(2000);
    } else expect(found, what).toMatch(new RegExp(`^(${outcome})$`));
    // Processor time; a busy machine does not lengthen it.
    expect((user + system) / 1000).toBeLessThan(1000);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});
