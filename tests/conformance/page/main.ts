/** The conformance page: one test at a time on an executor of the browser, called by tools/lib/conformance.mjs. */
import type { CaseListing } from '../harness/case';
import { openExecutor } from '../harness/executors';
import type { DeviceExecutor } from '../harness/executors';
import { runCase } from '../harness/run';
import type { Outcome } from '../harness/run';

const open = new Map<DeviceExecutor, ReturnType<typeof openExecutor>>();

async function runConformance(
  name: DeviceExecutor,
  listing: CaseListing,
  base: string,
): Promise<Outcome> {
  const opening = open.get(name) ?? openExecutor(name);
  open.set(name, opening);
  const executor = await opening;
  const read = async (path: string): Promise<Uint8Array> => {
    const address = (base + path).split('/').map(encodeURIComponent).join('/');
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${path} could not be loaded (${response.status}).`);
    return new Uint8Array(await response.arrayBuffer());
  };
  return runCase(listing, read, (graph, inputs) => executor.evaluate(graph, inputs));
}

Object.assign(globalThis, { runConformance });
document.body.dataset.ready = 'true';
