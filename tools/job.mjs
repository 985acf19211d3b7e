// `npm run job -- JOB.json [--out DIR] [--profile FILE]`: runs a job file headless in Chromium and writes the model, its int8 copy,
// the report and the sealed-test predictions. Progress goes to stderr, the folder's path to stdout.
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt } from './lib/build.mjs';
import { JobFailure, openJobRunner, progressLine, readJobFile } from './lib/job-runner.mjs';

const USAGE =
  'Usage: npm run job -- JOB.json [--out DIR] [--profile FILE]   (docs/job.schema.json describes the file)';

async function main() {
  const { values, positionals } = parseArgs({
    options: { out: { type: 'string' }, profile: { type: 'string' } },
    allowPositionals: true,
  });
  const [path] = positionals;
  if (path === undefined || positionals.length > 1) throw new Error(USAGE);
  const { job, files } = await readJobFile(path);
  const stem = basename(path).replace(/\.json$/i, '');
  const out = resolve(values.out ?? join(dirname(path), `${stem}-out`));

  const log = (line) => process.stderr.write(`${line}\n`);
  ensureBuilt(log);
  const started = performance.now();
  const runner = await openJobRunner();
  try {
    let last = '';
    const say = (progress) => {
      const line = progressLine(progress);
      if (line !== last) log(line);
      last = line;
    };
    const profile = values.profile !== undefined;
    const result = await runner.run(job, files, say, { profile });
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'model.onnx'), result.model);
    if (result.compressed) await writeFile(join(out, 'model.int8.onnx'), result.compressed);
    if (result.adapter) await writeFile(join(out, 'adapter.safetensors'), result.adapter);
    await writeFile(join(out, 'predictions.csv'), result.predictions);
    if (profile && result.trace) {
      await writeFile(resolve(values.profile), JSON.stringify(result.trace));
      log(`Profile: ${resolve(values.profile)} (open it in chrome://tracing or Perfetto)`);
    }
    await writeFile(join(out, 'report.json'), `${JSON.stringify(result.report, null, 2)}\n`);
    log(summary(result.report, (performance.now() - started) / 1000));
    console.log(out);
  } finally {
    await runner.close();
  }
}

function summary(report, seconds) {
  const { model, baselines, device, trainable } = report;
  const lines = [
    `Done in ${seconds.toFixed(1)} s on ${device?.label ?? 'an unknown device'}.`,
    `  ${model.name}: ${headline(model.test)} on the sealed test part, ${model.bytes} bytes`,
    `  ${trainable ?? model.weights} numbers learned in ${report.seconds.toFixed(1)} s of training`,
    ...baselines.map((baseline) => `  ${baseline.name}: ${headline(baseline.test)}`),
  ];
  if (report.compressed) {
    const { test, bytes } = report.compressed;
    lines.push(`  int8: ${headline(test)}, ${bytes} bytes`);
  }
  return lines.join('\n');
}

function headline(test) {
  const interval = ({ value, low, high }, show) =>
    `${show(value)} (95 % interval ${show(low)} to ${show(high)})`;
  if (test.task === 'classification') {
    return `accuracy ${interval(test.accuracy, (share) => `${(share * 100).toFixed(1)} %`)}`;
  }
  return `RMSE ${interval(test.rmse, (value) => Number(value.toPrecision(4)).toString())}`;
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  if (error instanceof JobFailure) {
    process.stderr.write(`(${error.code})\n`);
    if (process.env.DEBUG && error.inside) process.stderr.write(`${error.inside}\n`);
  }
  process.exitCode = 1;
});
