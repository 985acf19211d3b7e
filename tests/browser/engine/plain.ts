/* temporary */
import { sizeOf } from '../../../src/core/dtype';
import { invariant } from '../../../src/core/errors';
import type { GpuDevice } from '../../../src/engine/device';
import type { Executor } from '../../../src/engine/executor';
import { analyse } from '../../../src/engine/plan';
import { fuse } from '../../../src/engine/plan/fuse';
import type { Fused, Group } from '../../../src/engine/plan/fuse';
import { KernelList } from '../../../src/engine/plan/kernels';
import { sourceOf } from '../../../src/engine/plan/source';
import type { Graph, Node, Tensor } from '../../../src/onnx/graph';
import { expandOps } from '../../../src/ops/expand-graph';
import { pruneUnused } from '../../../src/onnx/compose';
import type { DeviceTensor, LoweringContext, LoweringTable } from '../../../src/ops/lowering/plan';
import { ELEMENTWISE, product } from '../../../src/ops/elementwise/lowering';
import { MOVEMENT } from '../../../src/ops/movement/lowering';
import { INDEXING } from '../../../src/ops/indexing/lowering';
import { POSITIONS } from '../../../src/ops/positions/lowering';
import { POOLING, POOLING_GRADIENTS } from '../../../src/ops/pooling/lowering';
import { REDUCTION_KERNELS } from '../../../src/ops/reductions/lowering';
import { CONSTANTS } from '../../../src/ops/constants/lowering';
import { dropout } from '../../../src/ops/Dropout/lowering';
import { pad } from '../../../src/ops/Pad/lowering';
import { roiAlign } from '../../../src/ops/RoiAlign/lowering';
import { topK } from '../../../src/ops/TopK/lowering';
import { deviceArray } from '../../../src/engine/webgpu/arrays';

const TABLE: LoweringTable = {
  ...ELEMENTWISE, ...MOVEMENT, ...INDEXING, ...POSITIONS, ...POOLING, ...REDUCTION_KERNELS, ...CONSTANTS,
  ...POOLING_GRADIENTS, Dropout: dropout, Pad: pad, RoiAlign: roiAlign, TopK: topK, DropoutTrain: product,
};
export const has = (node: Node): boolean => Object.hasOwn(TABLE, node.op);
export async function plainRun(gpu: GpuDevice, graph0: Graph, feeds: ReadonlyMap<string, Float32Array | Int32Array>, software: boolean, fusing: boolean) {
  const graph = pruneUnused(expandOps(graph0, has));
  const { type, constants } = analyse(graph);
  const list = new KernelList({ software, subgroups: false, workgroupThreads: 256, workgroupBytes: 16384 });
  const tensors = new Map<string, DeviceTensor>();
  const data = new Map<number, Float32Array | Int32Array>();
  const tensor = (name: string): DeviceTensor => {
    const found = tensors.get(name);
    if (found) return found;
    const known: Tensor | undefined = constants.get(name);
    const array = known ? deviceArray(name, known) : feeds.get(name);
    invariant(array !== undefined, 'no value ' + name);
    const made = list.resident(type(name), known ? { kind: 'constant', data: array } : { kind: 'feed', name }, name);
    data.set(made.value, array);
    tensors.set(name, made);
    return made;
  };
  for (const node of graph.nodes) {
    if (node.outputs.every((name) => constants.has(name))) continue;
    const lowering = TABLE[node.op];
    invariant(lowering !== undefined, 'no lowering ' + node.op);
    const context: LoweringContext = { node, plan: list, type, constant: (i) => constants.get(node.inputs[i] ?? ''), tensor, producer: () => undefined };
    lowering(context).forEach((made, at) => { const n = node.outputs[at]; if (n) tensors.set(n, made); });
  }
  const outs = graph.outputs.map(({ name }) => [name, tensor(name)] as const);
  const plain: Group[] = list.kernels.map((k) => k.kind === 'pointwise'
    ? { core: undefined, epilogue: [{ kernel: k, on: undefined }], size: list.values[k.outputs[0] ?? -1]?.size ?? 0 }
    : { core: k, epilogue: [], size: 0 });
  const fused: Fused = fusing ? fuse(list.kernels, list.values, new Set(outs.map(([, t]) => t.value))) : { groups: plain, inlined: new Map(), values: list.values };
  const offsets: number[] = [];
  let size = 0;
  for (const v of list.values) { offsets.push(size); size += v.size + 7; }
  size = Math.max(size, 64);
  const buffers = [{ name: 'arena', binding: 0, writable: true, size }];
  const layout = { buffers, place: (v: number) => ({ buffer: 'arena', offset: offsets[v] ?? 0 }), keeps: () => true };
  const { device } = gpu;
  const bits = new Uint32Array(size).fill(0x7fc12345);
  for (const v of list.values) {
    const home = v.home;
    const d = data.get(v.id) ?? (home.kind === 'constant' ? home.data : undefined);
    if (d) bits.set(new Uint32Array(d.buffer, d.byteOffset, d.length), offsets[v.id] ?? 0);
  }
  const arena = device.createBuffer({ size: size * 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(arena, 0, bits);
  for (const group of fused.groups) {
    const { code, workgroups } = sourceOf(group, fused, layout, list.traits);
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } }).catch(async (e: unknown) => {
      const info = await module.getCompilationInfo();
      throw new Error(String(e) + info.messages.map((m) => `${m.lineNum}: ${m.message}`).join('\n') + code);
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    if (/arena/.test(code)) pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: arena } }] }));
    pass.dispatchWorkgroups(...workgroups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    if (error) throw new Error(error.message + code);
  }
  const back = device.createBuffer({ size: size * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(arena, 0, back, 0, size * 4);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const all = back.getMappedRange().slice(0);
  back.destroy(); arena.destroy();
  return new Map(outs.map(([name, t]) => {
    const n = sizeOf(t.dims);
    const o = (offsets[t.value] ?? 0) * 4;
    const arr = t.dtype === 'float32' ? new Float32Array(all, o, n) : new Int32Array(all, o, n);
    return [name, Float32Array.from(arr)];
  }));
}
