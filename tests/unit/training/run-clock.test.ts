import { afterEach, describe, expect, it, vi } from 'vitest';
import { RunClock } from '../../../src/training/run-clock';

afterEach(() => {
  vi.useRealTimers();
});

/** A clock whose time is said, in seconds; its own timer never fires. */
function clock(before = 0): { clock: RunClock; pass: (seconds: number) => void } {
  vi.useFakeTimers();
  let now = 5_000;
  return { clock: new RunClock(before, () => now), pass: (seconds) => (now += seconds * 1000) };
}

describe('the clock of a run', () => {
  it('counts the time between start and stop', () => {
    const { clock: run, pass } = clock(7);
    pass(100);
    run.start();
    pass(2);
    expect(run.seconds).toBe(9);
    run.stop();
    pass(60);
    run.start();
    pass(1);
    expect(run.seconds).toBe(10);
    run.stop();
  });

  it('counts a night in which the computer slept as no more than a few steps', () => {
    const { clock: run, pass } = clock();
    run.start();
    for (let step = 0; step < 5; step++) {
      pass(0.1);
      run.stepTook(100);
      run.look();
    }
    pass(8 * 3600);
    expect(run.seconds).toBeLessThan(4);
    pass(0.5);
    expect(run.seconds).toBeLessThan(4.5);
    run.stop();
  });

  it('counts steps in full that take long', () => {
    const { clock: run, pass } = clock();
    run.start();
    for (let step = 0; step < 6; step++) {
      pass(20);
      run.stepTook(20_000);
    }
    expect(run.seconds).toBe(120);
    run.stop();
  });

  it('leaves no timer behind', () => {
    const { clock: run } = clock();
    run.start();
    expect(vi.getTimerCount()).toBe(1);
    run.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
