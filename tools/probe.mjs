// `npm run probe -- FILE… [--json]`: what the studio takes a file for, whether it accepts it, and what reading it costs.
// A folder is one model or one set of pictures. Exit code: 0 all accepted, 1 some refused with a reason, 2 no verdict:
// the studio itself failed, there is no such file, or the command was not understood.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt } from './lib/build.mjs';
import { openProber } from './lib/prober.mjs';

const USAGE = 'Usage: npm run probe -- FILE… [--json]';

async function main() {
  const { values, positionals } = understood();
  const missing = positionals.filter((path) => !existsSync(path));
  if (missing.length > 0) throw new Error(`There is no ${missing.join(', ')}.`);
  ensureBuilt((line) => process.stderr.write(`${line}\n`));
  const prober = await openProber();
  const answers = [];
  try {
    for (const path of positionals) {
      const answer = await prober.probe(resolve(path));
      answers.push(answer);
      if (!values.json) console.log(lines(answer));
    }
  } finally {
    await prober.close();
  }
  if (values.json) console.log(JSON.stringify(answers, null, 2));
  const verdicts = answers.map(({ verdict }) => verdict);
  process.exitCode = verdicts.includes('failed') ? 2 : verdicts.includes('refused') ? 1 : 0;
}

function understood() {
  try {
    const options = { json: { type: 'boolean' } };
    const command = parseArgs({ options, allowPositionals: true });
    if (command.positionals.length > 0) return command;
  } catch (error) {
    throw new Error(`${error.message}\n${USAGE}`, { cause: error });
  }
  throw new Error(USAGE);
}

function lines({ file, takenFor, verdict, code, says, facts, milliseconds, peakBytes }) {
  const cost = [
    milliseconds === null ? null : `${milliseconds} ms`,
    peakBytes === null ? null : `${(peakBytes / 2 ** 20).toFixed(1)} MB at most in a worker`,
  ].filter(Boolean);
  const body =
    facts === null
      ? [`  ${says} (${code})`]
      : Object.entries(facts).map(([name, value]) => `  ${name}: ${shown(value)}`);
  return [
    `${file}`,
    `  ${takenFor ?? 'nothing'}: ${verdict}${cost.length ? `, ${cost.join(', ')}` : ''}`,
    ...body,
  ].join('\n');
}

function shown(value) {
  if (!Array.isArray(value))
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  const some = value.slice(0, 8).map(String).join(', ');
  return value.length > 8 ? `${some} and ${value.length - 8} more` : some || 'none';
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
});
