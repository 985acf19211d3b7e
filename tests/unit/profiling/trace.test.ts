/** The trace held to the rules of the Trace Event Format, as its readers expect them. */
import { describe, expect, it } from 'vitest';
import type { TraceEvent } from '../../../src/profiling/trace';
import { traceOf } from '../../../src/profiling/trace';
import { KERNELS, PROFILE, STEP } from '../../support/profiles';

/** What is against the format, in words; the trace is read back from its text first. */
function problems(text: string): string[] {
  const found: string[] = [];
  const { traceEvents, displayTimeUnit } = JSON.parse(text) as {
    traceEvents: Record<string, unknown>[];
    displayTimeUnit: string;
  };
  if (!['ms', 'ns'].includes(displayTimeUnit)) found.push(`displayTimeUnit ${displayTimeUnit}`);
  const open = new Map<string, { end: number; name: string }[]>();
  traceEvents.forEach((event, index) => {
    const say = (what: string) => void found.push(`event ${index}: ${what}`);
    const { ph, ts, dur, pid, tid, name, args } = event;
    if (typeof name !== 'string' || name === '') say('no name');
    if (!Number.isInteger(pid) || !Number.isInteger(tid)) say('no process or thread');
    if (ph === 'M') {
      if (!['process_name', 'thread_name'].includes(String(name))) say(`metadata ${String(name)}`);
      if (typeof (args as { name?: unknown }).name !== 'string') say('metadata without a name');
      return;
    }
    if (typeof ts !== 'number' || !(ts >= 0)) return say('no time');
    if (ph === 'C') {
      const series = Object.values(args as object);
      if (series.length === 0) say('a counter without series');
      if (!series.every((value) => Number.isFinite(value))) say('a series that is no number');
    } else if (ph === 'X') {
      if (typeof dur !== 'number' || !(dur >= 0)) return say('no duration');
      // Complete events of one thread lie within one another or apart.
      const stack = open.get(`${pid} ${tid}`) ?? [];
      while (stack.length > 0 && (stack.at(-1)?.end ?? 0) <= ts) stack.pop();
      const around = stack.at(-1);
      if (around && ts + dur > around.end) say(`overlaps ${around.name}`);
      stack.push({ end: ts + dur, name: String(name) });
      open.set(`${pid} ${tid}`, stack);
    } else say(`phase ${String(ph)}`);
  });
  return found;
}

const complete = (events: readonly TraceEvent[], category: string[]) =>
  events.filter(({ ph, cat }) => ph === 'X' && category.includes(cat ?? ''));

describe('a profile as a trace', () => {
  const trace = traceOf(PROFILE, 'Run 3');

  it('keeps the rules of the format', () => {
    expect(problems(JSON.stringify(trace))).toEqual([]);
  });

  it('fails a trace that does not', () => {
    const bad = trace.traceEvents.map((event) =>
      event.ph === 'X' && event.ts === 300 ? { ...event, ts: 299 } : event,
    );
    expect(problems(JSON.stringify({ ...trace, traceEvents: bad }))).not.toEqual([]);
  });

  it('lays kernels end to end in their order, in microseconds', () => {
    const kernels = complete(trace.traceEvents, ['forward', 'backward', 'update']);
    expect(kernels.map(({ name }) => name)).toEqual(KERNELS.map(({ label }) => label));
    expect(kernels.map(({ ts }) => ts)).toEqual([0, 300, 400, 420, 620, 1000]);
    expect(kernels.map(({ dur }) => dur)).toEqual(KERNELS.map(({ micros }) => micros));
    expect(kernels[3]?.args).toMatchObject({ nodes: 'Gemm_1, Transpose_1', model: 'output.gemm' });
    expect(kernels[2]?.args).toMatchObject({ model: '' });
  });

  it('puts the phases beside them', () => {
    const phases = complete(trace.traceEvents, ['phase']);
    expect(phases.map(({ name, ts, dur }) => [name, ts, dur])).toEqual([
      ['forward', 0, 420],
      ['backward', 420, 580],
      ['update', 1000, 0],
    ]);
  });

  it('counts memory by kind at the beginning of each kernel', () => {
    const counters = trace.traceEvents.filter(({ ph }) => ph === 'C');
    expect(counters.map(({ ts }) => ts)).toEqual([0, 300, 400, 420, 620, 1000]);
    expect(counters[4]?.args).toEqual({
      state: 4000,
      constant: 0,
      feed: 500,
      gradient: 3000,
      activation: 1500,
    });
    expect(trace.otherData).toMatchObject({
      'peak bytes': 9000,
      dispatches: 6,
      clock: 'timestamps',
    });
  });

  it('is well formed without a kernel, too', () => {
    const empty = traceOf({ ...PROFILE, step: { ...STEP, kernels: [] } }, 'Run 3');
    expect(problems(JSON.stringify(empty))).toEqual([]);
  });
});
