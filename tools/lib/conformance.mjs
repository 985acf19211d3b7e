// Finds ONNX tests and runs them: on the reference interpreter in this process, or on an executor of the browser
// in a headless Chromium. The harness itself (tests/conformance/harness) is TypeScript and is bundled first.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './setup.mjs';

/** A folder or an argument that cannot be used: its message is all a person needs. */
export class ConformanceError extends Error {}

const HARNESS = join(ROOT, 'tests', 'conformance');
/** One test on a software GPU takes seconds; a tab that says nothing for so long hangs. */
const PAGE_TIMEOUT = 600_000;

const silent = { configFile: false, logLevel: 'error', publicDir: false };

/** The harness as a module of Node, built into a folder that goes when Node ends. */
async function loadHarness() {
  const { build } = await import('vite');
  const outDir = join(ROOT, '.cache', `conformance-${process.pid}`);
  try {
    await build({
      ...silent,
      root: HARNESS,
      build: { ssr: 'harness/reference.ts', outDir, emptyOutDir: true, minify: false },
    });
    const [file] = (await readdir(outDir)).filter((name) => /\.m?js$/.test(name));
    return await import(pathToFileURL(join(outDir, file)).href);
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

let harness;

/** The tests below `path`, sorted by name; each knows its folder. `close` removes what was unpacked. */
export async function findTests(path, filter) {
  const given = resolve(path);
  const found = await stat(given).catch((error) => {
    throw new ConformanceError(
      error.code === 'ENOENT'
        ? `There is no folder ${given}.`
        : `${given} cannot be read: ${error.message}.`,
    );
  });
  harness ??= await loadHarness();
  const root = found.isDirectory() ? given : await unpackTo(given);
  const close = () =>
    root === given ? Promise.resolve() : rm(root, { recursive: true, force: true });
  try {
    const files = [];
    await list(root, '', files, new Set());
    const cases = harness.findCases(files, basename(given));
    if (cases.length === 0) {
      throw new ConformanceError(
        `${given} holds no ONNX tests: no folder in it has a model.onnx or a test_data_set_0.`,
      );
    }
    const tests = cases
      .filter(({ name }) => name.includes(filter))
      .map((test) => ({ ...test, root, path: join(root, test.folder) }));
    if (tests.length === 0) {
      throw new ConformanceError(
        `None of the ${cases.length} tests in ${given} has "${filter}" in its name.`,
      );
    }
    return { tests, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Files below a folder, with links followed; a folder that links to one above it is entered once. */
async function list(root, below, files, seen) {
  const at = join(root, below);
  const entries = await readdir(at).catch((error) => {
    throw new ConformanceError(`${at} cannot be read: ${error.message}.`);
  });
  for (const name of entries.sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    // A link to nothing is no file; anything else that cannot be looked at must not be passed over.
    const info = await stat(join(root, path)).catch((error) => {
      if (error.code === 'ENOENT') return null;
      throw new ConformanceError(`${join(root, path)} cannot be read: ${error.message}.`);
    });
    if (info?.isFile()) files.push(path);
    if (!info?.isDirectory()) continue;
    const id = `${info.dev}:${info.ino}`;
    if (seen.has(id)) continue;
    seen.add(id);
    await list(root, path, files, seen);
  }
}

async function unpackTo(file) {
  const bytes = await readFile(file).catch((error) => {
    throw new ConformanceError(`${file} cannot be read: ${error.message}.`);
  });
  const files = await harness.unpack(bytes).catch(() => {
    throw new ConformanceError(`${file} is neither a folder nor a .tar.gz of ONNX tests.`);
  });
  const root = await mkdtemp(join(tmpdir(), 'terrarium-conformance-'));
  for (const [name, content] of files) {
    const path = resolve(root, name);
    if (!path.startsWith(root))
      throw new ConformanceError(`${file} names a file outside: ${name}.`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return root;
}

export async function openRunner(executor, tests, log) {
  if (executor !== 'reference') return openPageRunner(executor, tests, log);
  return {
    run: (test) => harness.runOnReference(test, (path) => readBytes(join(test.path, path))),
    close: () => Promise.resolve(),
  };
}

/** A plain Uint8Array: a Buffer's `slice` is a view, where the reader counts on a copy. */
async function readBytes(path) {
  const { buffer, byteOffset, length } = await readFile(path);
  return new Uint8Array(buffer, byteOffset, length);
}

/** Serves the harness page with the tests' folder linked into it, and runs one test after the other. */
async function openPageRunner(executor, [first], log) {
  const [{ build }, { chromium }, { CHROMIUM_FLAGS, ensureChromium }, { startServer }] =
    await Promise.all([
      import('vite'),
      import('playwright-core'),
      import('./chromium.mjs'),
      import('./server.mjs'),
    ]);
  const executablePath = ensureChromium(log);
  const folder = await mkdtemp(join(tmpdir(), 'terrarium-conformance-page-'));
  await build({
    ...silent,
    root: join(HARNESS, 'page'),
    base: './',
    worker: { format: 'es' },
    build: { outDir: folder, emptyOutDir: true, target: 'es2023', assetsInlineLimit: 0 },
  });
  await symlink(first.root, join(folder, 'tests'), 'dir');
  const server = await startServer({ root: folder });
  const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_FLAGS] });
  let page = null;

  async function fresh() {
    await page?.context().close();
    const context = await browser.newContext({ serviceWorkers: 'block' });
    const next = await context.newPage();
    await next.goto(server.url);
    await next.waitForSelector('body[data-ready]');
    return next;
  }

  return {
    async run(test) {
      page ??= await fresh();
      const { name, folder: at, model, sets, others } = test;
      const crashed = new Promise((_, reject) => {
        page.once('crash', () => reject(new Error('the browser tab crashed')));
      });
      let timer;
      const late = new Promise((_, reject) => {
        const text = `no result within ${PAGE_TIMEOUT / 1e3} s`;
        timer = setTimeout(() => reject(new Error(text)), PAGE_TIMEOUT);
      });
      try {
        const running = page.evaluate(
          ([which, wanted, base]) => globalThis.runConformance(which, wanted, base),
          [executor, { name, model, sets, others }, `./tests/${at}`],
        );
        return await Promise.race([running, crashed, late]);
      } catch (error) {
        // The next test gets a page that this one has not touched.
        await page.context().close();
        page = null;
        return { status: 'fail', reason: String(error.message).split('\n')[0] };
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      await browser.close();
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
