/**
 * Reverse-mode differentiation as a graph transform: the result holds the forward nodes, then gradient nodes.
 * No tape and no state; each operator's rule emits ordinary nodes. Branches that nothing in `wrt` depends on get
 * none. Griewank & Walther 2008, "Evaluating Derivatives", chapter 3.
 */
import { AppError } from '../core/errors';
import { isFloat } from '../core/dtype';
import { GraphBuilder } from '../onnx/builder';
import type { Graph, Node, ValueInfo } from '../onnx/graph';
import { readsOf } from '../onnx/subgraphs';
import { zeros } from '../ops/gradients';
import { expandWhile } from '../ops/expand-graph';
import { infer, staticType } from '../ops/infer-shapes';
import type { StaticType } from '../ops/infer-shapes';
import { lookupOp, requireOp } from '../ops/registry';
import { shapeText } from '../ops/shapes';
import { mergeEqual } from './merge-equal';

export interface LossValues {
  /** Scalar value that is differentiated. */
  readonly numerator: string;
  /** Scalar by which the gradient is divided; taken as constant, as a sum of sample weights is. */
  readonly denominator?: string;
}

export interface Differentiated {
  /** The forward nodes, then the gradient nodes. */
  readonly graph: Graph;
  readonly forwardNodes: number;
  /** Value name of d(numerator / denominator)/d(name) for each name of `wrt`. */
  readonly gradients: ReadonlyMap<string, string>;
}

/** Operators that look at the shape of a value and not at its numbers. */
const OF_SHAPE: ReadonlySet<string> = new Set(['Shape', 'Size']);

/** Values that change when one of `names` does, and where `through` lets the change pass. */
function changing(
  graph: Graph,
  names: Iterable<string>,
  through: (node: Node, output: string) => boolean,
): Set<string> {
  const found = new Set(names);
  for (const node of graph.nodes) {
    if (OF_SHAPE.has(node.op) || !readsOf(node).some((name) => found.has(name))) continue;
    for (const name of node.outputs) if (name !== '' && through(node, name)) found.add(name);
  }
  return found;
}

/** Nodes through which a gradient may go in their training form. */
function inTrainingForm(graph: Graph, wrt: readonly string[]): Graph {
  const formOf = ({ domain, op }: Node) => lookupOp(domain, op)?.trainingForm;
  if (!graph.nodes.some(formOf)) return graph;
  const { types } = infer(graph);
  const reached = changing(graph, wrt, () => true);
  const builder = GraphBuilder.from(graph);
  const opsets = new Map(graph.opsets);
  const nodes = graph.nodes.map((node) => {
    if (!readsOf(node).some((name) => reached.has(name))) return node;
    const form = formOf(node)?.({
      node,
      type: (name) => staticType(types, name),
      fresh: (wanted) => builder.freeName(wanted),
    });
    if (form && !opsets.has(form.domain)) opsets.set(form.domain, 1);
    return form ?? node;
  });
  return { ...graph, opsets, nodes };
}

/**
 * Composite operators between something trainable and the loss are written out where no rule is there for them.
 * `named` values keep their names.
 */
function withRules(graph: Graph, wrt: readonly string[], named: readonly string[]): Graph {
  const kept = named.map((name): ValueInfo => ({ name, dtype: 'float32', dims: [] }));
  const open = { ...graph, outputs: [...graph.outputs, ...kept] };
  try {
    const written = expandWhile(open, (current) => {
      const reached = changing(current, wrt, () => true);
      return (node) =>
        lookupOp(node.domain, node.op)?.gradient !== undefined ||
        !readsOf(node).some((name) => reached.has(name));
    });
    return { ...written, outputs: graph.outputs };
  } catch (error) {
    // A branch or a loop that is only decided while it runs.
    if (!(error instanceof AppError) || error.code !== 'onnx/unsupported') throw error;
    throw new AppError('autodiff/not-differentiable', error.message, error.data, error);
  }
}

/**
 * @param forward with static shapes
 * @throws AppError `autodiff/not-differentiable` naming node, operator and reason; `autodiff/loss`; `autodiff/unknown`
 */
export function differentiate(
  forward: Graph,
  loss: LossValues,
  wrt: readonly string[],
): Differentiated {
  const ends = [loss.numerator, ...(loss.denominator === undefined ? [] : [loss.denominator])];
  const graph = withRules(inTrainingForm(forward, wrt), wrt, [...wrt, ...ends]);
  const { types, constants } = infer(graph);
  const type = (name: string) => staticType(types, name);
  for (const name of wrt) {
    if (!types.has(name)) {
      throw new AppError('autodiff/unknown', `The graph has no value "${name}" to learn.`, {
        name,
      });
    }
  }
  checkLoss(loss, type);
  // Only what the gradient can pass through: float values that are not known beforehand.
  const passes = (_: Node, name: string) => isFloat(types.get(name)?.dtype ?? 'bool');
  const depends = changing(graph, wrt, passes);

  const builder = GraphBuilder.from(graph);
  const contributions = new Map<string, string[]>();
  /** Gradient of a value: what arrived from each reader, added up once. */
  const gradientOf = (name: string): string | undefined => {
    const parts = contributions.get(name);
    if (!parts) return undefined;
    const sum = parts.reduce((total, part) => builder.node('Add', [total, part]));
    contributions.set(name, [sum]);
    return sum;
  };

  contributions.set(loss.numerator, [
    loss.denominator === undefined
      ? builder.scalar(1)
      : builder.node('Div', [builder.scalar(1), loss.denominator]),
  ]);
  for (const node of graph.nodes.toReversed()) {
    const read = readsOf(node).filter((name) => depends.has(name));
    if (read.length === 0) continue;
    builder.origin = node.origin ?? node.name;
    const outputGradients = node.outputs.map((name) =>
      depends.has(name) ? gradientOf(name) : undefined,
    );
    if (outputGradients.every((name) => name === undefined)) continue;
    const rule = requireOp(node).gradient;
    if (!rule) throw notDifferentiable(node, 'has no gradient');
    const made = rule({
      node,
      builder,
      outputGradients,
      type,
      constant: (index) => constants.get(node.inputs[index] ?? ''),
      wants: (index) => depends.has(node.inputs[index] ?? ''),
    });
    node.inputs.forEach((name, index) => {
      const gradient = made[index];
      if (gradient === undefined || !depends.has(name)) return;
      const parts = contributions.get(name);
      if (parts) parts.push(gradient);
      else contributions.set(name, [gradient]);
    });
  }
  // A weight that several nodes read belongs to none of them.
  builder.origin = undefined;
  const gradients = new Map<string, string>();
  for (const name of wrt) {
    const gradient = gradientOf(name);
    if (gradient === undefined) checkUnreached(graph, loss.numerator, name, depends);
    gradients.set(name, gradient ?? zeros(builder, type(name).dims));
  }
  return mergeEqual({ graph: builder.build(), forwardNodes: graph.nodes.length, gradients });
}

/**
 * A value without a gradient is fine where the loss does not depend on it, or not little by little (Round). Where
 * every way leads over whole numbers or truth values, learning would silently do nothing: that is refused.
 */
function checkUnreached(
  graph: Graph,
  loss: string,
  name: string,
  depends: ReadonlySet<string>,
): void {
  const gentle = changing(graph, [name], (_, output) => depends.has(output));
  if (gentle.has(loss)) return;
  const reached = changing(graph, [name], () => true);
  if (!reached.has(loss)) return;
  const barrier = nodesTo(graph, loss).find(
    (node) =>
      !OF_SHAPE.has(node.op) &&
      readsOf(node).some((input) => gentle.has(input)) &&
      !node.outputs.some((output) => depends.has(output)),
  );
  if (!barrier) return;
  throw notDifferentiable(
    barrier,
    'makes whole numbers or truth values, through which none learns',
  );
}

/** Nodes on which a value depends. */
function nodesTo(graph: Graph, value: string): Node[] {
  const wanted = new Set([value]);
  return graph.nodes.toReversed().filter((node) => {
    const needed = node.outputs.some((name) => wanted.has(name));
    if (needed) for (const name of readsOf(node)) wanted.add(name);
    return needed;
  });
}

function notDifferentiable(node: Node, reason: string): AppError {
  return new AppError(
    'autodiff/not-differentiable',
    `Node "${node.name}" (${node.op}) lies between the loss and a trainable weight, but it ${reason}. ` +
      'Freeze what is before it, or replace it.',
    { node: node.name, op: node.op, reason },
  );
}

function checkLoss(loss: LossValues, type: (name: string) => StaticType): void {
  for (const name of [loss.numerator, loss.denominator]) {
    if (name === undefined) continue;
    const { dims } = type(name);
    if (dims.length !== 0) {
      throw new AppError(
        'autodiff/loss',
        `The loss "${name}" must be one number, but has the shape ${shapeText(dims)}.`,
        { name },
      );
    }
  }
}
