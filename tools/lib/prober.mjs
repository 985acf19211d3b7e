// Feeds files to the built studio in a headless Chromium whose profile is thrown away, and watches the workers' heaps.
import { statSync } from 'node:fs';
import { CHROMIUM_FLAGS, ensureChromium } from './chromium.mjs';
import { startServer } from './server.mjs';

const SAMPLE_MS = 40;
/** The studio itself failed where a file was neither accepted nor refused with a reason. */
const FAILURES = /^(internal|worker|store|probe)\//;

/** `probe(path)` answers `{ file, takenFor, verdict, code, says, facts, milliseconds, peakBytes }`. */
export async function openProber({ root } = {}) {
  // First what may fail: a server that nobody closes would keep the process from ending.
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: ensureChromium((line) => console.error(line)),
    headless: true,
    args: [...CHROMIUM_FLAGS],
  });
  const server = await startServer({ port: 0, ...(root && { root }) });
  return {
    probe: (path, options = {}) => probeFile(browser, server.url, path, options),
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

async function probeFile(browser, url, path, { timeoutMs = 300_000 } = {}) {
  const context = await browser.newContext({ serviceWorkers: 'block' });
  try {
    const page = await context.newPage();
    const crashed = new Promise((_, reject) =>
      page.on('crash', () => reject(new Error('The browser tab crashed.'))),
    );
    crashed.catch(() => undefined);
    await page.goto(`${url}#/job`);
    await page.waitForFunction(() => globalThis.terrariumProbe !== undefined, null, {
      timeout: 60_000,
    });
    const heaps = await watchHeaps(context, page);
    await page.evaluate((folder) => {
      const input = document.createElement('input');
      input.type = 'file';
      input.id = 'probed';
      input.hidden = true;
      input.webkitdirectory = folder;
      document.body.append(input);
    }, statSync(path).isDirectory());
    await page.setInputFiles('#probed', path);
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error('There was no answer in time.')), timeoutMs).unref();
    });
    const answer = await Promise.race([
      crashed,
      late,
      page.evaluate(() => globalThis.terrariumProbe([...document.querySelector('#probed').files])),
    ]);
    return told(path, answer, await heaps.peak());
  } catch (error) {
    const nothing = { takenFor: null, milliseconds: null, peakBytes: null, facts: null };
    return { file: path, ...nothing, verdict: 'failed', code: 'probe/failed', says: error.message };
  } finally {
    await context.close();
  }
}

function told(path, { takenFor, milliseconds, verdict }, peakBytes) {
  const common = { file: path, takenFor, milliseconds, peakBytes };
  if (verdict.accepted) {
    return { ...common, verdict: 'accepted', code: null, says: null, facts: verdict.facts };
  }
  const { code, message } = verdict.error;
  const failed = FAILURES.test(code);
  return { ...common, verdict: failed ? 'failed' : 'refused', code, says: message, facts: null };
}

/** Samples the heap of every worker, those that workers start too; the largest that any of them had. */
async function watchHeaps(context, page) {
  const session = await context.newCDPSession(page);
  let peak = 0;
  let next = 1;
  /** Ways to each worker: the sessions that its messages are wrapped in. */
  const workers = new Map();
  const send = (way, method, params = {}) => {
    let message = { id: next++, method, params };
    for (const sessionId of [...way].reverse()) {
      const inner = JSON.stringify(message);
      message = {
        id: next++,
        method: 'Target.sendMessageToTarget',
        params: { sessionId, message: inner },
      };
    }
    // The outermost wrapping is what this session sends itself. A worker may end meanwhile.
    return session.send(message.method, message.params).catch(() => undefined);
  };
  const AUTO = { autoAttach: true, waitForDebuggerOnStart: false, flatten: false };
  const heard = (way, { method, params, result }) => {
    if (method === 'Target.attachedToTarget') {
      const inner = [...way, params.sessionId];
      workers.set(params.sessionId, inner);
      void send(inner, 'Target.setAutoAttach', AUTO);
    } else if (method === 'Target.detachedFromTarget') workers.delete(params.sessionId);
    else if (method === 'Target.receivedMessageFromTarget') {
      heard([...way, params.sessionId], JSON.parse(params.message));
    } else if (typeof result?.usedSize === 'number') {
      peak = Math.max(peak, result.usedSize + (result.backingStorageSize ?? 0));
    }
  };
  for (const method of ['attachedToTarget', 'detachedFromTarget', 'receivedMessageFromTarget']) {
    session.on(`Target.${method}`, (params) => heard([], { method: `Target.${method}`, params }));
  }
  await session.send('Target.setAutoAttach', AUTO);
  const timer = setInterval(() => {
    for (const way of workers.values()) void send(way, 'Runtime.getHeapUsage');
  }, SAMPLE_MS);
  return {
    async peak() {
      clearInterval(timer);
      return peak === 0 ? null : peak;
    },
  };
}
