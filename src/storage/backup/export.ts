/**
 * Saving: a plan, then chunk by chunk into the sink. The list comes first in the file, so a chunk that turns out to
 * be damaged while it is written means to begin again: all are read once, and the file says which are left out.
 */
import type { Exported, ExportPlan, ExportRequest } from '../../protocol/backup';
import type { OnProgress } from '../../protocol/progress';
import type { StoreContext } from '../context';
import { isDamage } from '../errors';
import type { Call } from './calls';
import { writeContainer } from './container';
import { findBad, inWords, planFile } from './plan';
import type { Bad, Plan } from './plan';
import { isChanged } from './sealed';
import type { EndedSink } from './sinks';

/** How often a locked project that changes meanwhile is begun again. */
const ATTEMPTS = 5;

export async function planExport(
  context: StoreContext,
  request: ExportRequest,
): Promise<ExportPlan> {
  return described(await planFile(context, request));
}

export async function exportTo(
  context: StoreContext,
  request: ExportRequest,
  openSink: () => Promise<EndedSink>,
  call: Call,
  onProgress: OnProgress,
): Promise<Exported> {
  let bad: Bad = new Map();
  for (let attempt = 1; ; attempt++) {
    const plan = await planFile(context, request, bad);
    const sink = await openSink();
    try {
      const written = await write(sink, plan, call, onProgress);
      return { ...described(plan), bytes: written, file: await sink.end(), saved: plan.saved };
    } catch (error) {
      await sink.abort();
      if (isChanged(error) && attempt < ATTEMPTS) continue;
      // A second time only what was damaged meanwhile is new; without anything new it would go on for ever.
      if (!isDamage(error)) throw error;
      onProgress({ label: 'A part of the data is damaged; looking for the rest' });
      const found = await findBad(plan, () => call.check());
      if (found.size === 0) throw error;
      bad = new Map([...bad, ...found]);
    }
  }
}

function described({ manifest, bytes }: Plan): ExportPlan {
  const { contents, leftOut } = manifest;
  return { contents, leftOut: inWords(leftOut), bytes };
}

async function write(
  sink: EndedSink,
  plan: Plan,
  call: Call,
  onProgress: OnProgress,
): Promise<number> {
  const { manifest, outgoing, bytes } = plan;
  return writeContainer(sink, manifest, outgoing, (done) => {
    call.check();
    const total = Math.max(done, bytes);
    onProgress({ label: 'Saving', done, total, unit: 'bytes' });
  });
}
