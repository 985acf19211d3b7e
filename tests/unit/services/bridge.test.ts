import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { WorkerBridge } from '../../../src/services/bridge';
import type { BridgeOptions, WorkerLike } from '../../../src/services/bridge';
import { serve } from '../../../workers/serve';

interface EchoApi {
  echo(text: string): string;
  count(to: number, onStep: (step: number) => void): Promise<number>;
  fail(): never;
  hang(): Promise<void>;
  /** Ends when it is cancelled. */
  wait(callId: string): Promise<void>;
  cancel(callId: string): void;
  /** Says when it begins and ends, and takes a turn of the event loop between. */
  slow(name: string, onTurn: (said: string) => void | Promise<void>): Promise<void>;
  /** Finds no memory as often as it was told. */
  hungry(): Promise<string>;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const open: MessagePort[] = [];
let started = 0;
let hunger = 0;

/** A worker played by a message channel: `deaf` ones receive and never answer. */
function fakeWorker(deaf = false): WorkerLike {
  started++;
  const { port1, port2 } = new MessageChannel();
  open.push(port1, port2);
  const api: EchoApi = {
    echo: (text) => `${text} ${text}`,
    count: async (to, onStep) => {
      for (let step = 1; step <= to; step++) await onStep(step);
      return to;
    },
    fail: () => {
      const cause = new AppError('store/quota', 'The disk is full.', { bytes: 12 });
      throw new AppError('data/parse', 'Line 3 has 4 cells.', { line: 3, deep: { a: [1] } }, cause);
    },
    hang: () => new Promise(() => undefined),
    wait: (callId) =>
      new Promise((_, reject) => {
        waiting.set(callId, () => reject(new AppError('call/cancelled', 'It was cancelled.')));
      }),
    cancel: (callId) => waiting.get(callId)?.(),
    slow: async (name, onTurn) => {
      await onTurn(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await onTurn(`${name} ends`);
    },
    hungry: async () => {
      if (hunger-- > 0) throw new RangeError('Array buffer allocation failed');
      return 'fed';
    },
  };
  const waiting = new Map<string, () => void>();
  if (!deaf) serve(api, port2);
  port1.start();
  return Object.assign(port1, { terminate: () => port1.close() });
}

function bridge(deaf = false, prepare?: () => Promise<void>): WorkerBridge<EchoApi> {
  return new WorkerBridge<EchoApi>({
    name: 'echo',
    start: () => fakeWorker(deaf),
    ...(prepare ? { prepare } : {}),
    deadlineMs: 60,
    heartbeatMs: 20,
  });
}

afterEach(() => {
  for (const port of open.splice(0)) port.close();
  started = 0;
});

async function failure(call: Promise<unknown>): Promise<AppError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

describe('WorkerBridge', () => {
  it('starts nothing before the first call, and one worker for many', async () => {
    const echo = bridge();
    expect(started).toBe(0);
    await expect(Promise.all([echo.api.echo('a'), echo.api.echo('b')])).resolves.toEqual([
      'a a',
      'b b',
    ]);
    expect(started).toBe(1);
  });

  it('proxies callbacks', async () => {
    const steps: number[] = [];
    await bridge().api.count(3, (step) => steps.push(step));
    expect(steps).toEqual([1, 2, 3]);
  });

  it('rebuilds errors with code, data, stack and cause', async () => {
    const error = await failure(bridge().api.fail());
    expect(error.code).toBe('data/parse');
    expect(error.message).toBe('Line 3 has 4 cells.');
    expect(error.data).toEqual({ line: 3, deep: { a: [1] } });
    expect(error.stack).toContain('bridge.test');
    expect(error.cause).toMatchObject({ code: 'store/quota', data: { bytes: 12 } });
  });

  it('prepares a worker before its first call', async () => {
    const order: string[] = [];
    const echo = bridge(false, async () => {
      await Promise.resolve();
      order.push('prepared');
    });
    await echo.api.echo('x');
    expect(order).toEqual(['prepared']);
  });

  it('keeps the code of an error while preparing, and prepares anew', async () => {
    let refuse = true;
    const echo = bridge(false, async () => {
      if (refuse) throw new AppError('store/newer', 'Written by a newer version.');
    });
    expect((await failure(echo.api.echo('x'))).code).toBe('store/newer');
    refuse = false;
    await expect(echo.api.echo('x')).resolves.toBe('x x');
  });

  it('rejects every pending call of a silent worker, and starts a new one for the next', async () => {
    let deaf = true;
    const echo = new WorkerBridge<EchoApi>({
      name: 'echo',
      start: () => fakeWorker(deaf),
      deadlineMs: 60,
      heartbeatMs: 20,
    });
    const calls = await Promise.all([failure(echo.api.hang()), failure(echo.api.echo('a'))]);
    expect(calls.map(({ code }) => code)).toEqual(['worker/died', 'worker/died']);
    deaf = false;
    await expect(echo.api.echo('a')).resolves.toBe('a a');
    expect(started).toBe(2);
  });

  it('leaves a worker alone whose call is long but whose heart beats', async () => {
    const echo = bridge();
    const outcome = await Promise.race([
      echo.api.hang().then(() => 'ended'),
      new Promise((resolve) => setTimeout(() => resolve('still working'), 250)),
    ]);
    expect(outcome).toBe('still working');
    const ended = failure(echo.api.hang());
    echo.terminate();
    expect((await ended).code).toBe('worker/died');
  });

  function supervised(options: Partial<BridgeOptions<EchoApi>>): WorkerBridge<EchoApi> {
    return new WorkerBridge<EchoApi>({
      name: 'echo',
      start: () => fakeWorker(),
      heartbeatMs: 20,
      ...options,
    });
  }

  it('gives every callback back when its call has ended, well or badly', async () => {
    const echo = supervised({});
    await Promise.all([echo.api.count(3, () => undefined), echo.api.count(2, () => undefined)]);
    await failure(
      echo.api.count(1, () => Promise.reject(new AppError('a/b', 'The page refused.'))),
    );
    await expect.poll(() => echo.openCallbacks).toBe(0);
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const open = echo.api.count(1, () => held);
    await expect.poll(() => echo.openCallbacks).toBe(1);
    letGo();
    await open;
    await expect.poll(() => echo.openCallbacks).toBe(0);
  });

  it('makes a signal the cancelling of the call', async () => {
    const echo = supervised({});
    const leave = new AbortController();
    const waits = failure(echo.api.wait('call 1', leave.signal));
    await echo.api.echo('a');
    leave.abort();
    expect((await waits).code).toBe('call/cancelled');
    // One that was abandoned before it began is not begun.
    expect((await failure(echo.api.echo('b', leave.signal))).code).toBe('worker/cancelled');
    expect(echo.busy).toBe(false);
  });

  it('has nothing to cancel in a worker that ended at the same moment', async () => {
    const echo = supervised({});
    const leave = new AbortController();
    const waits = failure(echo.api.wait('call 1', leave.signal));
    await echo.api.echo('a');
    const uncaught: unknown[] = [];
    const listen = (error: unknown): void => void uncaught.push(error);
    process.prependOnceListener('uncaughtException', listen);
    echo.terminate();
    leave.abort();
    expect((await waits).code).toBe('worker/died');
    await new Promise((resolve) => setTimeout(resolve));
    process.off('uncaughtException', listen);
    expect(uncaught).toEqual([]);
  });

  it('gives up a call that takes longer than its method may, and no other', async () => {
    const echo = supervised({ deadlines: { hang: 30 } });
    const wait = failure(echo.api.wait('call 1'));
    expect((await failure(echo.api.hang())).code).toBe('worker/overdue');
    await expect(echo.api.echo('a')).resolves.toBe('a a');
    expect(started).toBe(1);
    await echo.api.cancel('call 1');
    expect((await wait).code).toBe('call/cancelled');
  });

  it('does one thing at a time where a worker must, in the order of the calls', async () => {
    const said: string[] = [];
    const hear = (words: string): void => void said.push(words);
    const echo = supervised({ inTurn: ['slow'] });
    await Promise.all(['a', 'b', 'c'].map((name) => echo.api.slow(name, hear)));
    expect(said).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  it('tries once more where memory was not given, after room was made', async () => {
    let rooms = 0;
    const makeRoom = async (): Promise<void> => void rooms++;
    const echo = supervised({ makeRoom, again: ['hungry'] });
    hunger = 1;
    await expect(echo.api.hungry()).resolves.toBe('fed');
    expect(rooms).toBe(1);
    hunger = 2;
    expect((await failure(echo.api.hungry())).message).toContain('allocation failed');
    expect(rooms).toBe(2);
    hunger = 0;
  });

  it('ends a worker that has nothing to do, and starts another at the next call', async () => {
    let allowed = false;
    const deaths: unknown[] = [];
    const onDeath = (error: unknown): void => void deaths.push(error);
    const echo = supervised({ idleMs: 15, mayRest: () => allowed, onDeath });
    await echo.api.echo('a');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(echo.alive).toBe(true);
    allowed = true;
    await expect.poll(() => echo.alive).toBe(false);
    expect(deaths).toEqual([]);
    await expect(echo.api.echo('b')).resolves.toBe('b b');
    expect(started).toBe(2);
    const waits = failure(echo.api.hang());
    expect(echo.rest()).toBe(false);
    echo.terminate();
    expect((await waits).code).toBe('worker/died');
  });

  it('keeps nothing of a worker that was ended', async () => {
    let worker: WeakRef<WorkerLike> | null = null;
    const start = (): WorkerLike => {
      const fake = fakeWorker();
      worker = new WeakRef(fake);
      return fake;
    };
    const echo = supervised({ start });
    await echo.api.echo('a');
    echo.terminate();
    open.length = 0;
    await expect.poll(() => (collect(), worker?.deref() === undefined)).toBe(true);
  });
});
