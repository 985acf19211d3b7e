// The cache of open models: at most four, released only when idle, failures forgotten.
import { describe, expect, it } from 'vitest';
import { ModelCache } from '../../../src/inference/models';
import type { Runtime } from '../../../src/inference/runtime';
import { writeModel } from '../../../src/onnx/writer';
import { tableMlp } from './models';

const file = writeModel(tableMlp(2)).buffer;
const refOf = (name: string) => ({ sha256: name, storageKey: name, bytes: file.byteLength });

function watched() {
  const counts = { opened: 0, released: 0 };
  const runtime: Runtime = {
    label: 'counting',
    open() {
      counts.opened++;
      return Promise.resolve({
        run: () => Promise.resolve(new Map()),
        release() {
          counts.released++;
          return Promise.resolve();
        },
      });
    },
  };
  return { counts, runtime };
}

const nothing = () => Promise.resolve();

describe('ModelCache', () => {
  it('opens a model once and keeps the last four', async () => {
    const { counts, runtime } = watched();
    const cache = new ModelCache(runtime, () => Promise.resolve(file));
    for (const name of ['a', 'b', 'c', 'd', 'a']) await cache.use(refOf(name), nothing);
    expect(counts).toEqual({ opened: 4, released: 0 });
    await cache.use(refOf('e'), nothing);
    await cache.use(refOf('a'), nothing);
    await Promise.resolve();
    expect(counts).toEqual({ opened: 5, released: 1 });
    await cache.use(refOf('b'), nothing);
    expect(counts.opened).toBe(6);
  });

  it('does not release a model that a call still uses', async () => {
    const { counts, runtime } = watched();
    const cache = new ModelCache(runtime, () => Promise.resolve(file));
    let finish: () => void = () => undefined;
    const busy = cache.use(refOf('busy'), () => new Promise<void>((resolve) => (finish = resolve)));
    for (const name of ['a', 'b', 'c', 'd']) await cache.use(refOf(name), nothing);
    expect(counts.released).toBe(0);
    finish();
    await busy;
    expect(counts.released).toBe(1);
  });

  it.each(['at once', 'later'])('tries again after a failure that comes %s', async (when) => {
    const { runtime } = watched();
    let broken = true;
    const cache = new ModelCache(runtime, () => {
      if (!broken) return Promise.resolve(file);
      if (when === 'at once') throw new Error('no store');
      return Promise.reject(new Error('no store'));
    });
    await expect(cache.use(refOf('a'), nothing)).rejects.toThrow('no store');
    broken = false;
    await expect(cache.use(refOf('a'), () => Promise.resolve('used'))).resolves.toBe('used');
  });
});
