/**
 * The count behind "0 requests out": what this scope loaded from other addresses by the browser's own record, and
 * what the content policy stopped. The page and every worker import it; workers tell over a channel, the page
 * adds up. (onnxruntime's own threads load their script and nothing else; the policy holds for them as well.)
 */
export interface GlassCount {
  /** Requests to other addresses. */
  readonly out: number;
  /** Attempts that the policy stopped. */
  readonly refused: number;
}

const channel = new BroadcastChannel('terrarium-glass');
const inPage = 'document' in globalThis;
let counted: GlassCount = { out: 0, refused: 0 };
const listeners = new Set<(count: GlassCount) => void>();

/** Calls `listener` now and at every change, with the sum over this page and all workers of the studio. */
export function watchGlass(listener: (count: GlassCount) => void): () => void {
  listeners.add(listener);
  listener(counted);
  return () => listeners.delete(listener);
}

function add(more: GlassCount): void {
  counted = { out: counted.out + more.out, refused: counted.refused + more.refused };
  for (const listener of listeners) listener(counted);
  if (!inPage) channel.postMessage(more);
}

/** Blobs and data never travel; what comes from this origin is the studio itself. */
export function leaves(address: string, here: { readonly href: string; readonly origin: string }) {
  const url = new URL(address, here.href);
  return /^(https?|wss?):$/.test(url.protocol) && url.origin !== here.origin;
}

if (inPage) {
  channel.addEventListener('message', (event: MessageEvent<GlassCount>) => {
    counted = { out: counted.out + event.data.out, refused: counted.refused + event.data.refused };
    for (const listener of listeners) listener(counted);
  });
}

// A page stands under two policies, its own element's and its response's, and each reports an attempt.
const attempts = new Map<string, number>();
let most = 0;
globalThis.addEventListener('securitypolicyviolation', (event) => {
  const { originalPolicy } = event as SecurityPolicyViolationEvent;
  const count = (attempts.get(originalPolicy) ?? 0) + 1;
  attempts.set(originalPolicy, count);
  if (count > most) add({ out: 0, refused: count - most });
  most = Math.max(most, count);
});

if ('PerformanceObserver' in globalThis) {
  new PerformanceObserver((list) => {
    const out = list.getEntries().filter(({ name }) => leaves(name, location)).length;
    if (out > 0) add({ out, refused: 0 });
  }).observe({ type: 'resource', buffered: true });
}
