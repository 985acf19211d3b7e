// Cycles of import, training, evaluation, compression and deletion in one page that is never reloaded, and what is
// there after each: memory, storage, workers, GPU buffers. What a cycle leaves behind, an hour makes visible.
import { CHROMIUM_FLAGS, ensureChromium } from './chromium.mjs';
import { startServer } from './server.mjs';

/** Goes to the head of every worker's script: counts the buffers that live, with no help of the studio's own. */
const COUNT_BUFFERS = `
(() => {
  if (typeof GPUDevice === 'undefined') return;
  const live = new Map();
  let peak = 0;
  globalThis.liveBuffers = () => ({ count: live.size, peak, bytes: [...live.values()].reduce((a, b) => a + b.size, 0) });
  const create = GPUDevice.prototype.createBuffer;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = create.call(this, descriptor);
    live.set(buffer, { size: descriptor.size, device: this });
    peak = Math.max(peak, live.size);
    return buffer;
  };
  const destroy = GPUBuffer.prototype.destroy;
  GPUBuffer.prototype.destroy = function () { live.delete(this); return destroy.call(this); };
  const end = GPUDevice.prototype.destroy;
  GPUDevice.prototype.destroy = function () {
    for (const [buffer, { device }] of live) if (device === this) live.delete(buffer);
    return end.call(this);
  };
})();
`;

/** What trains in turn: a table and pictures, on the processor and on the graphics processor. */
const JOBS = [
  { data: { embedded: 'penguins' }, training: { epochs: 15 }, executor: 'wasm' },
  { data: { embedded: 'penguins' }, training: { epochs: 5 }, executor: 'webgpu' },
  { data: { embedded: 'digits' }, training: { epochs: 1 }, executor: 'wasm' },
  { data: { embedded: 'penguins' }, blueprint: { kind: 'linear' }, executor: 'wasm' },
];

/**
 * Runs for `minutes` (and at least `cycles`); a cycle goes through the jobs and the deletion of all of them `rounds` times.
 * A measurement takes up to a minute: the browser waits for threads that wait inside WebAssembly and answer nobody.
 * Answers with one record a cycle:
 * `{ cycle, jobs, minute, memory, parts, elements, stored, rows, workers, buffers, bufferBytes, peakBuffers }`, sizes in bytes;
 * `parts` is the memory of the page, of each kind of worker and of what they share, `rows` counts records of all tables
 * but the settings, `elements` those of the page and those it has forgotten to forget.
 */
export async function soak({ minutes, cycles = 0, rounds = 1, log = () => undefined }) {
  const server = await startServer();
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: ensureChromium(),
    // Or each measurement waits up to a minute for the garbage collector to come by.
    args: [...CHROMIUM_FLAGS, '--enable-blink-features=ForceEagerMeasureMemory'],
  });
  try {
    // Without a service worker, which would serve the workers' scripts past the counter.
    const context = await browser.newContext({ serviceWorkers: 'block' });
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    page.on('crash', () => log('The tab crashed.'));
    await page.route(/\.worker-/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: COUNT_BUFFERS + (await response.text()) });
    });
    await page.goto(`${server.url}#/job`);
    await page.waitForFunction(() => globalThis.terrariumJob !== undefined);
    const started = Date.now();
    const elapsed = () => (Date.now() - started) / 60_000;
    const records = [];
    let jobs = 0;
    for (let cycle = 1; cycle <= cycles || elapsed() < minutes; cycle++) {
      for (let round = 0; round < rounds; round++) {
        for (const [index, job] of JOBS.entries()) {
          const answer = await page.evaluate(
            (wanted) =>
              globalThis.terrariumJob(wanted, { data: [], body: [] }, () => undefined, {}),
            { format: 1, name: `Soak ${index}`, seed: ++jobs, compression: 'int8-dynamic', ...job },
          );
          if (!answer.ok) throw new Error(`Cycle ${cycle}: ${answer.error.message}`);
        }
        await deleteAll(page, server.url);
      }
      const record = { cycle, jobs, minute: elapsed(), ...(await measure(page, cdp)) };
      records.push(record);
      log(lineOf(record));
    }
    return records;
  } finally {
    await browser.close();
    await server.close();
  }
}

/** As a person does: into the Trash, and out of it. */
async function deleteAll(page, url) {
  await page.goto(`${url}#/`);
  const tiles = page.locator('section[aria-labelledby=recent] .tiles > li');
  await tiles.first().waitFor();
  while ((await tiles.count()) > 0) {
    const left = await tiles.count();
    await tiles
      .first()
      .getByRole('button', { name: /more|actions|menu/i })
      .click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.waitForFunction(
      (before) =>
        document.querySelectorAll('section[aria-labelledby=recent] .tiles > li').length < before,
      left,
    );
  }
  await page.locator('summary', { hasText: 'Trash' }).click();
  const trashed = page.locator('ul.trash > li');
  while ((await trashed.count()) > 0) {
    const left = await trashed.count();
    await trashed.first().getByRole('button', { name: 'Erase now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Erase now' }).click();
    await page.waitForFunction(
      (before) => document.querySelectorAll('ul.trash > li').length < before,
      left,
    );
  }
  await page.goto(`${url}#/job`);
}

async function measure(page, cdp) {
  let buffers = 0;
  let bufferBytes = 0;
  let peakBuffers = 0;
  const workers = {};
  for (const worker of page.workers()) {
    const name = nameOf(worker.url());
    workers[name] = (workers[name] ?? 0) + 1;
    // Threads wait inside WebAssembly and answer nobody.
    if (!/\/(train|infer)\.worker-/.test(worker.url())) continue;
    const live = await worker.evaluate(
      () => globalThis.liveBuffers?.() ?? { count: 0, peak: 0, bytes: 0 },
    );
    buffers += live.count;
    bufferBytes += live.bytes;
    peakBuffers = Math.max(peakBuffers, live.peak);
  }
  const rest = await page.evaluate(async () => {
    const { bytes, breakdown } = await performance.measureUserAgentSpecificMemory();
    const { usage } = await navigator.storage.estimate();
    let rows = 0;
    for (const { name } of await indexedDB.databases()) {
      const database = await new Promise((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      for (const table of database.objectStoreNames) {
        if (table === 'settings' || table === 'writers') continue;
        rows += await new Promise((resolve, reject) => {
          const request = database.transaction(table).objectStore(table).count();
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
      }
      database.close();
    }
    const parts = breakdown.map((part) => ({ bytes: part.bytes, of: part.attribution[0] ?? null }));
    return { memory: bytes, parts, stored: usage, rows };
  });
  const parts = {};
  for (const { bytes, of } of rest.parts) {
    const name = of === null ? 'shared' : of.scope === 'Window' ? 'page' : nameOf(of.url);
    parts[name] = (parts[name] ?? 0) + bytes;
  }
  return {
    ...rest,
    parts,
    elements: await elementsOf(cdp),
    workers,
    buffers,
    bufferBytes,
    peakBuffers,
  };
}

/** Of a worker: its script, without the folder and the hash. */
const nameOf = (url) => /\/([\w-]+?)(\.worker)?-[\w-]+\.m?js$/.exec(url)?.[1] ?? url;

/** Elements that the page keeps, drawn or not. */
async function elementsOf(cdp) {
  await cdp.send('HeapProfiler.collectGarbage');
  const ask = (method, parameters) => cdp.send(method, { ...parameters, objectGroup: 'soak' });
  const { result } = await ask('Runtime.evaluate', { expression: 'HTMLElement.prototype' });
  const { objects } = await ask('Runtime.queryObjects', { prototypeObjectId: result.objectId });
  const { result: count } = await cdp.send('Runtime.callFunctionOn', {
    objectId: objects.objectId,
    functionDeclaration: 'function () { return this.length; }',
    returnByValue: true,
  });
  await cdp.send('Runtime.releaseObjectGroup', { objectGroup: 'soak' });
  return count.value;
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;

/** The median of the memory. */
function middle(records) {
  const sorted = records.map(({ memory }) => memory).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export function lineOf(record) {
  const { cycle, jobs, minute, memory, parts, elements, stored, rows, workers } = record;
  const { buffers, bufferBytes, peakBuffers } = record;
  const alive = Object.entries(workers).map(([name, count]) => `${name} ${count}`);
  const where = Object.entries(parts).map(([name, bytes]) => `${name} ${megabytes(bytes)}`);
  return (
    `cycle ${cycle}, ${jobs} jobs, minute ${minute.toFixed(1)}: memory ${megabytes(memory)} (${where.toSorted().join(', ')}), elements ${elements}, stored ${megabytes(stored)} ` +
    `in ${rows} records, GPU buffers ${buffers} (${megabytes(bufferBytes)}; at most ${peakBuffers}), workers ${alive.join(', ')}`
  );
}

/**
 * What did not return to where it was, in words; none is good. The first cycles warm up (compiled kernels, sessions
 * and threads stay on purpose), so the second half is held against the cycles before it.
 */
export function growth(records) {
  const half = Math.ceil(records.length / 2);
  const before = records.slice(1, half);
  const after = records.slice(half);
  const most = (list, of) => Math.max(...list.map(of));
  const problems = [];
  const hold = (what, of, allowed) => {
    const was = most(before, of);
    const is = Math.min(...after.map(of));
    if (is > allowed(was))
      problems.push(`${what}: at least ${is} in the second half, at most ${was} before.`);
  };
  const count = (record) => Object.values(record.workers).reduce((sum, each) => sum + each, 0);
  hold('workers', count, (was) => was);
  hold(
    'records',
    ({ rows }) => rows,
    (was) => was,
  );
  hold(
    'GPU buffers',
    ({ buffers }) => buffers,
    (was) => was,
  );
  hold(
    'bytes of GPU buffers',
    ({ bufferBytes }) => bufferBytes,
    (was) => was,
  );
  hold(
    'elements of the page',
    ({ elements }) => elements,
    (was) => was,
  );
  // The browser gives memory and disk back when it likes; in the middle of many cycles that evens out.
  const [was, is] = [middle(before), middle(after)];
  if (is > was * 1.05)
    problems.push(`bytes of memory: ${is} in the middle of the second half, ${was} before.`);
  hold(
    'bytes stored',
    ({ stored }) => stored,
    (was) => was * 1.1 + 2 ** 20,
  );
  return problems;
}
