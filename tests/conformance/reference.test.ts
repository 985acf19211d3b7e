/** ONNX's own operator tests on the reference interpreter. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { evaluateReference } from '../../src/engine/reference/evaluate';
import { unpack } from '../support/tar';
import { casesOf, runSuiteCase, staleExceptions, SUITES, unexpected } from './suites';
import type { SuiteCase } from './suites';

const all: SuiteCase[] = [];
for (const suite of SUITES) {
  const file = new URL(`../fixtures/conformance/onnx-${suite}.tar.gz`, import.meta.url);
  const { buffer, byteOffset, length } = await readFile(file);
  all.push(
    ...casesOf(suite, await unpack(new Uint8Array(buffer as ArrayBuffer, byteOffset, length))),
  );
}

describe.each(SUITES)('ONNX %s', (suite) => {
  it.each(
    all.filter((test) => test.suite === suite).map((test) => [test.listing.name, test] as const),
  )('%s', async (_, test) => {
    expect(
      unexpected('reference', test, await runSuiteCase(test, evaluateReference)),
    ).toBeUndefined();
  });
});

it('the suites are whole', () => {
  expect(SUITES.map((suite) => all.filter((test) => test.suite === suite).length)).toEqual([
    551, 1002, 112,
  ]);
});

it('every exception is of some test', () => {
  expect(staleExceptions('reference', all)).toEqual([]);
});
