import { describe, expect, it } from 'vitest';
import { judged, median, profileLines, ratios, remarks, table } from '../../../bench/report.mjs';

const entry = (library: string, backend: string, times: number[], loss?: number) => ({
  library,
  backend,
  version: `${library} 1`,
  times,
  ...(loss !== undefined && { loss }),
});

const MODEL = {
  title: 'a model',
  model: true,
  operations: 0,
  contenders: [
    entry('ours', 'webgpu', [10, 20, 10], 2),
    entry('tfjs', 'webgpu', [60, 100, 40], 2.0001),
    entry('jax-js', 'webgpu', [11, 22, 11], 2),
    { library: 'tfjs', backend: 'wasm', error: 'no such kernel' },
    entry('native', 'processor', [5, 5, 5]),
  ],
};

describe('the report of the bench', () => {
  it('takes medians, of even numbers too', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it('divides round by round, so that a slow round slows both sides', () => {
    // The medians alone would say 100 / 10.
    expect(ratios([100, 1000, 50], [10, 100, 10])).toEqual({ median: 10, min: 5, max: 10 });
  });

  it('holds each backend to its own floor', () => {
    const [, tfjs, jax, refused] = judged(MODEL).contenders;
    expect(tfjs).toMatchObject({ ratio: { median: 5, min: 4, max: 6 }, floor: 5, passes: true });
    expect(jax).toMatchObject({ ratio: { median: 1.1 }, floor: 1.3, passes: false });
    expect(refused).toEqual(MODEL.contenders[3]);
    const operator = judged({ ...MODEL, model: false, operations: 2e7 });
    expect(operator.contenders[1].floor).toBeUndefined();
    expect(operator.contenders[0].gigaflops).toBeCloseTo(2);
  });

  it('says where native stands, and whether all did the same work', () => {
    const task = judged(MODEL);
    expect(task.toNative).toEqual({ webgpu: { median: 2, min: 2, max: 4 } });
    expect(task.losses.agree).toBe(true);
    expect(remarks(task).join('\n')).toMatch(/agree .*\n.*webgpu takes 2.00x/);
    const other = structuredClone(MODEL);
    (other.contenders[2] as { loss?: number }).loss = 2.01;
    expect(judged(other).losses.agree).toBe(false);
    expect(remarks(judged(other))[0]).toContain('DISAGREE');
    const numbers = [0.001, 0.0012, 0.003].map((number, index) => ({
      ...entry('ours', `backend ${index}`, [1]),
      number,
    }));
    const operator = { ...MODEL, model: false, operations: 1 };
    expect(judged({ ...operator, contenders: numbers.slice(0, 2) }).losses.agree).toBe(true);
    expect(judged({ ...operator, contenders: numbers }).losses.agree).toBe(false);
  });

  it('gives the share of a peak, and a row to everybody', () => {
    const task = judged({ ...MODEL, model: false, operations: 1e10, title: 'matmul' });
    expect(remarks(task, { peak: 4 }).join('\n')).toContain('ours 1.00 TFLOP/s, 25.0 % of peak');
    const lines = table([judged(MODEL)]).split('\n');
    expect(lines).toHaveLength(3 + MODEL.contenders.length);
    expect(lines.join('\n')).toMatch(/MISSED \(1.3x\)[\s\S]*refuses .*no such kernel/);
  });

  it('adds up equal kernels, the longest first', () => {
    const kernel = (label: string, micros: number) => ({
      label,
      micros,
      bytesRead: 3000,
      bytesWritten: 1000,
    });
    const kernels = [kernel('Relu', 1000), kernel('MatMul', 1500), kernel('MatMul', 1500)];
    const lines = profileLines({ title: 'a model', clock: 'wall', stepMicros: 5000, kernels });
    expect(lines[0]).toBe('a model: 4.00 ms in 3 kernels (wall), 5.00 ms with waiting');
    expect(lines[1]).toMatch(/75.0 % +3.000 ms +2x +0.0 GB\/s {2}MatMul/);
    expect(lines[2]).toMatch(/25.0 % .*Relu$/);
  });
});
