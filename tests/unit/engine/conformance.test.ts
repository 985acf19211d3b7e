/** The conformance harness itself: what it finds, how it names inputs, what it calls equal, and how it ends. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { evaluateReference } from '../../../src/engine/reference/evaluate';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Tensor } from '../../../src/onnx/graph';
import { writeTensor } from '../../../src/onnx/tensor-wire';
import { writeModel } from '../../../src/onnx/writer';
import { findCases } from '../../conformance/harness/case';
import { difference } from '../../conformance/harness/compare';
import { runCase } from '../../conformance/harness/run';
import { tensor } from '../../support/odd-graphs';

const root = fileURLToPath(new URL('../../../', import.meta.url));

function model(op = 'Relu'): Uint8Array {
  const builder = new GraphBuilder('test');
  builder.input('x', 'float32', [2]);
  builder.node(op, ['x'], {}, { outputs: ['y'], name: 'the node' });
  builder.output('y', 'float32', [2]);
  return writeModel(builder.build());
}

const file = (value: Tensor, name = ''): Uint8Array => writeTensor(value, name).finish();
const numbers = (...values: number[]): Tensor => tensor('float32', [values.length], values);

/** A test whose files are in a map. */
async function outcome(files: Record<string, Uint8Array>) {
  const [listing] = findCases(Object.keys(files), 'here');
  if (!listing) throw new Error('No test was found.');
  const read = (path: string) => Promise.resolve(files[listing.folder + path] ?? new Uint8Array());
  return runCase(listing, read, evaluateReference);
}

describe('finding tests', () => {
  it('takes folders of any depth, and the folder itself', () => {
    const paths = ['model.onnx', 'test_data_set_0/input_0.pb', 'a/b/test_c/model.onnx'];
    expect(findCases(paths, 'root').map(({ name }) => name)).toEqual(['a/b/test_c', 'root']);
  });

  it('orders files and data sets by number, and knows what lies beside', () => {
    const paths = [10, 2, 0].flatMap((k) => [`m/test_data_set_1/input_${k}.pb`]);
    paths.push('m/net.onnx', 'm/net.bin', 'm/test_data_set_0/output_0.pb');
    const [found] = findCases(paths, 'root');
    expect(found).toMatchObject({ model: 'net.onnx', others: ['net.bin'] });
    expect(found?.sets.map(({ name }) => name)).toEqual(['test_data_set_0', 'test_data_set_1']);
    expect(found?.sets[1]?.inputs).toEqual([0, 2, 10].map((k) => `test_data_set_1/input_${k}.pb`));
  });
});

describe('a test', () => {
  const set = 'test_data_set_0';
  const input = { [`t/${set}/input_0.pb`]: file(numbers(1, -1)) };
  const right = { [`t/${set}/output_0.pb`]: file(numbers(1, 0)) };
  const wrong = { [`t/test_data_set_1/output_0.pb`]: file(numbers(1, 0.5)) };

  it('passes, and fails with the output and the first difference', async () => {
    expect(await outcome({ 't/model.onnx': model(), ...input, ...right })).toMatchObject({
      status: 'pass',
    });
    const second = { 't/test_data_set_1/input_0.pb': file(numbers(1, -1)) };
    const files = { 't/model.onnx': model(), ...input, ...right, ...second, ...wrong };
    expect(await outcome(files)).toEqual({
      status: 'fail',
      reason: 'test_data_set_1: the output "y" differs in 1 of 2 elements, such as 0 for 0.5 at 1',
    });
  });

  it.each([
    [
      'an unknown operator',
      { 't/model.onnx': model('Nonsense'), ...input, ...right },
      /"the node"/,
    ],
    ['no data', { 't/model.onnx': model() }, /no test_data_set_0/],
    ['no outputs', { 't/model.onnx': model(), ...input }, /no output_0/],
    ['no model', { ...input, ...right }, /not an ONNX model/],
  ])('is unsupported, with the reason, for %s', async (_, files, says) => {
    const { status, reason } = await outcome(files);
    expect(status).toBe('unsupported');
    expect(reason).toMatch(says);
  });

  it('gives files to weights that are listed as inputs only where there are enough', async () => {
    const builder = new GraphBuilder('old');
    builder.input('x', 'float32', [2]);
    builder.initializer('w', numbers(10, 20));
    builder.node('Concat', ['w', 'x'], { axis: attr.int(0) }, { outputs: ['y'] });
    builder.output('y', 'float32', [4]);
    const expected = { [`t/${set}/output_0.pb`]: file(numbers(10, 20, 1, -1)) };
    const own = { 't/model.onnx': writeModel(builder.build()), ...input, ...expected };
    expect(await outcome(own)).toMatchObject({ status: 'pass' });
  });
});

describe('equality', () => {
  it.each([
    ['NaN is NaN', numbers(NaN, Infinity), numbers(NaN, Infinity), undefined],
    ['within a thousandth', numbers(1000.9), numbers(1000), undefined],
    ['beyond a thousandth', numbers(1001.1), numbers(1000), /1 of 1/],
    ['the smaller absolute error', numbers(0.9e-7), numbers(0), undefined],
    ['NaN for a number', numbers(NaN), numbers(1), /NaN for 1/],
    ['infinities of two signs', numbers(-Infinity), numbers(Infinity), /-Infinity for Infinity/],
    ['the type', tensor('int32', [1], [1]), tensor('int64', [1], [1]), /is int32, not int64/],
    ['the shape', numbers(1), tensor('float32', [1, 1], [1]), /\[1\], not \[1, 1\]/],
    ['whole numbers', tensor('int64', [1], [1001]), tensor('int64', [1], [1000]), /1001 for 1000/],
  ])('%s', (_, found, expected, says) => {
    const text = difference(found, expected);
    if (says === undefined) expect(text).toBeUndefined();
    else expect(text).toMatch(says);
  });
});

describe('npm run conformance', () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-test-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function write(path: string, bytes: Uint8Array): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
  const run = (...args: string[]) => {
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['tools/conformance.mjs', ...args],
      { cwd: root, encoding: 'utf8' },
    );
    return { lines: stdout.trim().split('\n'), stderr, status };
  };

  it('prints a line a test and the counts, and fails when one does', () => {
    write('tests/good/model.onnx', model());
    write('tests/good/test_data_set_0/input_0.pb', file(numbers(1, -1)));
    write('tests/good/test_data_set_0/output_0.pb', file(numbers(1, 0)));
    expect(run(join(folder, 'tests'))).toMatchObject({
      lines: ['pass good', '1 passed, 0 failed, 0 unsupported'],
      status: 0,
    });
    expect(run(join(folder, 'tests', 'good')).lines[0]).toBe('pass good');
    write('tests/wrong/model.onnx', model());
    write('tests/wrong/test_data_set_0/input_0.pb', file(numbers(1, -1)));
    write('tests/wrong/test_data_set_0/output_0.pb', file(numbers(1, -1)));
    const { lines, status } = run(join(folder, 'tests'));
    expect(lines[1]).toMatch(/^fail wrong — the output "y" differs/);
    expect(lines[2]).toBe('1 passed, 1 failed, 0 unsupported');
    expect(status).toBe(1);
  });

  it('says what is wrong with a folder, in a sentence', () => {
    mkdirSync(join(folder, 'empty'));
    writeFileSync(join(folder, 'text.txt'), 'not an archive');
    for (const [args, says] of [
      [[join(folder, 'nowhere')], /^There is no folder .*nowhere\.$/],
      [[join(folder, 'empty')], /^.*empty holds no ONNX tests/],
      [[join(folder, 'text.txt')], /^.*text\.txt is neither a folder nor a \.tar\.gz/],
      [[join(folder, 'tests'), '--filter', 'zzz'], /^None of the 2 tests in .* has "zzz"/],
      [[folder, '--executor', 'cuda'], /^There is no executor "cuda"\.\nUsage: /],
      [[], /^One DIR is needed\.\nUsage: /],
    ] as const) {
      const { stderr, status } = run(...args);
      expect(stderr.trim()).toMatch(says);
      expect(status).toBe(1);
    }
  });
});
