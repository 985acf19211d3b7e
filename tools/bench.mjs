// `npm run bench [-- --json FILE]`: one training step of two models on our executors, on stock TensorFlow.js and
// on jax-js, each on a fresh page of one Chromium, and one table. A contender that fails shows its own error.
import { readFile, writeFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize, sep } from 'node:path';
import { CHROMIUM_FLAGS, ensureChromium } from './lib/chromium.mjs';
import { ensureInstalled } from './lib/setup.mjs';

// Before anything that comes in packages is loaded.
ensureInstalled();
const { chromium } = await import('playwright-core');
const { build } = await import('vite');

const ROOT = new URL('..', import.meta.url).pathname;
const LIMITS = { warmUp: 3, steps: 30, milliseconds: 12_000 };
const PAGE_TIMEOUT = 60_000;
const LIBRARIES = ['ours', 'tfjs', 'jax-js'];
const BACKENDS = ['webgpu', 'wasm'];
const TASKS = [
  { name: 'mlp', title: 'MLP 784-128-10, batch 64' },
  { name: 'cnn', title: 'CNN 16-32 on 28x28, batch 32' },
];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

const jsonAt = process.argv.indexOf('--json');
const jsonFile = jsonAt > 0 ? process.argv[jsonAt + 1] : null;

/** jax-js's threaded workers break when the page is minified, so nothing is. */
async function buildPage(outDir) {
  await build({
    configFile: false,
    root: join(ROOT, 'bench'),
    base: './',
    logLevel: 'error',
    worker: { format: 'es' },
    build: { outDir, emptyOutDir: true, target: 'es2023', minify: false, assetsInlineLimit: 0 },
  });
}

/** Loopback with the headers that give pages shared memory. */
async function serve(root) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const file = normalize(
      join(root, pathname === '/' ? 'index.html' : decodeURIComponent(pathname)),
    );
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (!file.startsWith(root + sep)) return response.writeHead(403).end();
    try {
      const bytes = await readFile(file);
      const type = file.endsWith('.wasm') ? 'application/wasm' : TYPES[extname(file)];
      return response
        .writeHead(200, { 'Content-Type': type ?? 'application/octet-stream' })
        .end(bytes);
    } catch {
      return response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** A page of its own for each row: no library meets what another left behind. */
async function runRow(browser, address, library, backend, task) {
  const context = await browser.newContext();
  const page = await context.newPage();
  try {
    await page.goto(address);
    await page.waitForSelector('body[data-ready]');
    const running = page.evaluate(
      ([which, on, name, limits]) => globalThis.bench(which, on, name, limits),
      [library, backend, task, LIMITS],
    );
    const late = new Promise((_, reject) => {
      setTimeout(
        () => reject(new Error(`no result within ${PAGE_TIMEOUT / 1e3} s`)),
        PAGE_TIMEOUT,
      ).unref();
    });
    return await Promise.race([running, late]);
  } catch (error) {
    return { error: plainMessage(error) };
  } finally {
    await context.close();
  }
}

function plainMessage(error) {
  const [first = 'failed'] = String(error.message ?? error)
    .replace(/^page\.evaluate: /, '')
    .split('\n');
  return first.length > 110 ? `${first.slice(0, 107)}…` : first;
}

function print(rows) {
  const cells = rows.map(({ task, library, backend, result }) =>
    result.error
      ? [task.title, library, backend, 'refuses', '', '', result.error]
      : [
          task.title,
          library,
          backend,
          result.stepMs.toFixed(result.stepMs < 10 ? 2 : 1),
          Math.round(result.examplesPerSecond).toLocaleString('en'),
          `${result.loss.toFixed(4)} (${result.lossStep})`,
          result.version,
        ],
  );
  const head = [
    'model',
    'library',
    'on',
    'ms a step',
    'examples/s',
    'loss (step)',
    'version or reason',
  ];
  const widths = head.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => row[i].length)),
  );
  const right = new Set([3, 4]);
  const line = (row) =>
    row
      .map((cell, i) => (right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd();
  console.log(
    [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)].join(
      '\n',
    ),
  );
}

const started = Date.now();
const folder = await mkdtemp(join(tmpdir(), 'terrarium-bench-'));
let server;
let browser;
try {
  await buildPage(folder);
  server = await serve(folder);
  browser = await chromium.launch({ executablePath: ensureChromium(), args: [...CHROMIUM_FLAGS] });
  const page = await browser.newPage();
  await page.goto(server.address);
  await page.waitForSelector('body[data-ready]');
  const device = await page.evaluate(() => globalThis.device());
  await page.close();
  console.log(
    `Chromium ${browser.version()}; ${device}. Adam, float32; median step, loss read every step.\n`,
  );
  const rows = [];
  for (const task of TASKS) {
    for (const library of LIBRARIES) {
      for (const backend of BACKENDS) {
        const result = await runRow(browser, server.address, library, backend, task.name);
        rows.push({ task, library, backend, result });
        process.stderr.write(
          `${task.name} ${library} ${backend}: ${result.error ?? `${result.stepMs.toFixed(1)} ms`}\n`,
        );
      }
    }
  }
  console.log('');
  print(rows);
  console.log(`\n${Math.round((Date.now() - started) / 1e3)} s in all.`);
  if (jsonFile) {
    const report = { device, chromium: browser.version(), limits: LIMITS, rows };
    await writeFile(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  }
} finally {
  await browser?.close();
  server?.close();
  await rm(folder, { recursive: true, force: true });
}
