/**
 * Every model of the corpus through the worker that a person's file goes to: the error says the same over the worker's
 * border, and the page runs on meanwhile.
 */
import * as Comlink from 'comlink';
import { afterAll, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { ModelParser } from '../../../src/protocol/model-files';
import { installErrorCodec } from '../../../src/protocol/errors';
import type { Blocker } from '../../../src/protocol/pretrained';
import { CORPUS } from '../../unit/onnx/bad-models';
import { model } from '../../unit/onnx/proto';

installErrorCodec(Comlink.transferHandlers);
const worker = new Worker(new URL('../../../workers/parse.worker.ts', import.meta.url), {
  type: 'module',
});
const parser = Comlink.wrap<ModelParser>(worker);
/** The longest time for which the page could not run, in milliseconds. */
let longestGap = 0;
let last = performance.now();
const clock = setInterval(() => {
  longestGap = Math.max(longestGap, performance.now() - last);
  last = performance.now();
}, 5);

afterAll(() => {
  clearInterval(clock);
  worker.terminate();
});

function read(bytes: Uint8Array<ArrayBuffer>) {
  const files = [{ path: 'model.onnx', file: new Blob([bytes]) }];
  return parser.readPretrained(
    files,
    null,
    Comlink.proxy(() => undefined),
  );
}

it.each(Object.keys(CORPUS))('%s', async (name) => {
  const { file, code, ...rest } = CORPUS[name] ?? expect.fail(name);
  const answer: unknown = await read(new Uint8Array(model(file))).catch((error: unknown) => error);
  if (answer instanceof AppError) {
    expect(answer.code, answer.message).toBe(code);
    for (const [key, value] of Object.entries(rest)) expect(answer.data[key], key).toEqual(value);
    return;
  }
  // What can be read but not run is shown with what stands in the way.
  const { summary } = answer as { summary: { runBlockers: readonly Blocker[] } };
  const [blocker] = summary.runBlockers;
  expect(blocker, JSON.stringify(summary)).toBeDefined();
  if (rest.node) expect(blocker?.node).toBe(rest.node);
});

it('left the page free', () => {
  // Reading them on the page would be felt; the bound is far above what a busy machine adds.
  expect(longestGap).toBeLessThan(400);
});
