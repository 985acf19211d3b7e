// `npm run conformance -- DIR [--executor reference|webgpu|wasm] [--filter TEXT]`: runs every ONNX test in a folder
// (or in a packed one, .tar.gz), a line a test, and ends with `N passed, N failed, N unsupported`.
import { parseArgs } from 'node:util';
import { ConformanceError, findTests, openRunner } from './lib/conformance.mjs';
import { ensureInstalled } from './lib/setup.mjs';

const USAGE =
  'Usage: npm run conformance -- DIR [--executor reference|webgpu|wasm] [--filter TEXT]\n' +
  'DIR holds ONNX tests: folders of model.onnx and test_data_set_N/{input,output}_K.pb, or is one, or is a .tar.gz.';
const EXECUTORS = ['reference', 'webgpu', 'wasm'];

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: {
        executor: { type: 'string', default: 'reference' },
        filter: { type: 'string', default: '' },
      },
      allowPositionals: true,
    });
    if (positionals.length !== 1 || positionals[0] === '') throw new Error('One DIR is needed.');
    if (!EXECUTORS.includes(values.executor)) {
      throw new Error(`There is no executor "${values.executor}".`);
    }
    return { path: positionals[0], ...values };
  } catch (error) {
    throw new ConformanceError(`${error.message}\n${USAGE}`);
  }
}

async function main() {
  const { path, executor, filter } = readArguments();
  const log = (line) => process.stderr.write(`${line}\n`);
  ensureInstalled(log);
  const { tests, close: forget } = await findTests(path, filter);
  const runner = await openRunner(executor, tests, log);
  const counts = { pass: 0, fail: 0, unsupported: 0 };
  try {
    for (const test of tests) {
      const { status, reason } = await runner.run(test);
      counts[status]++;
      console.log(`${status} ${test.name}${reason === '' ? '' : ` — ${reason}`}`);
    }
  } finally {
    await runner.close();
    await forget();
  }
  console.log(`${counts.pass} passed, ${counts.fail} failed, ${counts.unsupported} unsupported`);
  if (counts.fail > 0) process.exitCode = 1;
}

main().catch((error) => {
  process.stderr.write(`${error instanceof ConformanceError ? error.message : error.stack}\n`);
  process.exitCode = 1;
});
