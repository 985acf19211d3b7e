/** A small profiled step with figures that are easy to add up: two layers, their gradients, one update. */
import type {
  ProfiledBuffer,
  ProfiledKernel,
  RunProfile,
  StepProfile,
} from '../../src/protocol/profile';

export function kernel(
  change: Partial<ProfiledKernel> & Pick<ProfiledKernel, 'label'>,
): ProfiledKernel {
  return {
    nodes: [],
    phase: 'forward',
    micros: 0,
    bytesRead: 0,
    bytesWritten: 0,
    workgroups: 1,
    workgroupSize: 64,
    ...change,
  };
}

export const KERNELS: readonly ProfiledKernel[] = [
  kernel({
    label: 'Gemm + Relu',
    nodes: ['dense1.gemm', 'dense1.relu'],
    micros: 300,
    bytesRead: 2_000,
    bytesWritten: 1_000,
  }),
  kernel({
    label: 'Gemm',
    nodes: ['output.gemm'],
    micros: 100,
    bytesRead: 1_500,
    bytesWritten: 500,
  }),
  kernel({
    label: 'SoftmaxCrossEntropy',
    nodes: ['SoftmaxCrossEntropy_0'],
    micros: 20,
    bytesRead: 500,
  }),
  kernel({
    label: 'Gemm',
    nodes: ['Gemm_1', 'Transpose_1'],
    origins: ['output.gemm'],
    phase: 'backward',
    micros: 200,
    bytesRead: 1_000,
    bytesWritten: 1_000,
  }),
  kernel({
    label: 'Gemm + Mul',
    nodes: ['Gemm_2', 'Mul_0'],
    origins: ['dense1.gemm', 'dense1.relu'],
    phase: 'backward',
    micros: 380,
    bytesRead: 3_000,
    bytesWritten: 2_000,
  }),
  kernel({
    label: 'AdamW',
    nodes: ['AdamW_0'],
    phase: 'update',
    micros: 0,
    bytesRead: 8_000,
    bytesWritten: 6_000,
  }),
];

export function buffer(
  name: string,
  kind: ProfiledBuffer['kind'],
  bytes: number,
  from: number,
  to: number,
): ProfiledBuffer {
  return { name, kind, bytes, offset: null, from, to };
}

export const STEP: StepProfile = {
  executor: 'webgpu',
  device: 'a test device',
  planId: 'plan-1',
  clock: 'timestamps',
  stepMicros: 2_000,
  kernels: KERNELS,
  memory: [
    buffer('dense1.weight', 'state', 4_000, 0, 5),
    buffer('features', 'feed', 500, 0, 4),
    buffer('dense1_out', 'activation', 1_000, 0, 4),
    buffer('logits', 'activation', 500, 1, 2),
    buffer('logits_grad', 'activation', 500, 2, 4),
    buffer('output.weight/grad', 'gradient', 1_000, 3, 5),
    buffer('dense1.weight/grad', 'gradient', 2_000, 4, 5),
  ],
  arenaBytes: 2_048,
  counts: { dispatches: 6, passes: 2, submits: 1, uploadedBytes: 516 },
};

export const PROFILE: RunProfile = {
  steps: 10,
  step: STEP,
  modelNodes: ['dense1.gemm', 'dense1.relu', 'output.gemm'],
};
