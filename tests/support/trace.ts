// What a page's own thread was busy with, by the browser's trace: its time on the processor, which a busy machine
// does not lengthen as it does the time on the clock.
import type { Page } from 'playwright-core';

export interface PageTask {
  /** Milliseconds on the processor. */
  readonly busy: number;
  /** Milliseconds on the clock; more than `busy` where others had the processor meanwhile. */
  readonly clock: number;
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string };
  /** Microseconds. */
  readonly dur?: number;
  readonly tdur?: number;
}

/** Every task of the page's thread while `watched` goes on. */
export async function tasksDuring(
  page: Page,
  watched: () => Promise<void>,
): Promise<readonly PageTask[]> {
  const session = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  session.on('Tracing.dataCollected', ({ value }) => {
    const part: readonly object[] = value;
    events.push(...(part as readonly TraceEvent[]));
  });
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: ['disabled-by-default-devtools.timeline'] },
  });
  await watched();
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  await session.detach();
  const threadOf = ({ pid, tid }: TraceEvent) => `${pid}/${tid}`;
  const main = new Set(
    events
      .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
      .map(threadOf),
  );
  return events
    .filter((event) => event.name === 'RunTask' && main.has(threadOf(event)))
    .flatMap(({ dur, tdur }) =>
      // A task that was under way when the trace began or ended has no times.
      dur === undefined || tdur === undefined ? [] : [{ busy: tdur / 1000, clock: dur / 1000 }],
    );
}
