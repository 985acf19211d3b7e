// Runs jobs in a headless Chromium on the built studio: the part that `job`, `demo` and the tests share.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { chromium } from 'playwright-core';
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

/** Reads JOB.json and finds its data file, which stands relative to it. */
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
  const named = job?.data?.file;
  const dataFile = typeof named === 'string' ? resolve(dirname(path), named) : null;
  if (dataFile && !existsSync(dataFile)) {
    const message = `${path} names the data file ${named}, and there is no ${dataFile}.`;
    throw new JobFailure({ code: 'job/no-file', message });
  }
  if (job && typeof job === 'object' && job.name === undefined) {
    job.name = basename(path).replace(/\.json$/i, '');
  }
  return { job, dataFile };
}

/**
 * Starts a server and a browser. `run(job, dataFile, onProgress)` answers with the report and the files' bytes;
 * each job gets a fresh page and profile, so one never sees another's store.
 */
export async function openJobRunner({ url, flags = [] } = {}) {
  const server = url ? null : await startServer({ port: 0 });
  const browser = await chromium.launch({
    executablePath: ensureChromium((line) => console.error(line)),
    headless: true,
    args: [...CHROMIUM_FLAGS, ...flags],
  });
  return {
    run: (job, dataFile, onProgress) =>
      runInPage(browser, url ?? server.url, job, dataFile, onProgress),
    async close() {
      await browser.close();
      await server?.close();
    },
  };
}

async function runInPage(browser, url, job, dataFile, onProgress) {
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
    await page.evaluate(() => {
      const input = document.createElement('input');
      input.type = 'file';
      input.id = 'job-data-file';
      input.hidden = true;
      document.body.append(input);
    });
    if (dataFile) await page.setInputFiles('#job-data-file', dataFile);
    const answer = await Promise.race([
      crashed,
      page.evaluate((wanted) => {
        const file = document.querySelector('#job-data-file').files[0] ?? null;
        return globalThis.terrariumJob(wanted, file, (progress) => {
          void globalThis.reportJobProgress(progress);
        });
      }, job),
    ]);
    if (!answer.ok) throw new JobFailure(answer.error);
    return {
      report: answer.report,
      predictions: answer.predictions,
      model: Buffer.from(answer.model, 'base64'),
      compressed: answer.compressed === null ? null : Buffer.from(answer.compressed, 'base64'),
      noise,
    };
  } finally {
    await context.close();
  }
}

/** One line for a progress record. */
export function progressLine({ label, done, total, unit }) {
  if (done === undefined || total === undefined) return label;
  return `${label} (${done} of ${total}${unit ? ` ${unit}` : ''})`;
}
