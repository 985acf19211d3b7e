/** ONNX's own operator tests on the executors of a browser. One device for all; a test here is a family of theirs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../src/engine/executor';
import { unpack } from '../support/tar';
import { openExecutor } from './harness/executors';
import type { DeviceExecutor } from './harness/executors';
import { casesOf, runSuiteCase, staleExceptions, SUITES, unexpected } from './suites';
import type { Suite, SuiteCase } from './suites';

const all: SuiteCase[] = [];
for (const suite of SUITES) {
  const address = new URL(`../fixtures/conformance/onnx-${suite}.tar.gz`, import.meta.url);
  all.push(
    ...casesOf(suite, await unpack(new Uint8Array(await (await fetch(address)).arrayBuffer()))),
  );
}

/** `test_reduce_sum_keepdims` is of the family "reduce". */
function families(tests: readonly SuiteCase[]): [string, SuiteCase[]][] {
  const found = new Map<string, SuiteCase[]>();
  for (const test of tests) {
    const family = test.listing.name.split('_')[1] ?? test.listing.name;
    found.set(family, [...(found.get(family) ?? []), test]);
  }
  return [...found];
}

// The newer suite asks onnxruntime-web for much that it does not have; `npm run conformance` runs it on request.
const RUNS: readonly (readonly [DeviceExecutor, readonly Suite[]])[] = [
  ['webgpu', SUITES],
  ['wasm', ['1.12', 'exported']],
];

describe.each(RUNS)('ONNX on %s', (name, suites) => {
  const tests = all.filter(({ suite }) => suites.includes(suite));
  let executor: Executor;
  beforeAll(async () => {
    executor = await openExecutor(name);
  });
  afterAll(() => {
    executor.dispose();
  });

  it.each(families(tests))('%s', async (_, family) => {
    const problems: string[] = [];
    for (const test of family) {
      const outcome = await runSuiteCase(test, (graph, inputs) => executor.evaluate(graph, inputs));
      problems.push(...[unexpected(name, test, outcome)].filter((text) => text !== undefined));
    }
    expect(problems).toEqual([]);
  });

  it('every exception is of some test', () => {
    expect(staleExceptions(name, tests)).toEqual([]);
  });
});
