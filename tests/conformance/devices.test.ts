/** ONNX's own operator tests on the executors of a browser. One device for all; a test here is a family of theirs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../src/engine/executor';
import { unpack } from '../support/tar';
import { openExecutor } from './harness/executors';
import { casesOf, runSuiteCase, staleExceptions, SUITES, unexpected } from './suites';
import type { SuiteCase } from './suites';

const all: SuiteCase[] = [];
for (const suite of SUITES) {
  const address = new URL(`../fixtures/conformance/onnx-${suite}.tar.gz`, import.meta.url);
  all.push(
    ...casesOf(suite, await unpack(new Uint8Array(await (await fetch(address)).arrayBuffer()))),
  );
}

/** `test_reduce_sum_keepdims` is of the family "reduce". */
function families(): [string, SuiteCase[]][] {
  const found = new Map<string, SuiteCase[]>();
  for (const test of all) {
    const family = test.listing.name.split('_')[1] ?? test.listing.name;
    found.set(family, [...(found.get(family) ?? []), test]);
  }
  return [...found];
}

describe.each(['webgpu'] as const)('ONNX on %s', (name) => {
  let executor: Executor;
  beforeAll(async () => {
    executor = await openExecutor(name);
  });
  afterAll(() => {
    executor.dispose();
  });

  it.each(families())('%s', async (_, tests) => {
    const problems: string[] = [];
    for (const test of tests) {
      const outcome = await runSuiteCase(test, (graph, inputs) => executor.evaluate(graph, inputs));
      problems.push(...[unexpected(name, test, outcome)].filter((text) => text !== undefined));
    }
    expect(problems).toEqual([]);
  });

  it('every exception is of some test', () => {
    expect(staleExceptions(name, all)).toEqual([]);
  });
});
