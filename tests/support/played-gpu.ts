/**
 * A graphics processor that fails on command, in the training worker of the built studio: lines put before the
 * worker's script play what drivers do. Service workers are kept out, because they would bring the script unchanged.
 */
import type { BrowserContext } from 'playwright-core';

export type Played =
  /** Each of the first `devices` is lost after so many submissions, and its calls go on as if nothing had happened. */
  | { readonly kind: 'lost'; readonly after: number; readonly devices: number }
  /** Each of the first `devices` raises an error that no call reports. */
  | {
      readonly kind: 'out-of-memory' | 'validation';
      readonly after: number;
      readonly devices: number;
    }
  | { readonly kind: 'absent' };

export async function playGpu(context: BrowserContext, played: Played): Promise<void> {
  if (played.kind === 'absent') await context.addInitScript(REMOVE);
  await context.route(/assets\/.*worker.*\.js/, async (route) => {
    const response = await route.fetch();
    const lines =
      played.kind === 'absent' ? REMOVE : `(${play.toString()})(${JSON.stringify(played)});`;
    // Behind the imports, which come first wherever they stand, and before anything asks for a device.
    await route.fulfill({ response, body: `${lines}\n${await response.text()}` });
  });
}

const REMOVE = `for (const kind of ['Navigator', 'WorkerNavigator'])
  if (globalThis[kind]) delete globalThis[kind].prototype.gpu;`;

/** Runs in the worker, from its text alone. */
function play(played: Exclude<Played, { kind: 'absent' }>): void {
  const adapters = (globalThis as { GPUAdapter?: { prototype: GPUAdapter } }).GPUAdapter;
  if (!adapters) return;
  const real = adapters.prototype.requestDevice;
  adapters.prototype.requestDevice = async function (descriptor) {
    const device = await real.call(this, descriptor);
    const number = Number((await keptCount()) ?? 0) + 1;
    await keepCount(number);
    if (number > played.devices) return device;
    let submissions = 0;
    let lose: (info: GPUDeviceLostInfo) => void = () => undefined;
    const lost = new Promise<GPUDeviceLostInfo>((resolve) => (lose = resolve));
    if (played.kind === 'lost') Object.defineProperty(device, 'lost', { value: lost });
    const { queue } = device;
    const submit = queue.submit.bind(queue);
    let gone = false;
    queue.submit = (buffers) => {
      if (++submissions === played.after) {
        if (played.kind === 'lost') {
          gone = true;
          lose({ reason: 'unknown', message: 'played' } as GPUDeviceLostInfo);
        } else {
          const error =
            played.kind === 'out-of-memory'
              ? new GPUOutOfMemoryError('played: no memory left')
              : new GPUValidationError('played: a kernel was refused');
          device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
        }
      }
      if (!gone) submit(buffers);
    };
    return device;
  };
  // The worker after a loss is another one: how many devices there were is kept in the origin's cache storage.
  async function keptCount(): Promise<string | null> {
    const cache = await caches.open('played-gpu');
    return (await (await cache.match('/played'))?.text()) ?? null;
  }
  async function keepCount(count: number): Promise<void> {
    const cache = await caches.open('played-gpu');
    await cache.put('/played', new Response(String(count)));
  }
}
