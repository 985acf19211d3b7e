/**
 * Reverse-mode differentiation as a graph transform: the result holds the forward nodes, then gradient nodes.
 * No tape and no state; each operator's rule emits ordinary nodes. Branches that nothing in `wrt` depends on get
 * none. Griewank & Walther 2008, "Evaluating Derivatives", chapter 3.
 */
import { AppError } from '../core/errors';
import { isFloat } from '../core/dtype';
import { GraphBuilder } from '../onnx/builder';
import type { Graph, Node } from '../onnx/graph';
import { zeros } from '../ops/gradients';
import { expandOps } from '../ops/expand-graph';
import { infer, staticType } from '../ops/infer-shapes';
import type { StaticType } from '../ops/infer-shapes';
import { lookupOp, requireOp } from '../ops/registry';
import { shapeText } from '../ops/shapes';

export interface LossValues {
  /** Scalar value that is differentiated. */
  readonly numerator: string;
  /** Scalar by which the gradient is divided; taken as constant, as a sum of sample weights is. */
  readonly denominator?: string;
}

export interface Differentiated {
  readonly graph: Graph;
  /** Value name of d(numerator / denominator)/d(name) for each name of `wrt`. */
  readonly gradients: ReadonlyMap<string, string>;
}

/** Float values that change when something in `wrt` does. */
function dependents(
  graph: Graph,
  wrt: readonly string[],
  type: (name: string) => StaticType,
): Set<string> {
  const found = new Set(wrt);
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => found.has(name))) continue;
    for (const name of node.outputs) {
      if (name !== '' && isFloat(type(name).dtype)) found.add(name);
    }
  }
  return found;
}

/** The graph with composite operators written out where something trainable is behind them and no rule is there. */
function withRules(graph: Graph, wrt: readonly string[]): Graph {
  const reached = new Set(wrt);
  for (const { inputs, outputs } of graph.nodes) {
    if (inputs.some((name) => reached.has(name))) outputs.forEach((name) => reached.add(name));
  }
  return expandOps(
    graph,
    (node) =>
      lookupOp(node.domain, node.op)?.gradient !== undefined ||
      !node.inputs.some((name) => reached.has(name)),
  );
}

/**
 * @param forward with static shapes
 * @throws AppError `autodiff/not-differentiable` naming node and operator; `autodiff/loss`; `autodiff/unknown`
 */
export function differentiate(
  forward: Graph,
  loss: LossValues,
  wrt: readonly string[],
): Differentiated {
  const graph = withRules(forward, wrt);
  const { types, constants } = infer(graph);
  const type = (name: string) => staticType(types, name);
  for (const name of wrt) {
    if (!types.has(name)) {
      throw new AppError('autodiff/unknown', `The graph has no value "${name}" to learn.`, {
        name,
      });
    }
  }
  const depends = dependents(graph, wrt, type);
  checkLoss(loss, type);

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
  for (const node of [...graph.nodes].reverse()) {
    if (!node.inputs.some((name) => depends.has(name))) continue;
    const outputGradients = node.outputs.map((name) =>
      depends.has(name) ? gradientOf(name) : undefined,
    );
    if (outputGradients.every((name) => name === undefined)) continue;
    const rule = requireOp(node).gradient;
    if (!rule) throw notDifferentiable(node);
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
  const gradients = new Map(
    wrt.map((name) => [name, gradientOf(name) ?? zeros(builder, type(name).dims)]),
  );
  return { graph: builder.build(), gradients };
}

function notDifferentiable(node: Node): AppError {
  return new AppError(
    'autodiff/not-differentiable',
    `Node "${node.name}" (${node.op}) lies between the loss and a trainable weight, but ${node.op} ` +
      'has no gradient. Freeze what is before it, or replace it.',
    { node: node.name, op: node.op },
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
