/** Times the kernels of one step, by the device's own clock where it has one. */
import type { ProfiledBuffer, StepProfile } from '../../protocol/profile';
import type { GpuDevice } from '../device';
import type { StepPlan } from '../plan/step-plan';

type Clock = StepProfile['clock'];

export class Stopwatch {
  readonly #gpu: GpuDevice;
  readonly #queries: GPUQuerySet | undefined;
  readonly #timed = new Set<number>();
  readonly #count: number;
  readonly #micros: number[];

  constructor(gpu: GpuDevice, count: number) {
    this.#gpu = gpu;
    this.#count = count;
    this.#micros = new Array<number>(count).fill(0);
    const hasClock = gpu.device.features.has('timestamp-query') && count > 0 && count * 2 <= 4096;
    this.#queries = hasClock
      ? gpu.device.createQuerySet({ type: 'timestamp', count: count * 2 })
      : undefined;
  }

  /** Descriptor of the pass of one kernel. */
  pass(index: number): GPUComputePassDescriptor {
    if (this.#queries === undefined) return {};
    this.#timed.add(index);
    return {
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: index * 2,
        endOfPassWriteIndex: index * 2 + 1,
      },
    };
  }

  /** Without a clock of the device's own, each kernel is awaited. */
  async around(index: number, submit: () => void): Promise<void> {
    if (this.#timed.has(index)) {
      submit();
      return;
    }
    const { queue } = this.#gpu.device;
    await queue.onSubmittedWorkDone();
    const started = performance.now();
    submit();
    await queue.onSubmittedWorkDone();
    this.#micros[index] = (performance.now() - started) * 1000;
  }

  async read(): Promise<{ readonly micros: readonly number[]; readonly clock: Clock }> {
    if (this.#queries === undefined) return { micros: this.#micros, clock: 'wall' };
    const { device } = this.#gpu;
    const bytes = this.#count * 16;
    const resolved = device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const staging = device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, this.#count * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(GPUMapMode.READ);
      const nanoseconds = new BigUint64Array(staging.getMappedRange());
      for (const index of this.#timed) {
        const from = nanoseconds[index * 2] ?? 0n;
        const to = nanoseconds[index * 2 + 1] ?? 0n;
        // Clocks of some devices step back between passes.
        this.#micros[index] = to > from ? Number(to - from) / 1000 : 0;
      }
    } finally {
      this.#queries.destroy();
      resolved.destroy();
      staging.destroy();
    }
    return { micros: this.#micros, clock: 'timestamps' };
  }
}

interface Measured {
  readonly device: string;
  readonly planId: string;
  readonly stateBytes: number;
  readonly uploadedBytes: number;
  readonly submits: number;
  readonly micros: readonly number[];
  readonly clock: Clock;
  readonly stepMicros: number;
}

export function profileOf(plan: StepPlan, measured: Measured): StepProfile {
  const { stateBytes, uploadedBytes, submits, micros, ...rest } = measured;
  const last = Math.max(0, plan.kernels.length - 1);
  const whole = (name: string, kind: ProfiledBuffer['kind'], bytes: number): ProfiledBuffer => ({
    name,
    kind,
    bytes,
    offset: null,
    from: 0,
    to: last,
  });
  const cold = plan.kernels.filter(({ kind }) => kind === 'cold').length;
  return {
    executor: 'webgpu',
    ...rest,
    kernels: plan.kernels.map((kernel, index) => ({
      label: kernel.label,
      nodes: kernel.nodes,
      origins: kernel.origins,
      phase: kernel.phase,
      micros: micros[index] ?? 0,
      bytesRead: kernel.bytesRead,
      bytesWritten: kernel.bytesWritten,
      workgroups: kernel.kind === 'dispatch' ? kernel.workgroups.reduce((all, n) => all * n, 1) : 0,
      workgroupSize: kernel.kind === 'dispatch' ? kernel.workgroupSize : 0,
    })),
    memory: [
      whole('state', 'state', stateBytes),
      whole('feeds', 'feed', uploadedBytes),
      whole('constants', 'constant', plan.constants.byteLength),
      ...plan.memory,
    ],
    arenaBytes: plan.arenaBytes,
    counts: {
      dispatches: plan.kernels.length - cold,
      passes: submits + cold,
      submits: submits + cold,
      uploadedBytes,
    },
  };
}
