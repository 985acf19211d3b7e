import { expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { Lifeline } from '../../../src/core/lifeline';

const DEATH = new AppError('worker/died', 'It stopped.');

it('a wait ends as its work does, and nothing of it is kept', async () => {
  const line = new Lifeline();
  const refused = new Error('no');
  const waits = [line.until(Promise.resolve(7)), line.until(Promise.reject(refused))];
  expect(line.waiting).toBe(2);
  const ends = await Promise.allSettled(waits);
  expect(ends).toEqual([
    { status: 'fulfilled', value: 7 },
    { status: 'rejected', reason: refused },
  ]);
  await Promise.resolve();
  expect(line.waiting).toBe(0);
});

it('a death rejects what waits and what comes after it, whatever the work does then', async () => {
  const line = new Lifeline();
  let resolve: (value: number) => void = () => undefined;
  const waiting = line.until(new Promise<number>((yes) => (resolve = yes)));
  line.throwIfCut();
  line.cut(DEATH);
  expect(() => line.throwIfCut()).toThrow(DEATH);
  resolve(1);
  await expect(waiting).rejects.toBe(DEATH);
  await expect(line.until(Promise.resolve(2))).rejects.toBe(DEATH);
  await expect(line.until(Promise.reject(new Error('late')))).rejects.toBe(DEATH);
  await Promise.resolve();
  expect(line.waiting).toBe(0);
});
