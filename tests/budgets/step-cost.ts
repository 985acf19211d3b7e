/** What one step of a model costs, counted on the stub device by running the very executor that trains. */
import { WebgpuExecutor } from '../../src/engine/webgpu/executor';
import { estimateStep } from '../../src/engine/plan/estimate';
import type { PlannedKernel } from '../../src/engine/plan/step-plan';
import type { GpuDevice } from '../../src/engine/device';
import { batchOf, feedsOf, rowsOf, trainingOf } from '../../bench/models';
import type { Model } from '../../bench/models';
import { StubDevice } from '../support/stub-device';
import type { Counts } from '../support/stub-device';

export interface StepCost {
  /** Of one step, its results read, after some others. */
  readonly counts: Counts;
  /** Features, labels and the weight of each row. */
  readonly batchBytes: number;
  /** Most bytes of device memory at any time, everything included. */
  readonly peakBytes: number;
  /** Read and written by all kernels of a step. */
  readonly movedBytes: number;
  readonly kernels: readonly PlannedKernel[];
  /** All that the step would take, told without a device. */
  readonly estimatedBytes: number;
  /** What the device holds when steps have run. */
  readonly heldBytes: number;
}

const WARM_UP = 5;

/** `software`: as on an emulated GPU, which is given other kernels. */
export async function stepCost(model: Model, software = false): Promise<StepCost> {
  const device = new StubDevice({ features: ['timestamp-query'] });
  const gpu: GpuDevice = {
    device,
    info: device.adapterInfo,
    label: device.label,
    software,
    failure: () => undefined,
    lost: new Promise(() => undefined),
    isLost: () => false,
    close: () => device.destroy(),
  };
  const executor = new WebgpuExecutor(gpu);
  const { graph, stateSpecs, initialState, updates } = trainingOf(model);
  const state = await executor.createState(stateSpecs);
  await state.write(initialState);
  const outputs = ['loss_numerator', 'loss_denominator', 'grad_norm', 'step_done'];
  const program = await executor.compile(graph, state, { updates, outputs });
  const batch = batchOf(model);
  const step = async (count: number) => {
    await program.step(feedsOf(model, count, batch)).read();
  };
  for (let count = 1; count <= WARM_UP; count++) await step(count);
  const before = device.snapshot();
  await step(WARM_UP + 1);
  const { counts } = device.since(before);
  const { kernels } = program.plan;
  const told = estimateStep(graph, stateSpecs, { updates, outputs });
  const { arena, state: held, feeds, constants, results } = told;
  return {
    counts,
    batchBytes: batch.features.byteLength + batch.labels.byteLength + rowsOf(model) * 4,
    peakBytes: device.peakBytes,
    movedBytes: kernels.reduce(
      (sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten,
      0,
    ),
    kernels,
    estimatedBytes: arena + held + feeds + constants + results,
    heldBytes: device.liveBytes,
  };
}
