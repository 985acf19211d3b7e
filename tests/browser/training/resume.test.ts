import { describe, expect, it } from 'vitest';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { BLOB_CONFIG } from '../../support/blobs';
import { trainBlobs } from '../../support/run-loop';

describe('a run on the wasm executor', () => {
  it('repeats bit for bit, and resumes bit-equal to a run that was never interrupted', async () => {
    const executor = await createWasmExecutor();
    const first = await trainBlobs(executor);
    const second = await trainBlobs(executor);
    expect(second.summary.state).toEqual(first.summary.state);
    expect(second.summary.loop.curve).toEqual(first.summary.loop.curve);

    const checkpoint = first.checkpoints.find(({ step }) => step === 27) ?? null;
    expect(checkpoint?.best).toBeTruthy();
    const resumed = await trainBlobs(executor, BLOB_CONFIG, checkpoint);
    expect(resumed.summary.state).toEqual(first.summary.state);
    expect(resumed.summary.loop.curve).toEqual(first.summary.loop.curve);
    expect(resumed.summary.best).toEqual(first.summary.best);
    executor.dispose();
  });

  it('follows the reference, dropout included, and takes over its checkpoint', async () => {
    const wasm = await createWasmExecutor();
    const here = await trainBlobs(wasm);
    const there = await trainBlobs(createReferenceExecutor());
    const losses = (run: typeof here): number[] => run.summary.loop.curve.map(({ loss }) => loss);
    const expected = losses(there);
    losses(here).forEach((loss, i) => {
      expect(Math.abs(loss - (expected[i] ?? NaN))).toBeLessThan(1e-3);
    });
    const checkpoint = there.checkpoints.find(({ step }) => step === 27) ?? null;
    const moved = await trainBlobs(wasm, BLOB_CONFIG, checkpoint);
    expect(Math.abs(moved.summary.best.loss - there.summary.best.loss)).toBeLessThan(1e-3);
    wasm.dispose();
  });
});
