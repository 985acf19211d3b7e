// `npm run demo`: the digits CNN and the penguins MLP as jobs, on the executor that the probe chooses, and a table of
// what came out. Fails when a figure is under its floor.
import { ensureBuilt } from './lib/build.mjs';
import { JobFailure, openJobRunner } from './lib/job-runner.mjs';

const DIGITS = {
  format: 1,
  name: 'Digits',
  data: { embedded: 'digits' },
  compression: 'int8-static',
  seed: 1,
};
const PENGUIN_SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const penguins = (seed) => ({
  format: 1,
  name: 'Penguins',
  data: { embedded: 'penguins' },
  compression: 'int8-static',
  seed,
});

const FLOORS = {
  digits: 0.975,
  penguins: 0.97,
  int8Size: 0.35,
  int8Loss: 0.01,
};

const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
const interval = ({ value, low, high }) => `${percent(value)} (${percent(low)} – ${percent(high)})`;
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const milliseconds = (value) => `${value.toFixed(2)} ms`;
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function main() {
  const log = (line) => process.stderr.write(`${line}\n`);
  ensureBuilt(log);
  const started = performance.now();
  const runner = await openJobRunner();
  try {
    log('Digits: training a CNN …');
    const digits = (await runner.run(DIGITS, null, epochLine(log))).report;
    const flocks = [];
    for (const seed of PENGUIN_SEEDS) {
      const { report } = await runner.run(penguins(seed), null);
      log(`Penguins, seed ${seed}: ${interval(report.model.test.accuracy)}`);
      flocks.push(report);
    }
    printTable([column(digits, 'Digits, CNN'), column(flocks[0], 'Penguins, MLP (seed 1)')]);
    const accuracy = mean(flocks.map(({ model }) => model.test.accuracy.value));
    const range = `seeds ${PENGUIN_SEEDS[0]} to ${PENGUIN_SEEDS.at(-1)}`;
    console.log(`\nPenguins, mean over ${range}: ${percent(accuracy, 2)}`);
    console.log(`Took ${((performance.now() - started) / 1000).toFixed(0)} s in all.\n`);
    return judge(digits, accuracy);
  } finally {
    await runner.close();
  }
}

function epochLine(log) {
  return ({ label }) => {
    if (label.startsWith('Epoch') || label.startsWith('Training')) log(`  ${label}`);
  };
}

function column(report, title) {
  const { model, compressed, baselines, device } = report;
  const [rule, linear] = baselines;
  return [
    ['', title],
    ['executor', device.executor],
    ['device', device.label],
    ['seconds of training', report.seconds.toFixed(1)],
    ['examples a second', report.examplesPerSecond.toFixed(0)],
    ['sealed test', `${model.test.total} rows`],
    ['accuracy (95 % interval)', interval(model.test.accuracy)],
    ['  commonest class', interval(rule.test.accuracy)],
    ['  linear model', interval(linear.test.accuracy)],
    ['ONNX file', kilobytes(model.bytes)],
    ['one row takes (median)', milliseconds(model.latency.medianMs)],
    ['int8 accuracy', interval(compressed.test.accuracy)],
    ['int8 loss (95 % interval)', interval(report.compressionLoss.loss)],
    [
      'int8 file',
      `${kilobytes(compressed.bytes)} (${percent(compressed.bytes / model.bytes, 0)} of float)`,
    ],
    ['int8: one row takes', milliseconds(compressed.latency.medianMs)],
  ];
}

function printTable(columns) {
  const [first = []] = columns;
  const rows = first.map(([label], row) => [label, ...columns.map((cells) => cells[row][1])]);
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  console.log('');
  for (const row of rows) {
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('   ')
        .trimEnd(),
    );
  }
}

/** Prints every floor with its figure; returns whether all hold. */
function judge(digits, penguinAccuracy) {
  const { model, compressed, compressionLoss } = digits;
  const checks = [
    ['digits CNN', model.test.accuracy.value, '≥', FLOORS.digits],
    ['penguins MLP, mean', penguinAccuracy, '≥', FLOORS.penguins],
    ['digits int8 file / float file', compressed.bytes / model.bytes, '≤', FLOORS.int8Size],
    ['digits int8 loss, 95 % upper bound', compressionLoss.loss.high, '≤', FLOORS.int8Loss],
  ];
  let good = true;
  for (const [what, value, relation, floor] of checks) {
    const holds = relation === '≥' ? value >= floor : value <= floor;
    good &&= holds;
    const verdict = holds ? 'ok  ' : 'FAIL';
    console.log(`${verdict} ${what}: ${percent(value, 2)} ${relation} ${percent(floor)}`);
  }
  return good;
}

main().then(
  (good) => {
    if (!good) process.exitCode = 1;
  },
  (error) => {
    process.stderr.write(
      `${error.message}\n${error instanceof JobFailure ? `(${error.code})\n` : ''}`,
    );
    process.exitCode = 1;
  },
);
