/**
 * The mutations of one target, in a process of their own: one that hangs or fills its memory can be ended. Which
 * mutation is under way stands in a file; what went wrong is printed, one JSON a line.
 */
import { openSync, writeSync } from 'node:fs';
import { AppError } from '../../../src/core/errors';
import { countAllocations, pollution, takeAllocated } from './guard';
import { mutation } from './mutate';
import { TARGETS } from './targets';

/** Processor time of one mutation: a busy machine does not lengthen it. */
const MOST_MS = 1000;

const [name = '', seed = '', from = '', to = '', progress = ''] = process.argv.slice(2);
const target = TARGETS[name];
if (target === undefined) throw new Error(`There is no target "${name}".`);
const seeds = await target.seeds();
const under = openSync(progress, 'w');

/** Null where the outcome is one of those that are allowed. */
const outcomes = new Map<string, number>();
const counted = (what: string): null => {
  outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
  return null;
};

async function problem(bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
  try {
    await target?.run(bytes);
    return counted('accepted');
  } catch (error) {
    if (error instanceof AppError && target?.refuses.test(error.code)) {
      return error.message.length <= 2000
        ? counted(error.code)
        : `a message of ${error.message.length} characters`;
    }
    return error instanceof Error
      ? `${error.name}: ${error.stack ?? error.message}`
      : String(error);
  }
}

// What is made once (tables, compiled expressions) is not a mutation's.
for (const bytes of seeds) {
  const wrong = await problem(new Uint8Array(bytes));
  if (wrong !== null) console.log(JSON.stringify({ number: -1, wrong }));
}
outcomes.clear();
countAllocations();
for (let number = Number(from); number < Number(to); number++) {
  writeSync(under, String(number).padStart(8), 0);
  const bytes = mutation(seeds, target.kind, Number(seed), name, number);
  takeAllocated();
  const started = process.cpuUsage();
  let wrong = await problem(bytes);
  const { user, system } = process.cpuUsage(started);
  const milliseconds = (user + system) / 1000;
  const allocated = takeAllocated();
  wrong ??= pollution();
  if (milliseconds > MOST_MS) wrong ??= `${Math.round(milliseconds)} ms of processor time`;
  if (allocated > target.budget) wrong ??= `${allocated} bytes allocated for ${bytes.length}`;
  if (wrong !== null) console.log(JSON.stringify({ number, wrong }));
}
console.log(JSON.stringify({ done: Object.fromEntries(outcomes) }));
