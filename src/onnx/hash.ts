/**
 * The identity of a model: SHA-256 over its structure and the hashes of its initialisers. Names of values and
 * nodes count; the graph's own name, doc strings, metadata and inferred types do not. A graph in memory and the
 * file written from it have the same hash, so opsets count as the file carries them and floats as float32.
 */
import { hashJson, sha256Hex } from '../core/hash';
import type { Attribute, Graph, Tensor, ValueInfo } from './graph';
import { fileOpset } from './schema';
import { bytesOf } from './tensor-wire';
import { usedOpsets } from './writer';

export async function graphHash(graph: Graph): Promise<string> {
  const initializers: [string, unknown][] = [];
  for (const [name, tensor] of graph.initializers) {
    initializers.push([name, await tensorIdentity(tensor)]);
  }
  // The order in which initialisers are stored means nothing.
  initializers.sort(([a], [b]) => (a < b ? -1 : 1));
  const nodes: unknown[] = [];
  for (const node of graph.nodes) {
    const attributes: [string, unknown][] = [];
    for (const [name, attribute] of node.attributes) {
      attributes.push([name, await attributeIdentity(attribute)]);
    }
    attributes.sort(([a], [b]) => (a < b ? -1 : 1));
    nodes.push([node.domain, node.op, node.name, node.inputs, node.outputs, attributes]);
  }
  return hashJson({
    format: 1,
    opsets: usedOpsets(graph, fileOpset(graph)),
    inputs: graph.inputs.map(portIdentity),
    outputs: graph.outputs.map(portIdentity),
    nodes,
    initializers,
  });
}

function portIdentity(info: ValueInfo): unknown {
  return [info.name, info.dtype, info.dims, ...(info.open ? [info.open] : [])];
}

async function tensorIdentity(tensor: Tensor): Promise<unknown> {
  const data = Array.isArray(tensor.data)
    ? await hashJson(tensor.data)
    : await sha256Hex(bytesOf(tensor));
  return [tensor.dtype, tensor.dims, data];
}

async function attributeIdentity(attribute: Attribute): Promise<unknown> {
  switch (attribute.type) {
    case 'tensor':
      return ['tensor', await tensorIdentity(attribute.value)];
    case 'float':
      return ['float', floatText(attribute.value)];
    case 'floats':
      return ['floats', attribute.value.map(floatText)];
    case 'tensors':
      return ['tensors', await Promise.all(attribute.value.map(tensorIdentity))];
    case 'graph':
      return ['graph', await graphHash(attribute.value)];
    case 'graphs':
      return ['graphs', await Promise.all(attribute.value.map(graphHash))];
    default:
      return [attribute.type, attribute.value];
  }
}

/** As text, because JSON has no infinities, and rounded as the file rounds it. */
function floatText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(Math.fround(value));
}
