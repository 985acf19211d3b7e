/**
 * Brings the nodes of a graph, subgraphs included, from the opset of their file to the internal one. Each operator
 * that changed has a rule; what has none means the same in all opsets that are read. Shapes are not needed: where a
 * rule wants the number of axes, it takes what the file says or follows the nodes back.
 */
import { ownValue } from '../../core/own-value';
import type { NumericDType } from '../../core/dtype';
import { isFloat } from '../../core/dtype';
import { encodeNumbers } from '../../core/number-format';
import { withOpsets } from '../functions';
import { freshName } from '../names';
import { INTERNAL_OPSET } from '../graph';
import type { Attribute, Graph, Node, Tensor, TensorType } from '../graph';
import { mapSubgraphs, readsOf, subgraphsOf } from '../subgraphs';
import { fromFirstOpsets } from './first';
import { constantOf, meaningRules } from './meanings';
import { moveRules } from './moves';
import { rankFrom } from './rank';
import type { Rule, RuleContext } from './rule';

const RULES: Readonly<Record<string, Rule>> = { ...moveRules, ...meaningRules };

/** @param opsetOf of nodes that are in another opset than the graph */
export function normalise(
  graph: Graph,
  opsetOf: (node: Node) => number | undefined = () => undefined,
): Graph {
  const opset = graph.opsets.get('');
  if (opset === undefined) return graph;
  const taken = new Set<string>();
  collectNames(graph, taken);
  const changed = new Scope(graph, opset, opsetOf, taken).run();
  return withOpsets(changed, new Map([...graph.opsets, ['', INTERNAL_OPSET]]));
}

function collectNames(graph: Graph, to: Set<string>): void {
  for (const { name } of graph.inputs) to.add(name);
  for (const name of graph.initializers.keys()) to.add(name);
  for (const node of graph.nodes) {
    to.add(node.name);
    for (const name of node.outputs) to.add(name);
    for (const body of subgraphsOf(node)) collectNames(body, to);
  }
}

/** One graph whose nodes are rewritten, within those around it. */
class Scope implements Omit<RuleContext, 'opset'> {
  readonly #graph: Graph;
  readonly #opset: number;
  readonly #opsetOf: (node: Node) => number | undefined;
  readonly #taken: Set<string>;
  readonly #outer: Scope | undefined;
  readonly #makers = new Map<string, Node>();
  readonly #types = new Map<string, TensorType>();
  readonly #made = new Map<string, Tensor>();
  readonly #constants = new Map<string, string>();
  readonly #untried = new Map<string, number>();
  #read: Set<string> | undefined;
  #nodes: Node[] = [];

  constructor(
    graph: Graph,
    opset: number,
    opsetOf: (node: Node) => number | undefined,
    taken: Set<string>,
    outer?: Scope,
  ) {
    this.#graph = graph;
    this.#opset = opset;
    this.#opsetOf = opsetOf;
    this.#taken = taken;
    this.#outer = outer;
    for (const [name, type] of graph.valueInfo) this.#types.set(name, type);
    for (const info of [...graph.inputs, ...graph.outputs]) {
      if (!info.open) this.#types.set(info.name, info);
    }
    for (const [name, tensor] of graph.initializers) this.#types.set(name, tensor);
  }

  run(): Graph {
    for (const given of this.#graph.nodes) {
      const opset = this.#opsetOf(given) ?? this.#opset;
      const inner = mapSubgraphs(given, (body) =>
        new Scope(body, this.#opset, this.#opsetOf, this.#taken, this).run(),
      );
      const context = this.#context(opset);
      const node = fromFirstOpsets(inner, context);
      const rule = node.domain === '' ? ownValue(RULES, node.op) : undefined;
      const result = rule?.(node, context) ?? node;
      this.#nodes.push(result);
      for (const name of result.outputs) this.#makers.set(name, result);
    }
    if (this.#made.size === 0 && this.#nodes.every((node, i) => node === this.#graph.nodes[i])) {
      return this.#graph;
    }
    return {
      ...this.#graph,
      nodes: this.#nodes,
      initializers: new Map([...this.#graph.initializers, ...this.#made]),
    };
  }

  #context(opset: number): RuleContext {
    return {
      opset,
      constant: (dtype, dims, values) => this.constant(dtype, dims, values),
      tensor: (name) => this.tensor(name),
      type: (name) => this.type(name),
      rank: (name) => this.rank(name),
      floatType: (name) => this.floatType(name),
      isRead: (name) => this.isRead(name),
      before: (node, op, inputs, attributes) => this.before(node, op, inputs, attributes),
    };
  }

  #fresh(stem: string): string {
    return freshName(stem, this.#taken, this.#untried);
  }

  constant(dtype: NumericDType, dims: readonly number[], values: readonly number[]): string {
    const key = `${dtype}|${dims.join()}|${values.join()}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#fresh('const');
    this.#made.set(name, { dtype, dims, data: encodeNumbers(dtype, values) });
    this.#constants.set(key, name);
    return name;
  }

  tensor(name: string): Tensor | undefined {
    const own = this.#graph.initializers.get(name) ?? this.#made.get(name);
    if (own) return own;
    const maker = this.#makers.get(name);
    if (maker) return maker.op === 'Constant' ? constantOf(maker) : undefined;
    return this.#outer?.tensor(name);
  }

  type(name: string): TensorType | undefined {
    return this.#types.get(name) ?? this.#outer?.type(name);
  }

  maker(name: string): Node | undefined {
    return this.#makers.get(name) ?? this.#outer?.maker(name);
  }

  rank(name: string): number | undefined {
    return rankFrom(
      name,
      (value) => this.type(value)?.dims.length ?? this.tensor(value)?.dims.length,
      (value) => this.maker(value),
      (value) => this.tensor(value),
    );
  }

  floatType(name: string): NumericDType {
    let at = name;
    for (let steps = 0; steps < 1000; steps++) {
      const dtype = this.type(at)?.dtype ?? this.tensor(at)?.dtype;
      if (dtype !== undefined && dtype !== 'string') return dtype;
      const maker = this.maker(at);
      const to = maker?.op === 'Cast' ? maker.attributes.get('to') : undefined;
      const [next] = maker?.inputs ?? [];
      if (to !== undefined || next === undefined) break;
      at = next;
    }
    // What is computed and not described: the weights tell how precise the model is.
    for (const { dtype, dims } of this.#graph.initializers.values()) {
      if (dims.length > 0 && isFloat(dtype) && dtype !== 'string') return dtype;
    }
    return 'float32';
  }

  isRead(name: string): boolean {
    if (!this.#read) {
      this.#read = new Set(this.#graph.outputs.map((output) => output.name));
      for (const node of this.#graph.nodes) for (const read of readsOf(node)) this.#read.add(read);
    }
    return this.#read.has(name);
  }

  before(
    node: Node,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    const name = this.#fresh(`${node.name}/${op}`);
    const output = this.#fresh(`${name}_out`);
    const made = { name, op, domain: '', inputs, outputs: [output] };
    this.#nodes.push({ ...made, attributes: new Map(Object.entries(attributes)) });
    return output;
  }
}
