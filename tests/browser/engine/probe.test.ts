import { describe, expect, it, vi } from 'vitest';
import { describeAdapter, isSoftware, openDevice } from '../../../src/engine/device';
import { choose, probe } from '../../../src/engine/probe';

const adapter = (info: Partial<GPUAdapterInfo>): GPUAdapterInfo => ({
  __brand: 'GPUAdapterInfo',
  vendor: '',
  architecture: '',
  device: '',
  description: '',
  subgroupMinSize: 4,
  subgroupMaxSize: 4,
  isFallbackAdapter: false,
  ...info,
});

describe('probe', () => {
  it('measures both executors here and says which is better', async () => {
    const labels: string[] = [];
    const start = performance.now();
    const report = await probe(({ label }) => labels.push(label));
    console.log(JSON.stringify(report), `${Math.round(performance.now() - start)} ms`);
    expect(report.wasm.gflops).toBeGreaterThan(0.01);
    const cores = navigator.hardwareConcurrency;
    expect(report.wasm.threads).toBe(Math.max(Math.min(2, cores), cores - 1));
    expect(report.webgpu?.gflops).toBeGreaterThan(0.01);
    expect(report.webgpu?.stepMs).toBeGreaterThan(0);
    expect(report.reason).toMatch(/^[A-Z].*\.$/);
    expect(labels).toContain('Trying the graphics processor');
    if (report.webgpu?.software) expect(report.reason).toMatch(/emulated in software/);
  });

  it('takes the processor where there is no WebGPU', async () => {
    const gpu = vi.spyOn(navigator, 'gpu', 'get').mockReturnValue({
      requestAdapter: () => Promise.resolve(null),
    } as GPU);
    const report = await probe(() => undefined);
    gpu.mockRestore();
    expect(report).toMatchObject({ chosen: 'wasm', webgpu: null });
    expect(report.reason).toMatch(/no graphics processor/);
  });

  it('weighs small operations and arithmetic', () => {
    const wasm = { gflops: 20, stepMs: 1 };
    const hardware = { gflops: 900, stepMs: 2, software: false };
    expect(choose(hardware, wasm)).toEqual({
      chosen: 'webgpu',
      reason: 'The graphics processor was about 3 times as fast as the processor in a short trial.',
    });
    expect(choose({ ...hardware, stepMs: 40 }, wasm).chosen).toBe('wasm');
    expect(choose({ gflops: 1, stepMs: 20, software: true }, wasm).reason).toBe(
      'The graphics processor here is emulated in software, so the processor is faster.',
    );
    expect(choose('failed', wasm)).toMatchObject({ chosen: 'wasm' });
  });
});

describe('device', () => {
  it('recognises emulated adapters', () => {
    expect(isSoftware(adapter({ vendor: 'google', architecture: 'swiftshader' }))).toBe(true);
    expect(isSoftware(adapter({ description: 'llvmpipe (LLVM 15.0.6, 256 bits)' }))).toBe(true);
    expect(isSoftware(adapter({ vendor: 'amd', isFallbackAdapter: true }))).toBe(true);
    expect(isSoftware(adapter({ vendor: 'apple', architecture: 'metal-3' }))).toBe(false);
    expect(describeAdapter(adapter({ vendor: 'google', architecture: 'swiftshader' }))).toBe(
      'google swiftshader (emulated in software)',
    );
    expect(describeAdapter(adapter({}))).toBe('graphics processor');
  });

  it('opens and closes without calling that a loss', async () => {
    const gpu = await openDevice();
    expect(gpu).not.toBeNull();
    let lost = false;
    void gpu?.lost.then(() => (lost = true));
    gpu?.close();
    await gpu?.device.lost;
    expect(gpu?.isLost()).toBe(true);
    expect(lost).toBe(false);
  });
});
