/**
 * Hundreds of steps on the device executors in a browser: each looked at agrees with the reference interpreter, runs
 * repeat bit for bit, and ten thousand steps leave nothing behind.
 */
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';
import { servePage } from '../../tools/lib/page.mjs';
import type { Difference } from './page/main';

const DEVICES = ['webgpu', 'wasm'] as const;
const MODELS = ['mlp', 'cnn', 'gpt'] as const;
const LOOKED_AT = [1, 50, 200];

let server: Awaited<ReturnType<typeof servePage>>;
let browser: Browser;

beforeAll(async () => {
  server = await servePage(fileURLToPath(new URL('page', import.meta.url)));
  browser = await chromium.launch({ executablePath: ensureChromium(), args: [...CHROMIUM_FLAGS] });
}, 120_000);

afterAll(async () => {
  await browser.close();
  await server.close();
});

async function onPage<Result>(work: (page: Page) => Promise<Result>): Promise<Result> {
  const context = await browser.newContext();
  const page = await context.newPage();
  try {
    await page.goto(server.address);
    await page.waitForSelector('body[data-ready]');
    return await work(page);
  } finally {
    await context.close();
  }
}

/** One of the page's trials by name. */
function call<Result>(page: Page, name: string, ...given: unknown[]): Promise<Result> {
  const source = `globalThis.trials[${JSON.stringify(name)}](...${JSON.stringify(given)})`;
  return page.evaluate<Result>(source);
}

describe.each(DEVICES)('%s', (device) => {
  it.each(MODELS)('takes the steps of the reference: %s', async (model) => {
    const differences = await onPage((page) =>
      call<Difference[]>(page, 'compare', device, model, LOOKED_AT),
    );
    console.log(device, model, JSON.stringify(differences));
    expect(differences.map(({ stepDone }) => stepDone)).toEqual(LOOKED_AT);
    for (const { loss, gradNorm, weights, worst } of differences) {
      // After 200 steps on eight batches little loss is left, of which rounding is a larger share.
      expect(loss).toBeLessThan(1e-4);
      expect(gradNorm).toBeLessThan(1e-4);
      expect(worst.share, worst.name).toBeLessThan(2e-3);
      // Where a gradient is nearly nothing, AdamW makes a whole step of its rounding.
      expect(weights).toBeLessThan(0.05);
    }
  });

  it.each(MODELS)('repeats itself bit for bit: %s', async (model) => {
    const { unequal, ids, moved, entries } = await onPage((page) =>
      call<{ unequal: string[]; ids: string[]; moved: number; entries: number }>(
        page,
        'repeats',
        device,
        model,
        30,
      ),
    );
    expect(unequal).toEqual([]);
    expect(new Set(ids).size).toBe(1);
    expect(moved).toBe(entries);
  });

  it('takes ten thousand steps without growing', async () => {
    await onPage(async (page) => {
      const session = await page.context().newCDPSession(page);
      const heapAfter = async (step: number) => {
        const trial = await call<{ done: number; held: object; stats: Record<string, number> }>(
          page,
          'endure',
          device,
          step,
        );
        expect(trial.done).toBe(step);
        await session.send('HeapProfiler.collectGarbage');
        const { usedSize } = await session.send('Runtime.getHeapUsage');
        return { ...trial, usedSize };
      };
      const early = await heapAfter(1000);
      const late = await heapAfter(10_000);
      console.log(device, early, late);
      expect(late.held).toEqual(early.held);
      expect(late.stats.openTickets).toBe(early.stats.openTickets);
      // 9,000 steps that each kept one number would be 72 kB.
      expect(late.usedSize - early.usedSize).toBeLessThan(64 * 1024);
    });
  });
});
