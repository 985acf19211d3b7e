/**
 * Model-local functions (FunctionProto): a node may call a list of nodes that the model defines itself. They are
 * written out at each call, with the call's attributes in the places that refer to them and names made unique. A
 * small file can ask for astronomically many nodes by functions that call one another, so there is a limit.
 */
import { AppError } from '../core/errors';
import type { Attribute, Graph, Node } from './graph';
import { freshName } from './names';
import { namedNodes, plainDomain, readAttribute, readNode, readOpset } from './read-graph';
import type { ReadContext, SourceNode } from './read-graph';
import { FUNCTION } from './schema';
import { mapSubgraphs, subgraphsOf } from './subgraphs';
import type { WireReader } from './wire';

/** Nodes and calls after writing out; ten times the largest language models as exporters write them. */
const MAX_NODES = 200_000;

/** Calls within calls; exporters make five or six. */
const MAX_CALLS = 100;

/** Graphs within graphs after writing out: functions may nest what each of them nests. */
const MAX_DEPTH = 64;

/** Inputs and outputs of nodes and calls after writing out. */
const MAX_PORTS = 5_000_000;

/** Characters of the names that writing out makes: a name goes in front of each name below it. */
const MAX_CHARACTERS = 100_000_000;

export interface ModelFunction {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly defaults: ReadonlyMap<string, Attribute>;
  readonly nodes: readonly SourceNode[];
  readonly opsets: ReadonlyMap<string, number>;
}

export function readFunction(reader: WireReader, context: ReadContext): ModelFunction {
  let name = '';
  let domain = '';
  let overload = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const defaults = new Map<string, Attribute>();
  const nodes: SourceNode[] = [];
  const opsets = new Map<string, number>();
  while (reader.next()) {
    switch (reader.field) {
      case FUNCTION.name:
        name = reader.string();
        break;
      case FUNCTION.domain:
        domain = plainDomain(reader.string());
        break;
      case FUNCTION.overload:
        overload = reader.string();
        break;
      case FUNCTION.input:
        inputs.push(reader.string());
        break;
      case FUNCTION.output:
        outputs.push(reader.string());
        break;
      case FUNCTION.attributeProto: {
        const read = readAttribute(reader.message(`a default of ${reader.what}`), context);
        if ('value' in read) defaults.set(read.name, read.value);
        break;
      }
      case FUNCTION.node:
        nodes.push(readNode(reader.message(`node ${nodes.length} of ${reader.what}`), context));
        break;
      case FUNCTION.opsetImport: {
        const [own, version] = readOpset(reader.message(`an opset import of ${reader.what}`));
        opsets.set(own, version);
        break;
      }
      default:
        reader.skip();
    }
  }
  if (name === '') throw reader.malformed('a function without a name');
  return { name, domain, overload, inputs, outputs, defaults, nodes: namedNodes(nodes), opsets };
}

export interface Inlined {
  readonly graph: Graph;
  /** Opset of ai.onnx that a node is written in, where that is not the model's. */
  opsetOf(node: Node): number | undefined;
}

/** Where a list of nodes is written out: in the model's graph, or in a call. */
interface Frame {
  /** Name in the function -> name in the graph; undefined in the model's own graph, where names stay. */
  readonly values: Map<string, string> | undefined;
  readonly prefix: string;
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly opset: number | undefined;
}

export function inlineFunctions(graph: Graph, functions: readonly ModelFunction[]): Inlined {
  const inliner = new Inliner(graph, functions);
  inliner.refuseTooMany();
  return { graph: inliner.run(), opsetOf: (node) => inliner.opsets.get(node) };
}

/** What nodes come to when they are written out. */
interface Size {
  nodes: number;
  ports: number;
  /** Graphs within graphs. */
  depth: number;
}

function add(to: Size, { nodes, ports, depth }: Size, deeper: number): void {
  to.nodes += nodes;
  to.ports += ports;
  to.depth = Math.max(to.depth, depth + deeper);
}

class Inliner {
  readonly opsets = new WeakMap<Node, number>();
  readonly #functions = new Map<string, ModelFunction>();
  readonly #domains: Map<string, number>;
  readonly #taken = new Set<string>();
  readonly #untried = new Map<string, number>();
  #characters = 0;

  constructor(
    readonly graph: Graph,
    functions: readonly ModelFunction[],
  ) {
    this.#domains = new Map(graph.opsets);
    for (const own of functions) {
      this.#functions.set(keyOf(own.domain, own.name, own.overload), own);
    }
    this.#collectNames(graph);
  }

  run(): Graph {
    const top: Frame = {
      ...{ values: undefined, prefix: '', attributes: new Map(), opset: undefined },
    };
    const nodes = this.#nodes(this.graph.nodes, top);
    // Domains of functions that have been written out are no longer anybody's.
    const used = new Set(['']);
    collectDomains(nodes, used);
    const opsets = new Map([...this.#domains].filter(([domain]) => used.has(domain)));
    return withOpsets({ ...this.graph, nodes }, opsets);
  }

  /** Counts before anything is written: each function once, however often it is called. */
  refuseTooMany(): void {
    const sizes = new Map<ModelFunction, Size>();
    const open = new Set<ModelFunction>();
    const measure = (nodes: readonly SourceNode[], above: number): Size => {
      const size = { nodes: 0, ports: 0, depth: 0 };
      for (const node of nodes) {
        size.nodes++;
        size.ports += node.inputs.length + node.outputs.length;
        for (const body of subgraphsOf(node)) add(size, measure(body.nodes, above + 1), 1);
        const called = this.#functions.get(keyOf(node.domain, node.op, node.overload ?? ''));
        if (!called) continue;
        if (open.has(called)) throw callsItself(node);
        // Before it is followed: measuring must not nest deeper than what it measures may.
        if (open.size >= MAX_CALLS || above > MAX_DEPTH) throw tooDeep(node);
        open.add(called);
        const own = sizes.get(called) ?? measure(called.nodes, above);
        open.delete(called);
        sizes.set(called, own);
        add(size, own, 0);
        size.ports += called.inputs.length + called.outputs.length + called.opsets.size;
        if (above + size.depth > MAX_DEPTH) throw tooDeep(node);
      }
      return size;
    };
    const { nodes, ports } = measure(this.graph.nodes, 0);
    const [count, what, limit] =
      nodes > MAX_NODES ? [nodes, 'nodes', MAX_NODES] : [ports, 'inputs and outputs', MAX_PORTS];
    if (count > limit) {
      throw new AppError(
        'onnx/too-large',
        `The functions of this model come to more than ${limit} ${what} when they are written out, more than any model that runs here.`,
        { limit },
      );
    }
  }

  #collectNames(graph: Graph): void {
    for (const { name } of graph.inputs) this.#taken.add(name);
    for (const name of graph.initializers.keys()) this.#taken.add(name);
    for (const node of graph.nodes) {
      this.#taken.add(node.name);
      for (const name of node.outputs) this.#taken.add(name);
      for (const body of subgraphsOf(node)) this.#collectNames(body);
    }
  }

  #fresh(stem: string): string {
    const name = freshName(stem, this.#taken, this.#untried);
    this.#characters += name.length;
    if (this.#characters > MAX_CHARACTERS) {
      throw new AppError(
        'onnx/too-large',
        `The names in this model come to more than ${MAX_CHARACTERS} characters when its functions are written out, more than in any model that runs here.`,
        { limit: MAX_CHARACTERS },
      );
    }
    return name;
  }

  #nodes(nodes: readonly SourceNode[], frame: Frame): Node[] {
    const out: Node[] = [];
    for (const node of nodes) this.#emit(node, frame, out);
    return out;
  }

  #emit(source: SourceNode, frame: Frame, out: Node[]): void {
    const { values } = frame;
    const named = (name: string): string => values?.get(name) ?? name;
    const inputs = source.inputs.map(named);
    const outputs = source.outputs.map((name) => {
      if (name !== '' && values && !values.has(name)) {
        values.set(name, this.#fresh(`${frame.prefix}/${name}`));
      }
      return named(name);
    });
    const { op, domain } = source;
    const node: Node = mapSubgraphs(
      {
        name: values ? this.#fresh(`${frame.prefix}/${source.name}`) : source.name,
        ...{ op, domain, inputs, outputs, attributes: resolved(source, frame) },
      },
      (body) => this.#body(body, frame),
    );
    const called = this.#functions.get(keyOf(domain, op, source.overload ?? ''));
    if (called) {
      this.#call(node, called, out);
      return;
    }
    if (domain === '' && frame.opset !== undefined) this.opsets.set(node, frame.opset);
    out.push(node);
  }

  #call(node: Node, called: ModelFunction, out: Node[]): void {
    const { name, op } = node;
    if (node.inputs.length > called.inputs.length || node.outputs.length > called.outputs.length) {
      const expected = `${called.inputs.length} inputs and ${called.outputs.length} outputs at most`;
      const found = `${node.inputs.length} and ${node.outputs.length}`;
      throw new AppError(
        'onnx/function',
        `Node "${name}" calls the model's function ${op}, which takes ${expected}, with ${found}.`,
        { node: name, op, expected, found },
      );
    }
    const values = new Map<string, string>();
    called.inputs.forEach((formal, index) => values.set(formal, node.inputs[index] ?? ''));
    const made = new Set(called.nodes.flatMap((inner) => inner.outputs));
    const passed: Node[] = [];
    called.outputs.forEach((formal, index) => {
      const actual = node.outputs[index] ?? '';
      if (actual === '') return;
      if (made.has(formal)) values.set(formal, actual);
      else {
        // An output that is an input handed through.
        passed.push({
          name: this.#fresh(`${name}/${formal}`),
          ...{ op: 'Identity', domain: '', attributes: new Map<string, Attribute>() },
          inputs: [values.get(formal) ?? formal],
          outputs: [actual],
        });
      }
    });
    for (const [domain, version] of called.opsets) {
      if (!this.#domains.has(domain)) this.#domains.set(domain, version);
    }
    const own = called.opsets.get('');
    const inner: Frame = {
      values,
      prefix: name,
      attributes: new Map([...called.defaults, ...node.attributes]),
      opset: own === this.graph.opsets.get('') ? undefined : own,
    };
    out.push(...this.#nodes(called.nodes, inner), ...passed);
  }

  /** A subgraph: its own names are made unique too when it stands in a function. */
  #body(graph: Graph, frame: Frame): Graph {
    if (!frame.values) return { ...graph, nodes: this.#nodes(graph.nodes, frame) };
    const values = new Map(frame.values);
    const define = (name: string): string => {
      const fresh = this.#fresh(`${frame.prefix}/${name}`);
      values.set(name, fresh);
      return fresh;
    };
    const inputs = graph.inputs.map((info) => ({ ...info, name: define(info.name) }));
    const initializers = new Map(
      [...graph.initializers].map(([name, tensor]) => [define(name), tensor]),
    );
    // What the body makes itself hides a value of that name around it.
    for (const node of graph.nodes) for (const name of node.outputs) if (name !== '') define(name);
    const nodes = this.#nodes(graph.nodes, { ...frame, values });
    const named = (name: string): string => values.get(name) ?? name;
    return {
      ...graph,
      ...{ inputs, initializers, nodes },
      outputs: graph.outputs.map((info) => ({ ...info, name: named(info.name) })),
      valueInfo: new Map([...graph.valueInfo].map(([name, type]) => [named(name), type])),
    };
  }
}

function callsItself({ name, op }: Node): AppError {
  return new AppError(
    'onnx/function',
    `The function ${op} of this model calls itself, by node "${name}". Export the model again.`,
    { node: name, op, expected: 'functions that end', found: `${op} within ${op}` },
  );
}

function tooDeep({ name, op }: Node): AppError {
  return new AppError(
    'onnx/too-deep',
    `The functions of this model call one another more than ${MAX_CALLS} deep, or nest more than ${MAX_DEPTH} graphs in one another, at node "${name}" (${op}).`,
    { node: name, op, limit: MAX_CALLS },
  );
}

function keyOf(domain: string, name: string, overload: string): string {
  return `${domain}\n${name}\n${overload}`;
}

/** The attributes of a node, with those of the call in the places that refer to them. */
function resolved(source: SourceNode, frame: Frame): ReadonlyMap<string, Attribute> {
  if (!source.references) return source.attributes;
  if (!frame.values) {
    const [name = ''] = source.references.keys();
    throw new AppError(
      'onnx/function',
      `Attribute "${name}" of node "${source.name}" (${source.op}) refers to a function's attribute, but stands in no function.`,
      { node: source.name, op: source.op, port: name },
    );
  }
  const attributes = new Map(source.attributes);
  for (const [name, reference] of source.references) {
    const value = frame.attributes.get(reference);
    // An optional attribute that the call leaves out is left out here, too.
    if (value) attributes.set(name, value);
  }
  return attributes;
}

function collectDomains(nodes: readonly Node[], to: Set<string>): void {
  for (const node of nodes) {
    to.add(node.domain);
    for (const body of subgraphsOf(node)) collectDomains(body.nodes, to);
  }
}

/** The graph and all its subgraphs with these opsets. */
export function withOpsets(graph: Graph, opsets: ReadonlyMap<string, number>): Graph {
  return {
    ...graph,
    opsets,
    nodes: graph.nodes.map((node) => mapSubgraphs(node, (body) => withOpsets(body, opsets))),
  };
}
