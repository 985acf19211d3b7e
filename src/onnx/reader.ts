/**
 * ModelProto -> Graph. The bytes are hostile until this returns: every length, name, shape and reference has
 * been checked. Functions, control flow, sparse and external tensors are refused by name. What is normalised is
 * only what Graph demands: weights are not also inputs, nodes have unique names, `ai.onnx` is written `''`.
 */
import { AppError } from '../core/errors';
import { checkGraph } from './check';
import type { Attribute, Dim, Graph, Node, Tensor, TensorType, ValueInfo } from './graph';
import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  DIM,
  dtypeOf,
  ENTRY,
  GRAPH,
  IR_RANGE,
  MODEL,
  NODE,
  OPSET,
  OPSET_RANGE,
  TYPE,
  VALUE,
} from './schema';
import { readTensor, sentence, unsupported } from './tensor-wire';
import { WireReader } from './wire';

/** Reads a whole `.onnx` file. Weights are views on `bytes`; do not change those afterwards. */
export function readModel(bytes: Uint8Array): Graph {
  const reader = new WireReader(bytes, 'the model');
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  let irVersion = 0;
  let docString = '';
  let body: WireReader | undefined;
  while (reader.next()) {
    switch (reader.field) {
      case MODEL.irVersion:
        irVersion = reader.int();
        break;
      case MODEL.docString:
        docString = reader.string();
        break;
      case MODEL.graph:
        body = reader.message('the graph');
        break;
      case MODEL.opsetImport: {
        const [domain, version] = readOpset(reader.message('an opset import'));
        opsets.set(domain, version);
        break;
      }
      case MODEL.metadata: {
        const [key, value] = readEntry(reader.message('a metadata entry'));
        metadata.set(key, value);
        break;
      }
      case MODEL.functions:
        throw unsupported('The model', 'defines functions of its own');
      case MODEL.trainingInfo:
        throw unsupported('The model', 'carries training information');
      default:
        reader.skip();
    }
  }
  if (body === undefined || irVersion === 0) {
    throw new AppError(
      'onnx/not-onnx',
      'This file is not an ONNX model: it holds no graph. Choose a file exported as ONNX.',
    );
  }
  checkVersions(irVersion, opsets);
  const graph = { ...readGraph(body), opsets, metadata, docString };
  checkGraph(graph);
  return graph;
}

function checkVersions(irVersion: number, opsets: ReadonlyMap<string, number>): void {
  const [lowIr, highIr] = IR_RANGE;
  if (irVersion < lowIr || irVersion > highIr) {
    throw new AppError(
      'onnx/ir-version',
      `The model is in ONNX format version ${irVersion}; versions ${lowIr} to ${highIr} are read.`,
      { found: irVersion, expected: IR_RANGE },
    );
  }
  const opset = opsets.get('');
  const [low, high] = OPSET_RANGE;
  if (opset !== undefined && (opset < low || opset > high)) {
    throw new AppError(
      'onnx/opset',
      `The model uses opset ${opset}; opsets ${low} to ${high} are read. Export it again with opset 17.`,
      { found: opset, expected: OPSET_RANGE },
    );
  }
}

function readOpset(reader: WireReader): [string, number] {
  let domain = '';
  let version = 0;
  while (reader.next()) {
    if (reader.field === OPSET.domain) domain = reader.string();
    else if (reader.field === OPSET.version) version = reader.int();
    else reader.skip();
  }
  return [plainDomain(domain), version];
}

function plainDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function readEntry(reader: WireReader): [string, string] {
  let key = '';
  let value = '';
  while (reader.next()) {
    if (reader.field === ENTRY.key) key = reader.string();
    else if (reader.field === ENTRY.value) value = reader.string();
    else reader.skip();
  }
  return [key, value];
}

function readGraph(reader: WireReader): Omit<Graph, 'opsets' | 'metadata' | 'docString'> {
  let name = '';
  const rawNodes: Node[] = [];
  const initializers = new Map<string, Tensor>();
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  const inner: ValueInfo[] = [];
  const unknown = { count: 0 };
  while (reader.next()) {
    switch (reader.field) {
      case GRAPH.name:
        name = reader.string();
        break;
      case GRAPH.node:
        rawNodes.push(readNode(reader.message(`node ${rawNodes.length}`)));
        break;
      case GRAPH.initializer: {
        const read = readTensor(reader.message('initializer'));
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
        inputs.push(ranked(readValueInfo(reader.message('graph input'), unknown), 'input'));
        break;
      case GRAPH.output:
        outputs.push(ranked(readValueInfo(reader.message('graph output'), unknown), 'output'));
        break;
      case GRAPH.valueInfo: {
        const info = readValueInfo(reader.message('value info'), unknown);
        if (info.dims) inner.push({ name: info.name, dtype: info.dtype, dims: info.dims });
        break;
      }
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
  };
}

/** ONNX lets node names be empty or repeated; a Graph does not. */
function namedNodes(nodes: readonly Node[]): Node[] {
  const taken = new Set(nodes.map((node) => node.name));
  const used = new Set<string>();
  return nodes.map((node) => {
    let { name } = node;
    for (let index = 0; name === '' || used.has(name); index++) {
      const candidate = `${node.name || node.op}_${index}`;
      if (!taken.has(candidate)) name = candidate;
    }
    used.add(name);
    taken.add(name);
    return name === node.name ? node : { ...node, name };
  });
}

function readNode(reader: WireReader): Node {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  let name = '';
  let op = '';
  let domain = '';
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
        const [key, value] = readAttribute(reader.message(`an attribute of ${reader.what}`));
        attributes.set(key, value);
        break;
      }
      default:
        reader.skip();
    }
  }
  if (op === '') throw reader.malformed('a node without an operator');
  return { name, op, domain, inputs, outputs, attributes };
}

function readAttribute(reader: WireReader): [string, Attribute] {
  let name = '';
  let type = 0;
  let float: number | undefined;
  let int: number | undefined;
  let text: string | undefined;
  let tensor: Tensor | undefined;
  const floats: number[] = [];
  const ints: number[] = [];
  const strings: string[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case ATTRIBUTE.name:
        name = reader.string();
        break;
      case ATTRIBUTE.type:
        type = reader.int();
        break;
      case ATTRIBUTE.float:
        float = reader.float();
        break;
      case ATTRIBUTE.int:
        int = reader.int();
        break;
      case ATTRIBUTE.string:
        text = reader.string();
        break;
      case ATTRIBUTE.tensor:
        tensor = readTensor(reader.message(`a tensor in ${reader.what}`)).tensor;
        break;
      case ATTRIBUTE.floats:
        reader.floats(floats);
        break;
      case ATTRIBUTE.ints:
        reader.ints(ints);
        break;
      case ATTRIBUTE.strings:
        strings.push(reader.string());
        break;
      case ATTRIBUTE.graph:
      case ATTRIBUTE.graphs:
        throw unsupported(reader.what, `("${name}") holds a graph (If, Loop or Scan)`);
      case ATTRIBUTE.tensors:
      case ATTRIBUTE.sparse:
      case ATTRIBUTE.sparses:
      case ATTRIBUTE.typeProto:
      case ATTRIBUTE.typeProtos:
      case ATTRIBUTE.reference:
        throw unsupported(reader.what, `("${name}") is of a kind (field ${reader.field})`);
      default:
        reader.skip();
    }
  }
  if (name === '') throw reader.malformed('an attribute without a name');
  // proto3 leaves zero values out, so the type decides, and the content only where old files have no type.
  const is = (code: number, present: boolean): boolean => type === code || (type === 0 && present);
  if (is(ATTRIBUTE_TYPE.tensor, tensor !== undefined)) {
    if (!tensor) throw reader.malformed(`no tensor for attribute "${name}"`);
    return [name, { type: 'tensor', value: tensor }];
  }
  if (is(ATTRIBUTE_TYPE.floats, floats.length > 0))
    return [name, { type: 'floats', value: floats }];
  if (is(ATTRIBUTE_TYPE.ints, ints.length > 0)) return [name, { type: 'ints', value: ints }];
  if (is(ATTRIBUTE_TYPE.strings, strings.length > 0)) {
    return [name, { type: 'strings', value: strings }];
  }
  if (is(ATTRIBUTE_TYPE.float, float !== undefined)) {
    return [name, { type: 'float', value: float ?? 0 }];
  }
  if (is(ATTRIBUTE_TYPE.string, text !== undefined)) {
    return [name, { type: 'string', value: text ?? '' }];
  }
  if (is(ATTRIBUTE_TYPE.int, int !== undefined)) return [name, { type: 'int', value: int ?? 0 }];
  throw unsupported(reader.what, `("${name}") is of type ${type}`);
}

type MaybeRanked = Omit<ValueInfo, 'dims'> & { readonly dims: readonly Dim[] | undefined };

function ranked(info: MaybeRanked, role: string): ValueInfo {
  if (info.dims) return { name: info.name, dtype: info.dtype, dims: info.dims };
  throw new AppError(
    'onnx/no-shape',
    `The model does not say how many axes its ${role} "${info.name}" has. Export it with shapes.`,
    { name: info.name, role },
  );
}

function readValueInfo(reader: WireReader, unknown: { count: number }): MaybeRanked {
  let name = '';
  let code = 0;
  let dims: Dim[] | undefined;
  while (reader.next()) {
    if (reader.field === VALUE.name) name = reader.string();
    else if (reader.field === VALUE.type) {
      const type = reader.message(`the type of ${reader.what} "${name}"`);
      while (type.next()) {
        if (TYPE.others.includes(type.field)) {
          throw unsupported(`${reader.what} "${name}"`, 'is not a tensor');
        }
        if (type.field !== TYPE.tensor) {
          type.skip();
          continue;
        }
        const tensor = type.message(type.what);
        while (tensor.next()) {
          if (tensor.field === TYPE.elementType) code = tensor.int();
          else if (tensor.field === TYPE.shape)
            dims = readShape(tensor.message(type.what), unknown);
          else tensor.skip();
        }
      }
    } else reader.skip();
  }
  const dtype = dtypeOf(code);
  if (dtype === undefined) {
    throw new AppError(
      'onnx/dtype',
      `${sentence(reader.what)} "${name}" has element type ${code}, which this studio does not read.`,
      { name, code },
    );
  }
  return { name, dtype, dims };
}

/** A length nobody named becomes `?1`, `?2` …: symbols equal only to themselves. */
function readShape(reader: WireReader, unknown: { count: number }): Dim[] {
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
    if (length === undefined || length === -1) length = `?${++unknown.count}`;
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
    dims.push(length);
  }
  return dims;
}
