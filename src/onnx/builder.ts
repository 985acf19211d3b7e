/**
 * Makes a Graph node by node. Names are deterministic (`Relu_3`), so the same calls give the same graph and
 * the same hash; a transform that extends a graph starts from `GraphBuilder.from(graph)`.
 */
import { invariant } from '../core/errors';
import type { DType, NumericDType } from '../core/dtype';
import { encodeNumbers } from '../core/number-format';
import { INTERNAL_OPSET } from './graph';
import type { Attribute, Dim, Graph, Node, Tensor, TensorType, ValueInfo } from './graph';

export interface NodeOptions {
  readonly domain?: string;
  /** Node name; generated where absent. */
  readonly name?: string;
  /** Names of the outputs; generated from the node's name where absent. */
  readonly outputs?: readonly string[];
}

export class GraphBuilder {
  readonly #name: string;
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Tensor>();
  readonly #valueInfo = new Map<string, TensorType>();
  readonly #metadata = new Map<string, string>();
  readonly #taken = new Set<string>();
  /** Exporters may call a node as one of its values; only generated names avoid both. */
  readonly #nodeNames = new Set<string>();
  readonly #constants = new Map<string, string>();
  /** Numbers below these are taken for good: a long graph must not try them all again for each name. */
  readonly #untried = new Map<string, number>();
  readonly #untriedFree = new Map<string, number>();
  /** `origin` of the nodes that are added from now on. */
  origin: string | undefined;
  #docString = '';
  #opsets = new Map<string, number>([['', INTERNAL_OPSET]]);

  constructor(name: string) {
    this.#name = name;
  }

  /** A builder that holds everything of `graph` except, when asked, its outputs. */
  static from(graph: Graph, options: { dropOutputs?: boolean } = {}): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    builder.#inputs.push(...graph.inputs);
    builder.#nodes.push(...graph.nodes);
    if (!options.dropOutputs) builder.#outputs.push(...graph.outputs);
    for (const [name, tensor] of graph.initializers) builder.#initializers.set(name, tensor);
    for (const [name, type] of graph.valueInfo) builder.#valueInfo.set(name, type);
    for (const [key, value] of graph.metadata) builder.#metadata.set(key, value);
    builder.#opsets = new Map(graph.opsets);
    builder.#docString = graph.docString;
    for (const { name } of graph.inputs) builder.#taken.add(name);
    for (const name of graph.initializers.keys()) builder.#taken.add(name);
    for (const node of graph.nodes) {
      builder.#nodeNames.add(node.name);
      for (const output of node.outputs) builder.#taken.add(output);
    }
    return builder;
  }

  input(name: string, dtype: DType, dims: readonly Dim[]): string {
    this.#claim(name);
    this.#inputs.push({ name, dtype, dims });
    return name;
  }

  /** Declares an existing value a graph output. */
  output(name: string, dtype: DType, dims: readonly Dim[]): string {
    this.#outputs.push({ name, dtype, dims });
    return name;
  }

  /** A named initialiser: a weight, or a constant that deserves its name. */
  initializer(name: string, tensor: Tensor): string {
    this.#claim(name);
    this.#initializers.set(name, tensor);
    return name;
  }

  /** An anonymous small constant; equal ones are shared. */
  constant(dtype: NumericDType, dims: readonly number[], values: readonly number[]): string {
    const texts = values.map((value) => (Object.is(value, -0) ? '-0' : String(value)));
    const key = `${dtype}|${dims.join('x')}|${texts.join(',')}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#fresh('const');
    const data = encodeNumbers(dtype, values);
    this.#initializers.set(name, { dtype, dims, data });
    this.#constants.set(key, name);
    return name;
  }

  scalar(value: number): string {
    return this.constant('float32', [], [value]);
  }

  /** A 1-D int64 constant: axes, shapes, starts and ends. */
  ints(values: readonly number[]): string {
    return this.constant('int64', [values.length], values);
  }

  /** Adds a node with one output and returns that output's name. */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    options: NodeOptions = {},
  ): string {
    const [output] = this.nodes(op, inputs, 1, attributes, options);
    invariant(output !== undefined, `Node ${op} made no output.`);
    return output;
  }

  /** Adds a node with `count` outputs and returns their names. */
  nodes(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
    options: NodeOptions = {},
  ): readonly string[] {
    const name = options.name ?? this.#fresh(op);
    if (options.name !== undefined) this.#claimNode(name);
    const outputs =
      options.outputs ??
      Array.from({ length: count }, (_, index) =>
        count === 1 ? `${name}_out` : `${name}_out${index}`,
      );
    for (const output of outputs) if (output !== '') this.#claim(output);
    const domain = options.domain ?? '';
    if (!this.#opsets.has(domain)) this.#opsets.set(domain, 1);
    this.#nodes.push({
      name,
      op,
      domain,
      inputs,
      outputs,
      attributes: new Map(Object.entries(attributes)),
      ...(this.origin !== undefined && { origin: this.origin }),
    });
    return outputs;
  }

  isInput(name: string): boolean {
    return this.#inputs.some((input) => input.name === name);
  }

  hasInitializer(name: string): boolean {
    return this.#initializers.has(name);
  }

  /** `wanted`, or with a number behind it where that name is taken. */
  freeName(wanted: string): string {
    if (!this.#taken.has(wanted)) return wanted;
    let index = this.#untriedFree.get(wanted) ?? 2;
    while (this.#taken.has(`${wanted}_${index}`)) index++;
    this.#untriedFree.set(wanted, index);
    return `${wanted}_${index}`;
  }

  /** As freeName, for a node: no other node is called so either. */
  freeNodeName(wanted: string): string {
    for (
      let name = this.freeName(wanted), index = 2;
      ;
      name = this.freeName(`${wanted}_n${index++}`)
    ) {
      const fresh = [name, `${name}_out`];
      if (!this.#nodeNames.has(name) && !fresh.some((value) => this.#taken.has(value))) return name;
    }
  }

  metadata(key: string, value: string): void {
    this.#metadata.set(key, value);
  }

  build(): Graph {
    return {
      name: this.#name,
      opsets: new Map(this.#opsets),
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      nodes: [...this.#nodes],
      initializers: new Map(this.#initializers),
      valueInfo: new Map(this.#valueInfo),
      metadata: new Map(this.#metadata),
      docString: this.#docString,
    };
  }

  #claim(name: string): void {
    invariant(
      !this.#taken.has(name),
      `The name "${name}" is already used in graph "${this.#name}".`,
    );
    this.#taken.add(name);
  }

  #claimNode(name: string): void {
    invariant(
      !this.#nodeNames.has(name),
      `Two nodes of "${this.#name}" would be called "${name}".`,
    );
    this.#nodeNames.add(name);
  }

  #fresh(stem: string): string {
    const taken = (name: string) => this.#taken.has(name) || this.#nodeNames.has(name);
    let index = this.#untried.get(stem) ?? 0;
    while (taken(`${stem}_${index}`) || taken(`${stem}_${index}_out`)) index++;
    this.#untried.set(stem, index);
    const name = `${stem}_${index}`;
    this.#taken.add(name);
    this.#nodeNames.add(name);
    return name;
  }
}
