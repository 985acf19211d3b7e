import { expect, it } from 'vitest';
import { tuningMemory } from '../../../src/training/tuning-memory';

function memory(settings = new Map<string, unknown>()) {
  const store = {
    getSetting: async (key: string) => settings.get(key),
    setSetting: async (key: string, value: unknown) => void settings.set(key, value),
  };
  return { settings, kept: tuningMemory(() => store) };
}

it('keeps what was measured for each device', async () => {
  const { kept } = memory();
  await kept.keep('a', new Map([['matmul 1x2', 'tiled']]));
  expect([...(await kept.recall('a'))]).toEqual([['matmul 1x2', 'tiled']]);
  expect([...(await kept.recall('b'))]).toEqual([]);
});

it('does not believe a setting of another form', async () => {
  const wrong = [['matmul', 'tiled'], 'x', [1, 2], ['a']];
  const { kept } = memory(new Map<string, unknown>([['tuning:a', wrong]]));
  expect([...(await kept.recall('a'))]).toEqual([['matmul', 'tiled']]);
});
