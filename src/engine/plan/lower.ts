/** The nodes of a graph as kernels, by their lowerings, over values that do not yet lie anywhere. */
import { AppError, invariant } from '../../core/errors';
import type { Graph } from '../../onnx/graph';
import type { DeviceTensor, DeviceTraits, LoweringContext } from '../../ops/lowering/plan';
import type { CompileOptions } from '../executor';
import { isOptimiser, readOptimiser } from '../optimiser';
import { analyse, nodesFor } from '../analysis';
import type { Analysis } from '../analysis';
import { rolesOf } from '../roles';
import type { NodeRole } from '../roles';
import { deviceArray } from './device-array';
import { KernelList } from './kernels';
import type { Variants } from './kernels';
import { loweringOf } from './lowerings';
import { storedAsHalf } from './precision';
import type { StateLayout } from './state-layout';

export interface PlanRequest {
  /** With static shapes, and of operators that have a lowering. */
  readonly graph: Graph;
  readonly state: StateLayout;
  readonly options: Pick<CompileOptions, 'updates' | 'outputs' | 'precision'>;
  readonly traits: DeviceTraits;
  /** Most bytes of one binding. */
  readonly bindingBytes: number;
  readonly variants?: Variants;
}

export interface Lowered {
  readonly list: KernelList;
  readonly analysis: Analysis;
  readonly results: ReadonlyMap<string, DeviceTensor>;
  /** State entry -> its new value, but for what the optimiser updates in place. */
  readonly updates: ReadonlyMap<string, DeviceTensor>;
  readonly roles: ReadonlyMap<string, NodeRole>;
}

export function lower({ graph, state, options, traits, variants }: PlanRequest): Lowered {
  const analysis = analyse(graph);
  const { constants, type } = analysis;
  const wanted = [...options.outputs, ...options.updates.values()];
  const computed = graph.nodes.filter(
    ({ outputs }) => !outputs.every((name) => constants.has(name)),
  );
  const nodes = nodesFor(computed, wanted);
  invariant(!nodes.slice(0, -1).some(isOptimiser), 'The optimiser must be the last node.');
  const halfFactors = traits.float16 && options.precision === 'float16';
  const list = new KernelList(traits, variants, halfFactors);
  const tensors = new Map<string, DeviceTensor>();
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const producers = new Map(
    graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node])),
  );

  const tensor = (name: string): DeviceTensor => {
    const found = tensors.get(name);
    if (found) return found;
    const known = constants.get(name);
    const home = known
      ? ({ kind: 'constant', data: deviceArray(name, known) } as const)
      : state.entries.has(name)
        ? ({ kind: 'state', name } as const)
        : ({ kind: 'feed', name } as const);
    invariant(known || inputs.has(name), `The value "${name}" is used before it is computed.`);
    const made = list.resident(type(name), home, name);
    tensors.set(name, made);
    return made;
  };
  const done = new Set<string>();
  for (const node of nodes) {
    list.node = node.name;
    const context: LoweringContext = {
      node,
      plan: list,
      type,
      constant: (index) => constants.get(node.inputs[index] ?? ''),
      tensor,
      producer: (name) => producers.get(name),
    };
    if (isOptimiser(node)) {
      const plan = readOptimiser(node);
      const order = [
        ...[plan.learningRate, plan.step, plan.clipNorm],
        ...plan.weights.map(({ gradient }) => gradient),
        ...[plan.factors, plan.lossScale].filter((name) => name !== undefined),
      ];
      const [gradNorm, stepDone] = list.update(plan, order.map(tensor));
      if (gradNorm) tensors.set(plan.gradNorm, gradNorm);
      if (stepDone) tensors.set(plan.stepDone, stepDone);
      for (const { outputs } of plan.weights) for (const name of outputs) done.add(name);
      continue;
    }
    lowerNode(context).forEach((made, at) => {
      const name = node.outputs[at] ?? '';
      if (name === '') return;
      const value = list.values[made.value];
      if (value && value.name === '') {
        value.name = name;
        value.halves = storedAsHalf(node, at, value);
      }
      tensors.set(name, made);
    });
  }
  const results = new Map(options.outputs.map((name) => [name, tensor(name)]));
  const updates = new Map(
    [...options.updates]
      .filter(([, name]) => !done.has(name))
      .map(([entry, name]) => [entry, tensor(name)]),
  );
  return { list, analysis, results, updates, roles: rolesOf(graph) };
}

function lowerNode(context: LoweringContext): readonly DeviceTensor[] {
  const { node } = context;
  const lowering = loweringOf(node);
  if (lowering) return lowering(context);
  throw new AppError(
    'engine/unsupported',
    `The graphics processor cannot run ${node.op} ("${node.name}") yet. Choose the processor instead.`,
    { op: node.op, node: node.name },
  );
}
