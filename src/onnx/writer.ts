/**
 * Graph -> ModelProto bytes. Numbers go out as `raw_data`. The file carries the lowest opset (from 17 on) that
 * holds the nodes used, so that old runtimes read it; see schema.ts.
 */
import { DTYPE_CODE } from '../core/dtype';
import { AppError } from '../core/errors';
import { checkGraph } from './check';
import { TRAINING_DOMAIN } from './graph';
import type { Attribute, Graph, Node, ValueInfo } from './graph';
import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  DIM,
  ENTRY,
  fileOpset,
  GRAPH,
  irVersionOf,
  MODEL,
  NODE,
  OPSET,
  TYPE,
  VALUE,
} from './schema';
import { subgraphsOf } from './subgraphs';
import { writeTensor } from './tensor-wire';
import { WireWriter } from './wire';

export interface WriteOptions {
  readonly producer?: string;
  readonly producerVersion?: string;
  /** Lets nodes of `terrarium.training` through: for inspection only, no runtime knows them. */
  readonly allowTraining?: boolean;
  /** `lowest` fits old runtimes; `as-is` keeps the graph's own opset. */
  readonly opset?: 'lowest' | 'as-is';
}

/** Checks the graph and writes it as one `.onnx` file. */
export function writeModel(graph: Graph, options: WriteOptions = {}): Uint8Array<ArrayBuffer> {
  checkGraph(graph);
  if (!options.allowTraining) refuseTraining(graph);
  const own = graph.opsets.get('');
  const opset = options.opset === 'as-is' && own !== undefined ? own : fileOpset(graph);
  const model = new WireWriter()
    .int(MODEL.irVersion, irVersionOf(opset))
    .string(MODEL.producerName, options.producer ?? 'terrarium')
    .optionalString(MODEL.producerVersion, options.producerVersion ?? '')
    .optionalString(MODEL.docString, graph.docString)
    .message(MODEL.graph, writeGraph(graph));
  for (const [domain, version] of usedOpsets(graph, opset)) {
    model.message(
      MODEL.opsetImport,
      new WireWriter().optionalString(OPSET.domain, domain).int(OPSET.version, version),
    );
  }
  for (const [key, value] of graph.metadata) {
    model.message(
      MODEL.metadata,
      new WireWriter().string(ENTRY.key, key).string(ENTRY.value, value),
    );
  }
  return model.finish();
}

function refuseTraining(graph: Graph): void {
  for (const node of graph.nodes) {
    subgraphsOf(node).forEach(refuseTraining);
    if (node.domain === TRAINING_DOMAIN) {
      throw new AppError(
        'onnx/training-node',
        `Node "${node.name}" (${node.op}) exists only while a model learns and has no place in a model file.`,
        { node: node.name, op: node.op },
      );
    }
  }
}

/** ai.onnx first, then the other domains that nodes use, by name. */
export function usedOpsets(graph: Graph, opset: number): [string, number][] {
  const domains = new Set<string>();
  collectDomains(graph, domains);
  const others = [...domains]
    .sort()
    .map((domain): [string, number] => [domain, graph.opsets.get(domain) ?? 1]);
  return [['', opset], ...others];
}

function collectDomains(graph: Graph, to: Set<string>): void {
  for (const node of graph.nodes) {
    if (node.domain !== '') to.add(node.domain);
    for (const body of subgraphsOf(node)) collectDomains(body, to);
  }
}

function writeGraph(graph: Graph, isBody = false): WireWriter {
  const writer = new WireWriter();
  for (const node of graph.nodes) writer.message(GRAPH.node, writeNode(node));
  // Runtimes insist on a name.
  writer.string(GRAPH.name, graph.name === '' ? 'graph' : graph.name);
  for (const [name, tensor] of graph.initializers) {
    writer.message(GRAPH.initializer, writeTensor(tensor, name));
  }
  if (isBody) writer.optionalString(GRAPH.docString, graph.docString);
  for (const input of graph.inputs) writer.message(GRAPH.input, writeValueInfo(input));
  for (const output of graph.outputs) writer.message(GRAPH.output, writeValueInfo(output));
  for (const [name, type] of graph.valueInfo) {
    writer.message(GRAPH.valueInfo, writeValueInfo({ name, ...type }));
  }
  return writer;
}

function writeNode(node: Node): WireWriter {
  const writer = new WireWriter();
  for (const input of node.inputs) writer.string(NODE.input, input);
  for (const output of node.outputs) writer.string(NODE.output, output);
  writer.string(NODE.name, node.name).string(NODE.op, node.op);
  for (const [name, attribute] of node.attributes) {
    writer.message(NODE.attribute, writeAttribute(name, attribute));
  }
  return writer.optionalString(NODE.domain, node.domain);
}

function writeAttribute(name: string, attribute: Attribute): WireWriter {
  const writer = new WireWriter()
    .string(ATTRIBUTE.name, name)
    .int(ATTRIBUTE.type, ATTRIBUTE_TYPE[attribute.type]);
  switch (attribute.type) {
    case 'int':
      return writer.int(ATTRIBUTE.int, attribute.value);
    case 'float':
      return writer.float(ATTRIBUTE.float, attribute.value);
    case 'string':
      return writer.string(ATTRIBUTE.string, attribute.value);
    case 'tensor':
      return writer.message(ATTRIBUTE.tensor, writeTensor(attribute.value, ''));
    case 'ints':
      return writer.ints(ATTRIBUTE.ints, attribute.value);
    case 'floats':
      return writer.floats(ATTRIBUTE.floats, attribute.value);
    case 'strings':
      for (const text of attribute.value) writer.string(ATTRIBUTE.strings, text);
      return writer;
    case 'tensors':
      for (const tensor of attribute.value) {
        writer.message(ATTRIBUTE.tensors, writeTensor(tensor, ''));
      }
      return writer;
    case 'graph':
      return writer.message(ATTRIBUTE.graph, writeGraph(attribute.value, true));
    case 'graphs':
      for (const graph of attribute.value) {
        writer.message(ATTRIBUTE.graphs, writeGraph(graph, true));
      }
      return writer;
  }
}

function writeValueInfo(info: ValueInfo): WireWriter {
  const named = new WireWriter().string(VALUE.name, info.name);
  if (info.open === 'type') return named;
  const shape = new WireWriter();
  for (const dim of info.dims) {
    const length = new WireWriter();
    if (typeof dim === 'number') length.int(DIM.value, dim);
    else if (!dim.startsWith('?')) length.string(DIM.param, dim);
    shape.message(TYPE.dim, length);
  }
  const tensor = new WireWriter().int(TYPE.elementType, DTYPE_CODE[info.dtype]);
  if (info.open !== 'shape') tensor.message(TYPE.shape, shape);
  return named.message(VALUE.type, new WireWriter().message(TYPE.tensor, tensor));
}
