/**
 * A graph compiled for the graphics processor: each node's lowering is prepared once, then the list is replayed
 * every step with the state's own buffers and feeds written in place. Values are freed after their last use, and
 * a step ends with one submit, so the next step's feeds cannot overtake it.
 */
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { Graph, Node } from '../../onnx/graph';
import { alias, deviceType } from '../../ops/lowering/tfjs';
import type { Run } from '../../ops/lowering/tfjs';
import type { GpuDevice } from '../device';
import type { CompileOptions, Feeds, Program } from '../executor';
import { isOptimiser, readOptimiser } from '../optimiser';
import { analyse, checkFeeds, nodesFor } from '../plan';
import type { ConcreteType } from '../plan';
import { deviceArray } from './arrays';
import { boundInputs, loweringOf } from './lowerings';
import { WebgpuOptimiser } from './optimiser';
import { deviceLost } from './read';
import { freeResident, makeResident } from './state';
import type { ResidentTensor, WebgpuState } from './state';
import { WebgpuTicket } from './ticket';

/** Unread tickets that may stay open. */
const OPEN_TICKETS = 256;

interface Action {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly run: Run | WebgpuOptimiser;
  /** Values that nothing needs after this action. */
  readonly dead: readonly string[];
}

interface Copy {
  readonly value: string;
  readonly target: ResidentTensor;
}

export interface CompiledGraph {
  readonly backend: WebGPUBackend;
  readonly gpu: GpuDevice;
  readonly graph: Graph;
  readonly state: WebgpuState;
  readonly options: CompileOptions;
}

export class WebgpuProgram implements Program {
  readonly #gpu: GpuDevice;
  readonly #backend: WebGPUBackend;
  readonly #actions: readonly Action[];
  readonly #feeds: ReadonlyMap<string, ResidentTensor & { readonly type: ConcreteType }>;
  readonly #constants: readonly ResidentTensor[];
  readonly #resident: ReadonlyMap<string, TensorInfo>;
  readonly #copies: readonly Copy[];
  readonly #outputs: readonly string[];
  readonly #tickets: WebgpuTicket[] = [];
  #steps = 0;
  #disposed = false;

  static async compile(compiled: CompiledGraph): Promise<WebgpuProgram> {
    const node = compiled.graph.nodes.find(isOptimiser);
    const optimiser = node
      ? await WebgpuOptimiser.create(compiled.backend, compiled.state, readOptimiser(node))
      : undefined;
    return new WebgpuProgram(compiled, optimiser);
  }

  private constructor(compiled: CompiledGraph, optimiser: WebgpuOptimiser | undefined) {
    const { backend, gpu, graph, state, options } = compiled;
    this.#backend = backend;
    this.#gpu = gpu;
    this.#outputs = options.outputs;
    const { type, constants: known } = analyse(graph);
    const wanted = [...options.outputs, ...options.updates.values()];
    const computed = graph.nodes.filter(({ outputs }) => !outputs.every((name) => known.has(name)));
    const needed = nodesFor(computed, wanted);
    const isEmpty = (name: string) => sizeOf(type(name).dims) === 0;
    // Nothing is to be computed for a value without elements, and the device binds no empty buffer.
    const nodes = needed.filter((node) => !outputsOf(node).every(isEmpty));
    // It writes in place, so nothing may read the old weights after it.
    invariant(!nodes.slice(0, -1).some(isOptimiser), 'The optimiser must be the last node.');

    const resident = new Map<string, TensorInfo>();
    const feeds = new Map<string, ResidentTensor & { readonly type: ConcreteType }>();
    for (const { name } of graph.inputs) {
      const entry = state.entry(name);
      if (entry !== undefined) {
        resident.set(name, entry.info);
        continue;
      }
      const declared = type(name);
      const tensor = makeResident(backend, declared.dims, deviceType(declared.dtype), name);
      feeds.set(name, { ...tensor, type: declared });
      resident.set(name, tensor.info);
    }
    const constants: ResidentTensor[] = [];
    const bound = (node: Node) => boundInputs(node, (name) => known.has(name));
    const used = new Set(nodes.flatMap(bound).concat(wanted));
    for (const [name, tensor] of known) {
      if (!used.has(name)) continue;
      const constant = makeResident(backend, tensor.dims, deviceType(tensor.dtype), name);
      gpu.device.queue.writeBuffer(constant.buffer, 0, deviceArray(name, tensor));
      constants.push(constant);
      resident.set(name, constant.info);
    }
    for (const name of needed.flatMap(outputsOf)) {
      if (!isEmpty(name)) continue;
      const empty = makeResident(backend, type(name).dims, deviceType(type(name).dtype), name);
      constants.push(empty);
      resident.set(name, empty.info);
    }
    this.#feeds = feeds;
    this.#constants = constants;
    this.#resident = resident;

    const prepare = (node: Node): Run | WebgpuOptimiser => {
      if (isOptimiser(node) && optimiser !== undefined) return optimiser;
      const lowering = loweringOf(node);
      if (lowering === undefined) {
        throw new AppError(
          'engine/unsupported',
          `The graphics processor cannot run ${node.op} ("${node.name}") yet. Choose the processor instead.`,
          { op: node.op, node: node.name },
        );
      }
      return lowering({
        backend,
        software: gpu.software,
        node,
        type,
        constant: (index) => known.get(node.inputs[index] ?? ''),
      });
    };
    const inPlace = new Map(
      (optimiser?.plan.weights ?? []).flatMap(({ weight, moments, outputs }) =>
        [weight, ...moments].map((name, index) => [name, outputs[index] ?? ''] as const),
      ),
    );
    const copies: Copy[] = [];
    for (const [entry, value] of options.updates) {
      if (inPlace.get(entry) === value) continue;
      const target = state.entry(entry);
      invariant(target !== undefined, `"${entry}" is to be updated, but is not in the state.`);
      copies.push({ value, target });
    }
    this.#copies = copies;

    const kept = new Set([...options.outputs, ...copies.map(({ value }) => value)]);
    const lastUse = new Map<string, number>();
    nodes.forEach((node, index) => {
      for (const name of [...node.inputs, ...node.outputs]) lastUse.set(name, index);
    });
    this.#actions = nodes.map((node, index) => {
      const names = new Set([...node.inputs, ...node.outputs]);
      const dead = [...names].filter(
        (name) => lastUse.get(name) === index && !resident.has(name) && !kept.has(name),
      );
      const { outputs, name } = node;
      return { name, inputs: bound(node), outputs, run: prepare(node), dead };
    });
  }

  get stats(): Readonly<Record<string, number>> {
    return {
      steps: this.#steps,
      nodes: this.#actions.length,
      liveTensors: this.#backend.numDataIds(),
      openTickets: this.#tickets.filter((ticket) => ticket.open).length,
    };
  }

  step(feeds: Feeds): WebgpuTicket {
    invariant(!this.#disposed, 'A step was asked of a Program that is disposed.');
    if (this.#gpu.isLost()) throw deviceLost();
    const backend = this.#backend;
    checkFeeds(
      feeds,
      [...this.#feeds].map(([name, { type }]) => ({ name, ...type })),
    );
    for (const [name, { buffer }] of this.#feeds) {
      const data = feeds.get(name);
      if (data !== undefined) this.#gpu.device.queue.writeBuffer(buffer, 0, owned(data));
    }
    const values = new Map<string, TensorInfo>();
    const value = (name: string): TensorInfo => {
      const found = values.get(name) ?? this.#resident.get(name);
      invariant(found !== undefined, `The value "${name}" is used before it is computed.`);
      return found;
    };
    for (const { inputs, outputs, run, dead } of this.#actions) {
      if (run instanceof WebgpuOptimiser) {
        const { gradNorm, stepDone } = run.run(value);
        values.set(run.plan.gradNorm, gradNorm);
        values.set(run.plan.stepDone, stepDone);
      } else {
        const results = run(inputs.map((name) => (name === '' ? undefined : value(name))));
        results.forEach((info, index) => {
          const name = outputs[index] ?? '';
          if (name === '') backend.disposeData(info.dataId);
          else values.set(name, info);
        });
      }
      for (const name of dead) this.#free(values, name);
    }
    const outputs = this.#outputs.map((name) => ({ name, info: this.#keep(value(name)) }));
    this.#finish(value);
    for (const name of [...values.keys()]) this.#free(values, name);
    this.#steps++;
    const ticket = new WebgpuTicket(backend, this.#gpu, outputs);
    this.#remember(ticket);
    return ticket;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const ticket of this.#tickets) ticket.release();
    for (const { run } of this.#actions) if (run instanceof WebgpuOptimiser) run.dispose();
    for (const tensor of [...this.#feeds.values(), ...this.#constants]) {
      freeResident(this.#backend, tensor);
    }
  }

  /** One more reference for the ticket; a copy where the buffer will be overwritten by later steps. */
  #keep(info: TensorInfo): TensorInfo {
    const { external } = this.#backend.tensorMap.get(info.dataId);
    const own = alias(this.#backend, info, info.shape);
    if (external !== true || sizeOf(info.shape) === 0) return own;
    const copy = this.#copyOf(own);
    this.#backend.disposeData(own.dataId);
    return copy;
  }

  #copyOf(info: TensorInfo): TensorInfo {
    const source = this.#bufferOf(info);
    const copy = this.#backend.makeTensorInfo([...info.shape], info.dtype);
    const buffer = this.#bufferOf(copy);
    this.#submit();
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, buffer, 0, sizeOf(info.shape) * 4);
    this.#gpu.device.queue.submit([encoder.finish()]);
    return copy;
  }

  /** Copies what replaces state entries, and hands everything recorded to the device. */
  #finish(value: (name: string) => TensorInfo): void {
    this.#submit();
    if (this.#copies.length === 0) return;
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'state' });
    for (const { value: name, target } of this.#copies) {
      const info = value(name);
      if (info.dataId === target.info.dataId) continue;
      encoder.copyBufferToBuffer(this.#bufferOf(info), 0, target.buffer, 0, target.buffer.size);
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  #submit(): void {
    this.#backend.ensureCommandEncoderReady();
    this.#backend.endComputePassEncoder();
    this.#backend.submitQueue();
  }

  #bufferOf(info: TensorInfo): GPUBuffer {
    this.#backend.uploadToGPU(info.dataId);
    const { resource } = this.#backend.tensorMap.get(info.dataId);
    invariant(resource instanceof GPUBuffer, 'A tensor has no buffer.');
    return resource;
  }

  #free(values: Map<string, TensorInfo>, name: string): void {
    const info = values.get(name);
    if (info === undefined) return;
    this.#backend.disposeData(info.dataId);
    values.delete(name);
  }

  #remember(ticket: WebgpuTicket): void {
    this.#tickets.push(ticket);
    while (this.#tickets[0]?.open === false) this.#tickets.shift();
    if (this.#tickets.length > OPEN_TICKETS) this.#tickets.shift()?.release();
  }
}

const outputsOf = (node: Node): string[] => node.outputs.filter((name) => name !== '');

/** A view that WebGPU takes: not over shared memory. */
function owned(
  data: Float32Array | Int32Array,
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  if (data.buffer instanceof ArrayBuffer) {
    return data as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
  }
  return data instanceof Float32Array ? new Float32Array(data) : new Int32Array(data);
}
