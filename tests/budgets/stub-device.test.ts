/** The stub counts what is done to it, and refuses what a browser refuses. */
import { describe, expect, it } from 'vitest';
import { StubDevice } from '../support/stub-device';

const CODE = '@compute @workgroup_size(8, 8) fn main() {}';

function setUp(options: ConstructorParameters<typeof StubDevice>[0] = {}) {
  const device = new StubDevice(options);
  const buffer = (size: number, usage = GPUBufferUsage.STORAGE, label = 'data') =>
    device.createBuffer({ size, usage, label });
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } },
      { binding: 1, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'read-only-storage' } },
    ],
  });
  const pipeline = device.createComputePipeline({
    label: 'double',
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ code: CODE }), entryPoint: 'main' },
  });
  const group = (a: GPUBindingResource, b: GPUBindingResource) =>
    device.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: a },
        { binding: 1, resource: b },
      ],
    });
  return { device, buffer, layout, pipeline, group };
}

describe('the stub device', () => {
  it('counts one step exactly', () => {
    const { device, buffer, pipeline, group } = setUp();
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const [a, b] = [buffer(1024, usage), buffer(512, usage)];
    const bound = group({ buffer: a }, { buffer: b });
    const before = device.snapshot();

    device.queue.writeBuffer(b, 4, new Float32Array(10), 2, 3);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setBindGroup(0, bound);
    pass.setPipeline(pipeline);
    pass.dispatchWorkgroups(3);
    pass.dispatchWorkgroups(2, 5, 7);
    pass.end();
    encoder.copyBufferToBuffer(a, 0, b, 256, 128);
    device.queue.submit([encoder.finish()]);

    const { counts, dispatches } = device.since(before);
    expect(counts).toMatchObject({
      calls: 11,
      buffers: 0,
      pipelines: 0,
      bindGroups: 0,
      encoders: 1,
      passes: 1,
      dispatches: 2,
      submits: 1,
      copies: 1,
      copiedBytes: 128,
      uploads: 1,
      uploadedBytes: 12,
    });
    expect(dispatches.map(({ label, workgroups }) => [label, ...workgroups])).toEqual([
      ['double', 3, 1, 1],
      ['double', 2, 5, 7],
    ]);
    expect(dispatches[0]?.workgroupSize).toBe(64);
  });

  it('knows the most bytes that lived together', () => {
    const { device, buffer } = setUp();
    const first = buffer(1000);
    buffer(24);
    expect([device.liveBytes, device.peakBytes, device.liveBuffers]).toEqual([1024, 1024, 2]);
    first.destroy();
    first.destroy();
    expect([device.liveBytes, device.peakBytes, device.liveBuffers]).toEqual([24, 1024, 1]);
    buffer(100);
    expect(device.peakBytes).toBe(1024);
    device.resetPeak();
    expect(device.peakBytes).toBe(124);
  });

  it('maps zeros, or what it is told', async () => {
    const { buffer } = setUp();
    const zeros = buffer(8, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    await zeros.mapAsync(GPUMapMode.READ);
    expect([...new Float32Array(zeros.getMappedRange())]).toEqual([0, 0]);
    zeros.unmap();
    const told = setUp({ fill: (_, bytes) => new Float32Array(bytes).fill(3) });
    const threes = told.buffer(8, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    await threes.mapAsync(GPUMapMode.READ);
    expect([...new Float32Array(threes.getMappedRange())]).toEqual([3, 3]);
  });

  it('is lost when it is taken away', async () => {
    const { device } = setUp();
    device.lose('unplugged');
    expect(await device.lost).toMatchObject({ reason: 'unknown', message: 'unplugged' });
  });

  it('refuses what is outside, of another use, or gone', () => {
    const { device, buffer } = setUp();
    const target = buffer(16, GPUBufferUsage.COPY_DST, 'target');
    const write = (to: GPUBuffer, at: number, data: BufferSource) =>
      device.queue.writeBuffer(to, at, data);
    expect(() => write(target, 8, new Float32Array(3))).toThrow('outside of buffer "target"');
    expect(() => write(target, 0, new Uint8Array(3))).toThrow('do not divide by 4');
    expect(() => write(buffer(16), 0, new Float32Array(1))).toThrow('not made for COPY_DST');
    const encoder = device.createCommandEncoder();
    encoder.clearBuffer(target);
    target.destroy();
    expect(() => device.queue.submit([encoder.finish()])).toThrow('"target" is destroyed');
    expect(() => buffer(2 ** 40)).toThrow('cannot have');
  });

  it('refuses a dispatch that a real device would not run', () => {
    const { device, buffer, pipeline, group, layout } = setUp({
      limits: { maxComputeWorkgroupsPerDimension: 100 },
    });
    const [a, b] = [buffer(1024), buffer(1024)];
    const dispatch = (bound: GPUBindGroup | null, count: number) => {
      const pass = device.createCommandEncoder().beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bound);
      pass.dispatchWorkgroups(count);
    };
    expect(() => dispatch(group({ buffer: a }, { buffer: b }), 100)).not.toThrow();
    expect(() => dispatch(group({ buffer: a }, { buffer: b }), 101)).toThrow('101 workgroups');
    expect(() => dispatch(group({ buffer: a }, { buffer: b }), 0)).toThrow('0 workgroups');
    expect(() => dispatch(null, 1)).toThrow('without its bind group 0');
    const overlapping = group({ buffer: a, size: 512 }, { buffer: a, offset: 256 });
    expect(() => dispatch(overlapping, 1)).toThrow('bound for writing and once more');
    const beside = group({ buffer: a, size: 512 }, { buffer: a, offset: 512 });
    expect(() => dispatch(beside, 1)).not.toThrow();
    expect(() => group({ buffer: a, offset: 4 }, { buffer: b })).toThrow('begins at byte 4');
    expect(() =>
      device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: a } }] }),
    ).toThrow('has 1 entries');
  });

  it('refuses commands out of order', () => {
    const { device, pipeline } = setUp();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    expect(() => encoder.finish()).toThrow('still open');
    pass.end();
    expect(() => pass.setPipeline(pipeline)).toThrow('has ended');
    const commands = encoder.finish();
    expect(() => encoder.finish()).toThrow('is finished');
    device.queue.submit([commands]);
    expect(() => device.queue.submit([commands])).toThrow('twice');
    expect(() => device.createQuerySet({ type: 'timestamp', count: 2 })).toThrow('timestamp-query');
  });
});
