/** A few cycles of what `npm run soak` does for an hour. */
import { expect, it } from 'vitest';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { growth, lineOf, soak } from '../../../tools/lib/soak.mjs';

it('memory, elements, storage, workers and GPU buffers return to where they were', async () => {
  ensureBuilt();
  const records = await soak({ minutes: 0, cycles: 6 });
  for (const record of records) console.log(lineOf(record));
  expect(records).toHaveLength(6);
  // The counter counts.
  expect(records[0]?.peakBuffers).toBeGreaterThan(5);
  expect(growth(records)).toEqual([]);
});

it('growth is seen where there is some', () => {
  const record = {
    jobs: 4,
    minute: 0,
    memory: 1e8,
    parts: { page: 1e8 },
    elements: 100,
    stored: 1e7,
    rows: 3,
    workers: { store: 1 },
    buffers: 4,
    bufferBytes: 100,
    peakBuffers: 9,
  };
  const flat = Array.from({ length: 8 }, (_, index) => ({ ...record, cycle: index + 1 }));
  expect(growth(flat)).toEqual([]);
  const leaking = flat.map((each) => ({ ...each, buffers: each.cycle }));
  expect(growth(leaking).join()).toContain('GPU buffers');
  const piling = flat.map((each) => ({ ...each, elements: 100 + each.cycle }));
  expect(growth(piling).join()).toContain('elements of the page');
  const swelling = flat.map((each) => ({ ...each, memory: 1e8 * (1 + each.cycle / 60) }));
  expect(growth(swelling).join()).toContain('bytes of memory');
});
