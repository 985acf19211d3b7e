// `npm run bench`: one training step of three models, and three operators alone, on our executors, on stock TensorFlow.js
// and on jax-js, side by side: every contender has a page of its own, all pages live at the same time, and rounds go
// from page to page. Beside them stands onnxruntime outside the browser. A contender that fails shows its own error.
//   --only mlp,matmul     some tasks           --rounds 5          rounds of each
//   --matmul 1024         edge of the matrices --peak 66.9         the card's float32 TFLOP/s, to give shares of it
//   --profile             instead of all this, where a step of ours on webgpu takes its time
//   --flags "--a --b"     flags for Chromium   --json FILE, --keep (into docs/bench/)   all figures as JSON
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, platform, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { judged, median, profileLines, remarks, table } from '../bench/report.mjs';
import { CHROMIUM_FLAGS, ensureChromium } from './lib/chromium.mjs';
import { servePage } from './lib/page.mjs';
import { ensureInstalled, ROOT } from './lib/setup.mjs';

// Before anything that comes in packages is loaded.
ensureInstalled();
const { chromium } = await import('playwright-core');

const MODELS = ['mlp', 'cnn', 'gpt'];
const OPERATORS = ['matmul', 'conv', 'attention'].flatMap((name) => [name, `${name}-gradient`]);
const CONTENDERS = ['webgpu', 'wasm'].flatMap((backend) =>
  ['ours', 'tfjs', 'jax-js'].map((library) => ({ library, backend })),
);
/** Losses are compared after exactly these steps, which also warm everybody up. */
const FIRST_STEPS = 10;
/** One turn of a contender takes about this long. */
const TURN = 400;
const OPEN_TIMEOUT = 300_000;
// Pages wait for their turns in the background; a browser would slow their timers there.
const STAY_AWAKE = [
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    matmul: { type: 'string' },
    peak: { type: 'string' },
    flags: { type: 'string', default: '' },
    json: { type: 'string' },
    keep: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const tasks = options.only?.split(',') ?? [...MODELS, ...OPERATORS];

/** A fresh page in a context of its own: no library meets what another left behind. */
async function openPage(browser, address) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(address);
  await page.waitForSelector('body[data-ready]');
  const call = (method, ...args) =>
    within(
      OPEN_TIMEOUT,
      page.evaluate(([name, given]) => globalThis.bench(name, given), [method, args]),
    );
  return { call, close: () => context.close() };
}

async function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer within ${milliseconds / 1e3} s`)),
      milliseconds,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** onnxruntime on all cores, outside the browser. */
async function openNative(page, task, sizes) {
  const ort = await import('onnxruntime-node');
  const { file, inputs } = await page.call('native', task, sizes);
  const session = await ort.InferenceSession.create(Buffer.from(file, 'base64'), {
    logSeverityLevel: 3,
  });
  const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array };
  const feeds = Object.fromEntries(
    inputs.map(({ name, dtype, dims, bytes }) => {
      const { buffer } = new Uint8Array(Buffer.from(bytes, 'base64'));
      return [name, new ort.Tensor(dtype, new arrays[dtype](buffer), dims)];
    }),
  );
  const timed = async (times) => {
    const start = performance.now();
    for (let index = 0; index < times; index++) await session.run(feeds);
    return { milliseconds: (performance.now() - start) / times };
  };
  const version = `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common}`;
  return { version, timed, close: () => session.release() };
}

/** A contender after its first steps, ready for its turns. */
async function enter(browser, address, { library, backend }, task, sizes) {
  const page = await openPage(browser, address);
  try {
    const version = await page.call('open', library, backend, task, sizes);
    const isModel = MODELS.includes(task);
    const { value } = await page.call('timed', isModel ? FIRST_STEPS : 2);
    const { milliseconds } = await page.call('timed', 1);
    return {
      entry: {
        library,
        backend,
        version,
        times: [],
        ...(isModel ? { loss: value } : { number: value }),
      },
      turn: turnsOf(milliseconds),
      timed: (times) => page.call('timed', times),
      close: page.close,
    };
  } catch (error) {
    await page.close();
    return { entry: { library, backend, error: plainMessage(error) } };
  }
}

const turnsOf = (milliseconds) => Math.max(1, Math.min(100, Math.round(TURN / milliseconds)));

async function enterNative(page, task, sizes) {
  const entry = { library: 'native', backend: 'processor', times: [] };
  try {
    const { version, timed, close } = await openNative(page, task, sizes);
    await timed(2);
    const { milliseconds } = await timed(1);
    return { entry: { ...entry, version }, turn: turnsOf(milliseconds), timed, close };
  } catch (error) {
    return { entry: { ...entry, error: plainMessage(error) } };
  }
}

function plainMessage(error) {
  const [first = 'failed'] = String(error.message ?? error)
    .replace(/^page\.evaluate: /, '')
    .split('\n');
  return first.length > 110 ? `${first.slice(0, 107)}…` : first;
}

/** All contenders at one task: everybody enters, then rounds in turn, each begun by another. */
async function runTask(browser, address, front, task, sizes) {
  const facts = await front.call('facts', task, sizes);
  const entrants = [];
  try {
    for (const contender of CONTENDERS) {
      entrants.push(await enter(browser, address, contender, task, sizes));
    }
    entrants.push(await enterNative(front, task, sizes));
    const runners = entrants.filter(({ entry }) => !entry.error);
    for (let round = 0; round < rounds; round++) {
      for (let index = 0; index < runners.length; index++) {
        const { entry, turn, timed } = runners[(index + round) % runners.length];
        entry.times.push((await timed(turn)).milliseconds);
      }
    }
  } finally {
    for (const { close } of entrants) await close?.();
  }
  const contenders = entrants.map(({ entry }) => entry);
  for (const { library, backend, times, error } of contenders) {
    const text = error ?? `${median(times).toFixed(2)} ms`;
    process.stderr.write(`${task} ${library} ${backend}: ${text}\n`);
  }
  return judged({ task, model: MODELS.includes(task), ...facts, contenders });
}

/** What the browser knows of the card and its driver. */
async function graphics(browser) {
  const session = await browser.newBrowserCDPSession();
  const { gpu } = await session.send('SystemInfo.getInfo');
  await session.detach();
  return gpu.devices.map(({ vendorString, deviceString, driverVendor, driverVersion }) =>
    [vendorString, deviceString, driverVendor, driverVersion].filter(Boolean).join(' '),
  );
}

function commit() {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'];
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio,
    }).trim();
  } catch {
    // A checkout without git is a fine place to bench in.
    return null;
  }
}

const started = Date.now();
let server;
let browser;
try {
  server = await servePage(join(ROOT, 'bench'));
  const args = [...CHROMIUM_FLAGS, ...STAY_AWAKE, ...options.flags.split(' ').filter(Boolean)];
  browser = await chromium.launch({ executablePath: ensureChromium(), args });
  const front = await openPage(browser, server.address);
  const device = await front.call('describe');
  const sizes = { matmul: Number(options.matmul ?? (device.software ? 512 : 4096)) };
  console.log(
    `Chromium ${browser.version()}; ${device.device}; ${device.cores} cores; ` +
      `${device.isolated ? 'isolated' : 'not isolated'}. Float32, every step awaited; ` +
      `${rounds} rounds in turn, medians.\n`,
  );
  const profiles = [];
  for (const task of options.profile ? tasks.filter((name) => MODELS.includes(name)) : []) {
    const page = await openPage(browser, server.address);
    profiles.push(await page.call('profile', task, 'webgpu'));
    await page.close();
  }
  const results = [];
  for (const task of options.profile ? [] : tasks) {
    results.push(await runTask(browser, server.address, front, task, sizes));
  }
  const peak = options.peak === undefined ? undefined : Number(options.peak);
  for (const profile of profiles) console.log(`${profileLines(profile).join('\n')}\n`);
  if (results.length > 0) console.log(`\n${table(results)}\n`);
  for (const line of results.flatMap((task) => remarks(task, { peak }))) console.log(line);
  console.log(`\n${Math.round((Date.now() - started) / 1e3)} s in all.`);

  const report = {
    date: new Date().toISOString(),
    commit: commit(),
    device,
    graphics: await graphics(browser),
    browser: `Chromium ${browser.version()}`,
    flags: args,
    system: `${platform()} ${release()}`,
    processor: `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} threads`,
    peakTeraflops: peak ?? null,
    rounds,
    tasks: results,
    ...(profiles.length > 0 && { profiles }),
  };
  const name = device.device
    .toLowerCase()
    .replace(/\(.*?\)/g, '')
    .match(/[a-z0-9]+/g)
    .join('-');
  const kept = join(ROOT, 'docs', 'bench', `${report.date.slice(0, 10)}-${name.slice(0, 40)}.json`);
  if (options.keep) await mkdir(join(ROOT, 'docs', 'bench'), { recursive: true });
  for (const file of [options.json, options.keep ? kept : undefined]) {
    if (file) await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  }
  // Speed is for people to judge; contenders that do not do the same work are a mistake.
  if (results.some(({ losses }) => losses && !losses.agree)) process.exitCode = 1;
} finally {
  await browser?.close();
  await server?.close();
}
