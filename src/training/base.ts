/**
 * A trained model as fine-tuning takes it: read from its file, float32 throughout, with every weight a named
 * initialiser.
 */
import { prepareForeign } from '../autodiff/foreign';
import { AppError } from '../core/errors';
import { sha256Hex } from '../core/hash';
import { pruneUnused } from '../onnx/compose';
import type { Graph, Node } from '../onnx/graph';
import { readModel } from '../onnx/reader';

/** A pretrained model, ready to be cut and taught. */
export interface Base {
  readonly graph: Graph;
  readonly name: string;
  /** Of its file. */
  readonly sha256: string;
}

/** Refuses bytes whose hash is not the one expected. */
export async function verified(
  bytes: ArrayBuffer,
  sha256: string,
  name: string,
): Promise<Uint8Array> {
  const found = await sha256Hex(bytes);
  if (found === sha256) return new Uint8Array(bytes);
  throw new AppError(
    'pretrained/hash',
    `The file of ${name} is not the one that was meant: its hash begins with ${found.slice(0, 12)}, not ${sha256.slice(0, 12)}. Reload the page to fetch it again.`,
    { name, expected: sha256, found },
  );
}

export function readBase(bytes: Uint8Array): Graph {
  return asBase(readModel(bytes));
}

export function asBase(graph: Graph): Graph {
  return withoutIdleCasts(prepareForeign(graph));
}

/** Files that store half-precision weights widen them by Cast; those are float32 by now, and the Cast does nothing. */
function withoutIdleCasts(graph: Graph): Graph {
  const initializers = new Map(graph.initializers);
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const tensor = initializers.get(node.inputs[0] ?? '');
    const idle = node.op === 'Cast' && node.domain === '' && node.attributes.get('to')?.value === 1;
    const [output = ''] = node.outputs;
    if (idle && tensor?.dtype === 'float32') initializers.set(output, tensor);
    else nodes.push(node);
  }
  return pruneUnused({ ...graph, nodes, initializers });
}
