/**
 * GraphProto and what is in it -> Graph, subgraphs included. Names, lengths and types are checked here; which value
 * is made by whom is the business of checkGraph.
 */
import type { DType } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Attribute, Dim, Graph, Node, Tensor, TensorType, ValueInfo } from './graph';
import { ATTRIBUTE, ATTRIBUTE_TYPE, DIM, dtypeOf, GRAPH, NODE, OPSET, TYPE, VALUE } from './schema';
import { readTensor } from './tensor-wire';
import type { TensorSource } from './tensor-wire';
import type { WireReader } from './wire';
import { sentence, unsupported } from './words';

const MAX_AXES = 64;
/** Bodies within bodies; exporters make three or four. */
const MAX_DEPTH = 32;

export interface ReadContext extends TensorSource {
  /** Graphs around the one that is read. */
  readonly depth: number;
  /** Lengths without a name so far. */
  readonly unnamed: { count: number };
  readonly opsets: ReadonlyMap<string, number>;
}

/** A node as the file has it. In function bodies attributes may stand for those of the call. */
export interface SourceNode extends Node {
  readonly overload?: string;
  /** Attribute -> the attribute of the call that gives its value. */
  readonly references?: ReadonlyMap<string, string>;
}

export function plainDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

export function readOpset(reader: WireReader): [string, number] {
  let domain = '';
  let version = 0;
  while (reader.next()) {
    if (reader.field === OPSET.domain) domain = reader.string();
    else if (reader.field === OPSET.version) version = reader.int();
    else reader.skip();
  }
  return [plainDomain(domain), version];
}

export function readGraph(reader: WireReader, context: ReadContext): Graph {
  let name = '';
  let docString = '';
  const rawNodes: SourceNode[] = [];
  const initializers = new Map<string, Tensor>();
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  const inner: ValueInfo[] = [];
  const isBody = context.depth > 0;
  while (reader.next()) {
    switch (reader.field) {
      case GRAPH.name:
        name = reader.string();
        break;
      case GRAPH.node:
        rawNodes.push(readNode(reader.message(`node ${rawNodes.length}`), context));
        break;
      case GRAPH.initializer: {
        const read = readTensor(reader.message('initializer'), context);
        if (initializers.has(read.name)) {
          throw new AppError(
            'onnx/duplicate-name',
            `Two initializers are called "${read.name}". Names must be unique.`,
            { name: read.name },
          );
        }
        initializers.set(read.name, read.tensor);
        break;
      }
      case GRAPH.input:
        inputs.push(portInfo(reader.message('graph input'), context, !isBody));
        break;
      case GRAPH.output:
        outputs.push(portInfo(reader.message('graph output'), context, false));
        break;
      case GRAPH.valueInfo: {
        const info = readValueInfo(reader.message('value info'), context);
        if (info.dtype && info.dims) {
          inner.push({ name: info.name, dtype: info.dtype, dims: info.dims });
        }
        break;
      }
      case GRAPH.docString:
        docString = reader.string();
        break;
      case GRAPH.sparseInitializer:
        throw unsupported('The graph', 'holds sparse initializers');
      default:
        reader.skip();
    }
  }
  const valueInfo = new Map<string, TensorType>();
  for (const { name: value, dtype, dims } of inner) valueInfo.set(value, { dtype, dims });
  return {
    name,
    nodes: namedNodes(rawNodes),
    initializers,
    // Before IR version 4 every weight is also listed as an input.
    inputs: inputs.filter((input) => !initializers.has(input.name)),
    outputs,
    valueInfo,
    opsets: context.opsets,
    metadata: new Map(),
    docString: isBody ? docString : '',
  };
}

/** ONNX lets node names be empty or repeated; a Graph does not. */
export function namedNodes<T extends Node>(nodes: readonly T[]): T[] {
  const taken = new Set(nodes.map((node) => node.name));
  const used = new Set<string>();
  // Numbers below these are taken: a hundred thousand nodes without names must not try them all again for each.
  const untried = new Map<string, number>();
  return nodes.map((node) => {
    let { name } = node;
    const stem = node.name || node.op;
    let index = untried.get(stem) ?? 0;
    for (; name === '' || used.has(name); index++) {
      const candidate = `${stem}_${index}`;
      if (!taken.has(candidate)) name = candidate;
    }
    untried.set(stem, index);
    used.add(name);
    taken.add(name);
    return name === node.name ? node : { ...node, name };
  });
}

export function readNode(reader: WireReader, context: ReadContext): SourceNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  let name = '';
  let op = '';
  let domain = '';
  let overload = '';
  const references = new Map<string, string>();
  while (reader.next()) {
    switch (reader.field) {
      case NODE.input:
        inputs.push(reader.string());
        break;
      case NODE.output:
        outputs.push(reader.string());
        break;
      case NODE.name:
        name = reader.string();
        break;
      case NODE.op:
        op = reader.string();
        break;
      case NODE.domain:
        domain = plainDomain(reader.string());
        break;
      case NODE.attribute: {
        const read = readAttribute(reader.message(`an attribute of ${reader.what}`), context);
        if ('reference' in read) references.set(read.name, read.reference);
        else attributes.set(read.name, read.value);
        break;
      }
      case NODE.overload:
        overload = reader.string();
        break;
      default:
        reader.skip();
    }
  }
  if (op === '') throw reader.malformed('a node without an operator');
  return {
    ...{ name, op, domain, inputs, outputs, attributes },
    ...(overload !== '' && { overload }),
    ...(references.size > 0 && { references }),
  };
}

type ReadAttribute =
  | { readonly name: string; readonly value: Attribute }
  | { readonly name: string; readonly reference: string };

export function readAttribute(reader: WireReader, context: ReadContext): ReadAttribute {
  let name = '';
  let type = 0;
  let reference = '';
  const read: Partial<{ [K in Attribute['type']]: Extract<Attribute, { type: K }>['value'] }> = {};
  const lists = {
    floats: [] as number[],
    ints: [] as number[],
    strings: [] as string[],
    tensors: [] as Tensor[],
    graphs: [] as Graph[],
  };
  const body = (): Graph => {
    const depth = context.depth + 1;
    if (depth > MAX_DEPTH) {
      throw new AppError(
        'onnx/too-deep',
        `The model nests more than ${MAX_DEPTH} graphs in one another (If, Loop, Scan), more than any model that runs here.`,
        { limit: MAX_DEPTH },
      );
    }
    return readGraph(reader.message(`a graph in ${reader.what}`), { ...context, depth });
  };
  while (reader.next()) {
    switch (reader.field) {
      case ATTRIBUTE.name:
        name = reader.string();
        break;
      case ATTRIBUTE.type:
        type = reader.int();
        break;
      case ATTRIBUTE.float:
        read.float = reader.float();
        break;
      case ATTRIBUTE.int:
        read.int = reader.int();
        break;
      case ATTRIBUTE.string:
        read.string = reader.string();
        break;
      case ATTRIBUTE.tensor:
        read.tensor = readTensor(reader.message(`a tensor in ${reader.what}`), context).tensor;
        break;
      case ATTRIBUTE.graph:
        read.graph = body();
        break;
      case ATTRIBUTE.floats:
        reader.floats(lists.floats);
        break;
      case ATTRIBUTE.ints:
        reader.ints(lists.ints);
        break;
      case ATTRIBUTE.strings:
        lists.strings.push(reader.string());
        break;
      case ATTRIBUTE.tensors:
        lists.tensors.push(
          readTensor(reader.message(`a tensor in ${reader.what}`), context).tensor,
        );
        break;
      case ATTRIBUTE.graphs:
        lists.graphs.push(body());
        break;
      case ATTRIBUTE.reference:
        reference = reader.string();
        break;
      case ATTRIBUTE.sparse:
      case ATTRIBUTE.sparses:
      case ATTRIBUTE.typeProto:
      case ATTRIBUTE.typeProtos:
        throw unsupported(reader.what, `("${name}") is of a kind (field ${reader.field})`);
      default:
        reader.skip();
    }
  }
  if (name === '') throw reader.malformed('an attribute without a name');
  if (reference !== '') return { name, reference };
  // proto3 leaves zero values out, so the type decides, and the content only where old files have no type.
  const kind = KINDS.find(
    (own) =>
      type === ATTRIBUTE_TYPE[own] ||
      (type === 0 && (own in lists ? lists[own as keyof typeof lists].length > 0 : own in read)),
  );
  switch (kind) {
    case 'floats':
    case 'ints':
    case 'strings':
    case 'tensors':
    case 'graphs':
      return { name, value: { type: kind, value: lists[kind] } as Attribute };
    case 'float':
    case 'int':
      return { name, value: { type: kind, value: read[kind] ?? 0 } };
    case 'string':
      return { name, value: { type: kind, value: read.string ?? '' } };
    case 'tensor':
      if (!read.tensor) throw reader.malformed(`no tensor for attribute "${name}"`);
      return { name, value: { type: kind, value: read.tensor } };
    case 'graph':
      if (!read.graph) throw reader.malformed(`no graph for attribute "${name}"`);
      return { name, value: { type: kind, value: read.graph } };
    case undefined:
      throw unsupported(reader.what, `("${name}") is of type ${type}`);
  }
}

/** In the order in which files without types are understood. */
const KINDS = [
  ...(['tensor', 'graph', 'floats', 'ints', 'strings', 'tensors', 'graphs'] as const),
  ...(['float', 'string', 'int'] as const),
];

interface RawInfo {
  readonly name: string;
  readonly dtype: DType | undefined;
  readonly dims: readonly Dim[] | undefined;
  /** Element type as numbered in the file; 0 where there is none. */
  readonly code: number;
  readonly isTensor: boolean;
}

/** @param must the type and rank must be said, as of a model's inputs; outputs and bodies may leave them open. */
function portInfo(reader: WireReader, context: ReadContext, must: boolean): ValueInfo {
  const { name, dtype, dims, code, isTensor } = readValueInfo(reader, context);
  if (!isTensor) throw unsupported(`${reader.what} "${name}"`, 'is not a tensor');
  if (dtype && dims) return { name, dtype, dims };
  if (!dtype && (must || code !== 0)) {
    throw new AppError(
      'onnx/dtype',
      `${sentence(reader.what)} "${name}" has element type ${code}, which this studio does not read.`,
      { name, code },
    );
  }
  if (must) {
    throw new AppError(
      'onnx/no-shape',
      `The model does not say how many axes its input "${name}" has. Export it with shapes.`,
      { name },
    );
  }
  if (!dtype) return { name, dtype: 'float32', dims: [], open: 'type' };
  return { name, dtype, dims: [], open: 'shape' };
}

function readValueInfo(reader: WireReader, context: ReadContext): RawInfo {
  let name = '';
  let code = 0;
  let dims: Dim[] | undefined;
  let isTensor = true;
  while (reader.next()) {
    if (reader.field === VALUE.name) name = reader.string();
    else if (reader.field === VALUE.type) {
      const type = reader.message(`the type of ${reader.what} "${name}"`);
      while (type.next()) {
        if (TYPE.others.includes(type.field)) isTensor = false;
        if (type.field !== TYPE.tensor) {
          type.skip();
          continue;
        }
        const tensor = type.message(type.what);
        while (tensor.next()) {
          if (tensor.field === TYPE.elementType) code = tensor.int();
          else if (tensor.field === TYPE.shape)
            dims = readShape(tensor.message(type.what), context);
          else tensor.skip();
        }
      }
    } else reader.skip();
  }
  return { name, dtype: dtypeOf(code), dims, code, isTensor };
}

/** A length nobody named becomes `?1`, `?2` …: symbols equal only to themselves. */
function readShape(reader: WireReader, { unnamed }: ReadContext): Dim[] {
  const dims: Dim[] = [];
  while (reader.next()) {
    if (reader.field !== TYPE.dim) {
      reader.skip();
      continue;
    }
    const dim = reader.message(reader.what);
    let length: Dim | undefined;
    while (dim.next()) {
      if (dim.field === DIM.value) length = dim.int();
      else if (dim.field === DIM.param) length = dim.string() || undefined;
      else dim.skip();
    }
    // Some exporters write -1 for "any".
    if (length === undefined || length === -1) length = `?${++unnamed.count}`;
    if (typeof length === 'number' && length < 0) {
      throw new AppError(
        'onnx/dims',
        `${sentence(reader.what)} has the impossible length ${length}.`,
        {
          where: reader.what,
          length,
        },
      );
    }
    if (dims.length >= MAX_AXES) {
      throw new AppError(
        'onnx/dims',
        `${sentence(reader.what)} has more than ${MAX_AXES} axes, more than any model that runs here.`,
        { where: reader.what, limit: MAX_AXES },
      );
    }
    dims.push(length);
  }
  return dims;
}
