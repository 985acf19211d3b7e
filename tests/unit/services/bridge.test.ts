import * as Comlink from 'comlink';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { WorkerBridge } from '../../../src/services/bridge';
import type { WorkerLike } from '../../../src/services/bridge';

interface EchoApi {
  echo(text: string): string;
  count(to: number, onStep: (step: number) => void): Promise<number>;
  fail(): never;
  hang(): Promise<void>;
}

const open: MessagePort[] = [];
let started = 0;

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
  };
  if (!deaf) Comlink.expose(api, port2);
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
});
