/**
 * A graph once, on the graphics processor. There, integers of every width are int32 and floating point is float32:
 * inputs are checked to fit, and outputs come back in the type that the graph gives them. Shapes must be known when
 * the graph is compiled; inputs that decide them (a target shape, axes, a count) are short, and become constants.
 */
import { AppError, invariant } from '../../core/errors';
import { isFloat, sizeOf } from '../../core/dtype';
import { pruneUnused } from '../../onnx/compose';
import type { Graph, Tensor } from '../../onnx/graph';
import { infer } from '../../ops/infer-shapes';
import { deviceType } from '../../ops/lowering/context';
import { requireOp } from '../../ops/registry';
import { isStatic, shapeText } from '../../ops/shapes';
import { tensorOf } from '../../ops/value';
import type { GpuDevice } from '../device';
import type { Feeds } from '../executor';
import { bindInputs } from '../evaluate';
import type { Tensors } from '../evaluate';
import { deviceArray } from '../plan/device-array';
import { expandForPlan, FROM_SHAPES, loweringOf } from '../plan/lowerings';
import type { StepCompiler } from './compiler';
import type { StepTicket } from './result-ring';
import type { StepProgram } from './step-program';
import { traitsOf } from './traits';

const LONGEST_LIST = 1024;
/** Scales of a resize, limits of a range. */
const LONGEST_FLOATS = 8;

const isList = ({ dims }: Tensor): boolean => dims.length < 2 && sizeOf(dims) <= LONGEST_LIST;

/** What is made constant, until the graph compiles: nothing; short lists of integers; short lists of anything. */
const SETTLED: readonly ((tensor: Tensor) => boolean)[] = [
  () => false,
  (tensor) => isList(tensor) && !isFloat(tensor.dtype),
  (tensor) => isList(tensor) && (!isFloat(tensor.dtype) || sizeOf(tensor.dims) <= LONGEST_FLOATS),
];

export async function evaluateWebgpu(
  executor: StepCompiler,
  graph: Graph,
  inputs: Tensors,
): Promise<Map<string, Tensor>> {
  const bound = pruneUnused(bindInputs(graph, inputs));
  requireKernels(bound);
  const { gpu } = executor;
  const state = await executor.createState([]);
  const { program, compiled, types } = await compile(bound, inputs, async (settled) => {
    const expanded = pruneUnused(expandForPlan(settled, traitsOf(gpu)));
    const outputs = expanded.outputs.map(({ name }) => name);
    const types = staticTypes(expanded);
    const program = await executor.compile(expanded, state, { updates: new Map(), outputs });
    return { program, compiled: expanded, types };
  });
  try {
    const feeds = new Map(
      compiled.inputs.map(({ name }) => {
        const tensor = inputs.get(name);
        invariant(tensor !== undefined, `The input "${name}" was checked, but is not there.`);
        return [name, deviceArray(name, tensor)];
      }),
    );
    const values = await stepAlone(gpu, program, feeds);
    return new Map(
      graph.outputs.map(({ name }) => {
        const type = types.get(name);
        const data = values.get(name);
        invariant(type !== undefined && data !== undefined, `"${name}" was not computed.`);
        return [name, tensorOf({ ...type, data: Float64Array.from(data) })];
      }),
    );
  } finally {
    program.dispose();
    state.dispose();
  }
}

/** A step whose errors are its own: a kernel that the device refuses says nothing of what runs later. */
async function stepAlone(
  gpu: GpuDevice,
  program: StepProgram,
  feeds: Feeds,
): Promise<Map<string, Float32Array | Int32Array>> {
  gpu.device.pushErrorScope('validation');
  let refusal: Promise<GPUError | null>;
  let ticket: StepTicket;
  try {
    ticket = program.step(feeds);
  } finally {
    refusal = gpu.device.popErrorScope();
  }
  const [values, error] = await Promise.all([ticket.values(), refusal]);
  if (error !== null) {
    throw new AppError('engine/gpu', `The graphics processor refused a step: ${error.message}`, {
      detail: error.message,
    });
  }
  return values;
}

/** Before anything is made constant, since what follows from constants needs no kernel. */
function requireKernels(graph: Graph): void {
  for (const node of graph.nodes) {
    const { name, op } = node;
    if (loweringOf(node) || requireOp(node).expand || FROM_SHAPES.has(op)) continue;
    throw new AppError(
      'engine/unsupported',
      `Node "${name}" is of the operator ${op}, which has no kernel for the graphics processor.`,
      { op, node: name },
    );
  }
}

/** Compiles with as few inputs made constant as it takes. The last failure is the one that tells. */
async function compile<T>(
  graph: Graph,
  inputs: Tensors,
  attempt: (settled: Graph) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  let before = -1;
  for (const settles of SETTLED) {
    const constant = graph.inputs.filter(({ name }) => {
      const tensor = inputs.get(name);
      return tensor !== undefined && settles(tensor);
    });
    if (constant.length === before) continue;
    before = constant.length;
    const initializers = new Map(graph.initializers);
    for (const { name } of constant) {
      const tensor = inputs.get(name);
      if (tensor) initializers.set(name, tensor);
    }
    const open = graph.inputs.filter((info) => !constant.includes(info));
    try {
      return await attempt({ ...graph, inputs: open, initializers });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Types of all values, which must be static and of a type that the device holds. */
function staticTypes(
  graph: Graph,
): Map<string, { dtype: Tensor['dtype']; dims: readonly number[] }> {
  const { types } = infer(graph);
  const fixed = new Map<string, { dtype: Tensor['dtype']; dims: readonly number[] }>();
  for (const [name, { dtype, dims }] of types) {
    if (!isStatic(dims)) {
      const maker = graph.nodes.find(({ outputs }) => outputs.includes(name));
      throw new AppError(
        'engine/unsupported',
        `Node "${maker?.name ?? ''}" (${maker?.op ?? ''}) gives "${name}" the shape ${shapeText(dims)}, which ` +
          'depends on its data. The graphics processor needs shapes that are known before.',
        { node: maker?.name, value: name },
      );
    }
    deviceType(dtype);
    fixed.set(name, { dtype, dims });
  }
  return fixed;
}
