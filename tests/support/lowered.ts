/** What the lowering of one operator adds to a plan, without a device. */
import type { DType } from '../../src/core/dtype';
import { analyse } from '../../src/engine/analysis';
import { KernelList } from '../../src/engine/plan/kernels';
import type { PlanKernel } from '../../src/engine/plan/kernels';
import { GraphBuilder } from '../../src/onnx/builder';
import { TRAINING_DOMAIN } from '../../src/onnx/graph';
import type { Attribute, Tensor } from '../../src/onnx/graph';
import { infer, staticType } from '../../src/ops/infer-shapes';
import type {
  DeviceTensor,
  DeviceTraits,
  KernelSpec,
  Lowering,
  PointwiseSpec,
} from '../../src/ops/lowering/plan';

export const SOFTWARE: DeviceTraits = {
  software: true,
  subgroups: false,
  float16: false,
  workgroupThreads: 256,
  workgroupBytes: 16384,
};
export const HARDWARE: DeviceTraits = { ...SOFTWARE, software: false };

/** A float32 tensor by its dimensions, one of another type, or constant integers. */
export type LoweredInput =
  | readonly number[]
  | { readonly dtype: DType; readonly dims: readonly number[] }
  | { readonly ints: readonly number[] };

export interface LoweredCall {
  readonly op: string;
  readonly inputs: readonly LoweredInput[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
  readonly training?: true;
}

export interface Lowered {
  readonly kernels: readonly PlanKernel[];
  readonly inputs: readonly DeviceTensor[];
  readonly outputs: readonly DeviceTensor[];
}

export function lowered(lowering: Lowering, call: LoweredCall, traits = SOFTWARE): Lowered {
  const { op, attributes = {}, outputs = 1, training } = call;
  const builder = new GraphBuilder(op);
  const names = call.inputs.map((input, at) => {
    if ('ints' in input) return builder.ints(input.ints);
    return 'dtype' in input
      ? builder.input(`in${at}`, input.dtype, input.dims)
      : builder.input(`in${at}`, 'float32', input);
  });
  const domain = training ? { domain: TRAINING_DOMAIN } : {};
  const results = builder.nodes(op, names, outputs, attributes, domain);
  const draft = builder.build();
  const { types } = infer(draft);
  for (const name of results) {
    const { dtype, dims } = staticType(types, name);
    builder.output(name, dtype, dims);
  }
  const { type, constants } = analyse(builder.build());
  const [node] = draft.nodes;
  if (!node) throw new Error(`${op} is settled by its shapes.`);
  const list = new KernelList(traits);
  const tensors = new Map<string, DeviceTensor>();
  const tensor = (name: string): DeviceTensor => {
    const known = tensors.get(name);
    if (known) return known;
    const made = list.resident(type(name), { kind: 'feed', name }, name);
    tensors.set(name, made);
    return made;
  };
  const constant = (index: number): Tensor | undefined => constants.get(node.inputs[index] ?? '');
  const made = lowering({ node, plan: list, type, constant, tensor, producer: () => undefined });
  return { kernels: list.kernels, inputs: names.map(tensor), outputs: made };
}

export function pointwiseOf(kernel: PlanKernel | undefined): PointwiseSpec {
  if (kernel?.kind !== 'pointwise') throw new Error('Not one expression for each element.');
  return kernel.spec;
}

export function coreOf(kernel: PlanKernel | undefined): KernelSpec {
  if (kernel?.kind !== 'core') throw new Error('Not a kernel with a body.');
  return kernel.spec;
}
