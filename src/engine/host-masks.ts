/**
 * Dropout masks for executors that have no kernel for them: drawn on the host before each step, and fed. The
 * numbers are those that a kernel would draw (ops/DropoutMask/spec.ts).
 */
import { sizeOf } from '../core/dtype';
import { AppError } from '../core/errors';
import { TRAINING_DOMAIN } from '../onnx/graph';
import type { Graph, Node, ValueInfo } from '../onnx/graph';
import { renameReads } from '../onnx/subgraphs';
import { drawMask, dropoutMaskSettings } from '../ops/DropoutMask/spec';
import type { Feeds, Program } from './executor';

export interface HostMasks {
  /** Masks are inputs instead of nodes; the key is one no longer. */
  readonly graph: Graph;
  /** A Program of that graph, fed as one of the graph that was given. */
  around(program: Program): Program;
}

interface Mask {
  readonly node: Node;
  readonly name: string;
  readonly data: Float32Array;
}

export function withHostMasks(graph: Graph): HostMasks {
  const drawn = graph.nodes.filter(isMask);
  if (drawn.length === 0) return { graph, around: (program) => program };
  // A mask that is drawn a second time is the same mask.
  const masks = new Map<string, Mask>();
  const renamed = new Map<string, string>();
  for (const node of drawn) {
    const [name = ''] = node.outputs;
    const key = JSON.stringify([node.inputs, [...node.attributes]]);
    const known = masks.get(key);
    if (known) renamed.set(name, known.name);
    else masks.set(key, { node, name, data: new Float32Array(sizeOf(dimsOf(node))) });
  }
  const nodes = graph.nodes
    .filter((node) => !isMask(node))
    .map((node) => renameReads(node, renamed));
  const keys = new Set(drawn.map(({ inputs }) => inputs[0] ?? ''));
  const inputs = [
    ...graph.inputs.filter(({ name }) => !keys.has(name)),
    ...Array.from(masks.values(), ({ node, name }): ValueInfo => ({
      name,
      dtype: 'float32',
      dims: dimsOf(node),
    })),
  ];
  const fed = (feeds: Feeds): Feeds => {
    const all = new Map(feeds);
    // A Program takes its feeds when it is called, so one array a mask is enough.
    for (const { node, name, data } of masks.values()) {
      drawMask(node, keyOf(feeds, node), data);
      all.set(name, data);
    }
    return all;
  };
  return {
    graph: { ...graph, inputs, nodes },
    around: (program) => {
      const profile = program.profile?.bind(program);
      return {
        step: (feeds) => program.step(fed(feeds)),
        ...(profile && { profile: (feeds: Feeds) => profile(fed(feeds)) }),
        get stats() {
          return program.stats;
        },
        dispose: () => program.dispose(),
      };
    },
  };
}

const isMask = ({ domain, op }: Node) => domain === TRAINING_DOMAIN && op === 'DropoutMask';

const dimsOf = (node: Node) => dropoutMaskSettings(node).dims;

function keyOf(feeds: Feeds, node: Node): Int32Array {
  const [name = ''] = node.inputs;
  const key = feeds.get(name);
  if (key instanceof Int32Array) return key;
  throw new AppError('engine/feed', `The step needs "${name}", which was not fed.`, { name });
}
