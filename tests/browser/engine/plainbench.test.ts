
import { it } from 'vitest';
import { openDevice } from '../../../src/engine/device';
import { KernelList } from '../../../src/engine/plan/kernels';
import { sourceOf } from '../../../src/engine/plan/source';
import { reduce } from '../../../src/ops/reductions/reduce';
it('bench', { timeout: 300000 }, async () => {
  const gpu = await openDevice();
  if (!gpu) throw new Error('x');
  const { device } = gpu;
  for (const [dims, axes] of [[[128],[0]],[[4096],[0]],[[65536],[0]],[[256,128],[0]],[[32,16,28,28],[0,2,3]],[[64,8,12,12],[0,2,3]],[[2048,256],[1]],[[2048,256],[0]],[[8192,64],[0]],[[512,64],[0]],[[4,262144],[1]],[[1048576],[0]]] as [number[], number[]][]) {
    const results: string[] = [];
    const runs: { name: string; go: (n: number) => Promise<number>; times: number[] }[] = [];
    for (const form of ['threads', 'parts', 'groups', 'split']) {
      const list = new KernelList({ software: form === 'threads' || form === 'parts', subgroups: false, workgroupThreads: 256, workgroupBytes: 16384 }, () => form);
      const x = list.resident({ dtype: 'float32', dims }, { kind: 'feed', name: 'x' }, 'x');
      reduce(list, { label: 'r', inputs: [x], dims, axes, combine: 'sum', element: 'x0(i)', output: { dtype: 'float32', dims: dims.filter((_, a) => !axes.includes(a)) } });
      const offsets: number[] = [];
      let size = 0;
      for (const v of list.values) { offsets.push(size); size += Math.ceil(v.size / 64) * 64; }
      const arena = device.createBuffer({ size: size * 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
      device.queue.writeBuffer(arena, 0, new Float32Array(size).fill(1));
      const layout = { buffers: [{ name: 'arena', binding: 0, writable: true, size }], place: (v: number) => ({ buffer: 'arena', offset: offsets[v] ?? 0 }), keeps: () => true };
      const made = list.kernels.map((core) => {
        if (core.kind !== 'core') throw new Error('k');
        const d = sourceOf({ core, epilogue: [], size: 0 }, { groups: [], inlined: new Map(), values: list.values }, layout, list.traits);
        const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code: d.code }) } });
        const bind = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: arena } }] });
        return { pipeline, bind, workgroups: d.workgroups };
      });
      const go = async (n: number) => {
        const t = performance.now();
        const e = device.createCommandEncoder();
        const p = e.beginComputePass();
        for (let i = 0; i < n; i++) for (const { pipeline, bind, workgroups } of made) { p.setPipeline(pipeline); p.setBindGroup(0, bind); p.dispatchWorkgroups(...workgroups); }
        p.end();
        device.queue.submit([e.finish()]);
        await device.queue.onSubmittedWorkDone();
        return (performance.now() - t) / n;
      };
      await go(2);
      runs.push({ name: form + '/' + made.map((m) => m.workgroups[0]).join('+'), go, times: [] });
    }
    for (let r = 0; r < 9; r++) for (const run of runs) run.times.push(await run.go(10));
    for (const run of runs) { run.times.sort((a, b) => a - b); results.push(`${run.name} ${run.times[4]?.toFixed(3)}`); }
    console.log(JSON.stringify(dims), axes.join(), results.join(' | '));
  }
});
