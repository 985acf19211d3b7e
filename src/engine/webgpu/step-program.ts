/**
 * A step plan on a device: buffers, pipelines and bind groups are made once, and a step then only uploads its feeds
 * and replays the list. Nothing is created while steps run.
 */
import { invariant } from '../../core/errors';
import type { StepProfile } from '../../protocol/profile';
import type { CompileOptions, Feeds, Program } from '../executor';
import type { GpuDevice } from '../device';
import { checkFeeds } from '../analysis';
import type { PlannedDispatch, PlannedKernel, StepPlan } from '../plan/step-plan';
import type { ColdKernels, ColdRun } from './cold';
import type { Pipelines } from './pipelines';
import { profileOf, Stopwatch } from './profile';
import type { DeviceMemory } from './device-memory';
import { deviceLost } from './read';
import type { StagingPool } from './read';
import type { FlatState } from './flat-state';
import { ResultRing } from './result-ring';
import type { StepTicket } from './result-ring';

/** Kernels handed to the device at once: it begins while the rest is still being recorded. */
const SUBMIT_AFTER = 64;

interface Ready {
  readonly kernel: PlannedDispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

type Action = Ready | ColdRun;

export interface StepProgramParts {
  readonly gpu: GpuDevice;
  readonly plan: StepPlan;
  readonly planId: string;
  readonly state: FlatState;
  readonly memory: DeviceMemory;
  readonly pipelines: Pipelines;
  readonly staging: StagingPool;
  /** tfjs, where the plan needs it. */
  readonly cold: () => Promise<ColdKernels>;
  readonly onProgress?: CompileOptions['onProgress'];
}

export class StepProgram implements Program {
  readonly plan: StepPlan;
  readonly #gpu: GpuDevice;
  readonly #memory: DeviceMemory;
  readonly planId: string;
  readonly #actions: readonly Action[];
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #upload: Uint8Array<ArrayBuffer>;
  readonly #ring: ResultRing;
  #steps = 0;
  #disposed = false;

  static async compile(parts: StepProgramParts): Promise<StepProgram> {
    const { gpu, plan, state, memory } = parts;
    const { device } = gpu;
    const buffers = new Map(
      plan.buffers.map(({ name, size }) => [
        name,
        name === 'state'
          ? state.buffer
          : memory.make(
              name,
              size * 4,
              GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
            ),
      ]),
    );
    const constants = buffers.get('constants');
    invariant(constants !== undefined, 'A plan has a buffer of constants.');
    device.queue.writeBuffer(constants, 0, plan.constants);
    try {
      const actions = await prepare(parts, buffers);
      return new StepProgram(parts, buffers, actions);
    } catch (error) {
      for (const [name, buffer] of buffers) if (name !== 'state') memory.free(buffer);
      throw error;
    }
  }

  private constructor(
    { gpu, plan, planId, memory, staging }: StepProgramParts,
    buffers: ReadonlyMap<string, GPUBuffer>,
    actions: readonly Action[],
  ) {
    this.plan = plan;
    this.#gpu = gpu;
    this.#memory = memory;
    this.planId = planId;
    this.#actions = actions;
    this.#buffers = buffers;
    this.#upload = new Uint8Array(feedBytes(plan));
    this.#ring = new ResultRing(gpu, memory, staging, plan.results);
  }

  get stats(): Readonly<Record<string, number>> {
    return {
      steps: this.#steps,
      kernels: this.#actions.length,
      arenaBytes: this.plan.arenaBytes,
      openTickets: this.#ring.open,
    };
  }

  step(feeds: Feeds): StepTicket {
    this.#begin(feeds);
    const { device } = this.#gpu;
    let encoder = device.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    let recorded = 0;
    let group: GPUBindGroup | undefined;
    let pipeline: GPUComputePipeline | undefined;
    const submit = (): void => {
      pass?.end();
      pass = undefined;
      device.queue.submit([encoder.finish()]);
      recorded = 0;
    };
    for (const action of this.#actions) {
      if ('run' in action) {
        pass?.end();
        pass = undefined;
        action.bring(encoder);
        submit();
        action.run();
        encoder = device.createCommandEncoder();
        action.take(encoder);
        continue;
      }
      if (recorded >= SUBMIT_AFTER) {
        submit();
        encoder = device.createCommandEncoder();
      }
      if (pass === undefined) {
        pass = encoder.beginComputePass();
        group = pipeline = undefined;
      }
      if (pipeline !== action.pipeline) pass.setPipeline((pipeline = action.pipeline));
      if (group !== action.group) pass.setBindGroup(0, (group = action.group));
      const [x, y, z] = action.kernel.workgroups;
      if (z > 1) pass.dispatchWorkgroups(x, y, z);
      else if (y > 1) pass.dispatchWorkgroups(x, y);
      else pass.dispatchWorkgroups(x);
      recorded++;
    }
    pass?.end();
    pass = undefined;
    const ticket = this.#ring.take(encoder, this.#buffer('results'));
    submit();
    this.#steps++;
    return ticket;
  }

  async profile(
    feeds: Feeds,
  ): Promise<{ readonly ticket: StepTicket; readonly profile: StepProfile }> {
    const started = performance.now();
    this.#begin(feeds);
    const { device } = this.#gpu;
    const watch = new Stopwatch(this.#gpu, this.#actions.length);
    for (const [index, action] of this.#actions.entries()) {
      const encoder = device.createCommandEncoder();
      if ('run' in action) {
        action.bring(encoder);
        device.queue.submit([encoder.finish()]);
        await watch.around(index, () => action.run());
        const after = device.createCommandEncoder();
        action.take(after);
        device.queue.submit([after.finish()]);
        continue;
      }
      const pass = encoder.beginComputePass(watch.pass(index));
      pass.setPipeline(action.pipeline);
      pass.setBindGroup(0, action.group);
      pass.dispatchWorkgroups(...action.kernel.workgroups);
      pass.end();
      await watch.around(index, () => device.queue.submit([encoder.finish()]));
    }
    const encoder = device.createCommandEncoder();
    const ticket = this.#ring.take(encoder, this.#buffer('results'));
    device.queue.submit([encoder.finish()]);
    this.#steps++;
    const { micros, clock } = await watch.read();
    const stepMicros = (performance.now() - started) * 1000;
    const profile = profileOf(this.plan, {
      device: this.#gpu.label,
      planId: this.planId,
      stateBytes: this.#buffer('state').size,
      uploadedBytes: this.#upload.byteLength,
      submits: Math.ceil(this.#actions.length / SUBMIT_AFTER),
      micros,
      clock,
      stepMicros,
    });
    return { ticket, profile };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#ring.dispose();
    for (const action of this.#actions) if ('run' in action) action.dispose();
    for (const [name, buffer] of this.#buffers) if (name !== 'state') this.#memory.free(buffer);
  }

  /** One upload for all feeds. */
  #begin(feeds: Feeds): void {
    invariant(!this.#disposed, 'A step was asked of a Program that is disposed.');
    if (this.#gpu.isLost()) throw deviceLost();
    checkFeeds(feeds, this.plan.wanted);
    for (const { name, offset } of this.plan.feeds) {
      const data = feeds.get(name);
      if (data === undefined) continue;
      this.#upload.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset * 4);
    }
    if (this.#upload.byteLength > 0) {
      this.#gpu.device.queue.writeBuffer(this.#buffer('feeds'), 0, this.#upload);
    }
  }

  #buffer(name: string): GPUBuffer {
    const buffer = this.#buffers.get(name);
    invariant(buffer !== undefined, `The plan has no buffer "${name}".`);
    return buffer;
  }
}

const feedBytes = ({ feeds }: StepPlan): number =>
  Math.max(0, ...feeds.map(({ offset, size }) => (offset + size) * 4));

/** Compiles all kernels side by side; two bind groups serve them, one with the State open for writing. */
async function prepare(
  { gpu, plan, pipelines, cold, onProgress }: StepProgramParts,
  buffers: ReadonlyMap<string, GPUBuffer>,
): Promise<Action[]> {
  const entries = plan.buffers.map(({ name, binding }) => {
    const buffer = buffers.get(name);
    invariant(buffer !== undefined, `The plan has no buffer "${name}".`);
    return { binding, resource: { buffer } };
  });
  const bound = (writesState: boolean): GPUBindGroup => {
    const { group: layout } = pipelines.layouts(plan, writesState);
    return gpu.device.createBindGroup({ layout, entries });
  };
  const [reading, writing] = [bound(false), bound(true)];
  let done = 0;
  const actions = plan.kernels.map(async (kernel: PlannedKernel): Promise<Action> => {
    if (kernel.kind === 'cold') return (await cold()).prepare(kernel, buffers);
    const pipeline = await pipelines.compile(plan, kernel);
    onProgress?.(++done, plan.kernels.length);
    return { kernel, pipeline, group: kernel.writesState ? writing : reading };
  });
  // All are awaited, so that a second refusal is not called unhandled.
  const settled = await Promise.allSettled(actions);
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}
