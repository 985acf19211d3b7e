// Runs jobs in a headless Chromium on the built studio: the part that `job`, `demo` and the tests share.
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { CHROMIUM_FLAGS, ensureChromium } from './chromium.mjs';
import { startServer } from './server.mjs';

/** Why a job failed, in a sentence for people; `code` and `stack` for those who look deeper. */
export class JobFailure extends Error {
  constructor({ code, message, stack, cause }) {
    super(message);
    this.name = 'JobFailure';
    this.code = code;
    this.inside = [stack, cause?.stack].filter(Boolean).join('\ncaused by: ');
  }
}

/** Reads JOB.json and finds the files that it names, which stand relative to it. */
export async function readJobFile(path) {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new JobFailure({ code: 'job/no-file', message: `There is no job file ${path}.` });
  });
  let job;
  try {
    job = JSON.parse(text);
  } catch (error) {
    const message = `${path} is not JSON: ${error.message}.`;
    throw new JobFailure({ code: 'job/invalid', message });
  }
  const place = (named, what) => {
    if (typeof named !== 'string') return null;
    const found = resolve(dirname(path), named);
    if (existsSync(found)) return found;
    const message = `${path} names the ${what} ${named}, and there is no ${found}.`;
    throw new JobFailure({ code: 'job/no-file', message });
  };
  const { file, folder, zip } = job?.data ?? {};
  const files = {
    data: place(file ?? folder ?? zip, folder ? 'folder' : 'data file'),
    body: place(job?.blueprint?.source?.file, 'pretrained model'),
  };
  if (job && typeof job === 'object' && job.name === undefined) {
    job.name = basename(path).replace(/\.json$/i, '');
  }
  return { job, files };
}

/**
 * Starts a server and a browser. `run(job, files, onProgress, options)` answers with the report and the files' bytes;
 * each job gets a fresh page and profile, so one never sees another's store.
 */
export async function openJobRunner({ url, flags = [] } = {}) {
  // Only now: on a bare checkout the packages come with the build.
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: ensureChromium((line) => console.error(line)),
    headless: true,
    args: [...CHROMIUM_FLAGS, ...flags],
  });
  // After what may fail: a server that nobody closes would keep the process from ending.
  const server = url ? null : await startServer({ port: 0 });
  return {
    run: (job, files, onProgress, options = {}) =>
      runInPage(browser, url ?? server.url, job, files, onProgress, options),
    async close() {
      await browser.close();
      await server?.close();
    },
  };
}

async function runInPage(browser, url, job, files, onProgress, options) {
  const context = await browser.newContext({ serviceWorkers: 'block' });
  try {
    const page = await context.newPage();
    // A crash would leave the call below waiting for ever.
    const crashed = new Promise((_, reject) =>
      page.on('crash', () =>
        reject(new JobFailure({ code: 'job/crash', message: 'The browser tab crashed.' })),
      ),
    );
    crashed.catch(() => undefined);
    const noise = [];
    page.on('console', (line) => {
      if (line.type() === 'error' || line.type() === 'warning') noise.push(line.text());
    });
    page.on('pageerror', (error) => noise.push(error.stack ?? error.message));
    await page.exposeFunction('reportJobProgress', onProgress ?? (() => undefined));
    await page.goto(`${url}#/job`);
    await page
      .waitForFunction(() => globalThis.terrariumJob !== undefined, null, { timeout: 30_000 })
      .catch(() => {
        const detail = noise.join('\n');
        throw new JobFailure({
          code: 'job/no-studio',
          message: `The studio did not start. ${detail}`,
        });
      });
    for (const [name, path] of Object.entries(files ?? {})) {
      if (path) await giveFiles(page, `job-${name}`, path);
    }
    const answer = await Promise.race([
      crashed,
      page.evaluate(
        ([wanted, how]) => {
          const given = (name) => [...(document.querySelector(`#job-${name}`)?.files ?? [])];
          const files = { data: given('data'), body: given('body') };
          const report = (progress) => void globalThis.reportJobProgress(progress);
          return globalThis.terrariumJob(wanted, files, report, how);
        },
        [job, options],
      ),
    ]);
    if (!answer.ok) throw new JobFailure(answer.error);
    return {
      report: answer.report,
      predictions: answer.predictions,
      trace: answer.trace,
      model: Buffer.from(answer.model, 'base64'),
      compressed: answer.compressed === null ? null : Buffer.from(answer.compressed, 'base64'),
      adapter: answer.adapter === null ? null : Buffer.from(answer.adapter, 'base64'),
      noise,
    };
  } finally {
    await context.close();
  }
}

/** Puts a file or a whole folder of this computer into the page, as a person would choose it. */
async function giveFiles(page, id, path) {
  const folder = statSync(path).isDirectory();
  await page.evaluate(
    ([name, directory]) => {
      const input = document.createElement('input');
      input.type = 'file';
      input.id = name;
      input.webkitdirectory = directory;
      input.hidden = true;
      document.body.append(input);
    },
    [id, folder],
  );
  await page.setInputFiles(`#${id}`, path);
}

/** One line for a progress record. */
export function progressLine({ label, done, total, unit }) {
  if (done === undefined || total === undefined) return label;
  return `${label} (${done} of ${total}${unit ? ` ${unit}` : ''})`;
}
