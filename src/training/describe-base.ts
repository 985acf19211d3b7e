/** Says what a pretrained model is, as plain figures: what the Model screen shows and counts before a run. */
import { loraTargets } from '../autodiff/lora-targets';
import type { LoraTarget } from '../autodiff/lora-targets';
import { bodyOf, cutCandidates, findHead } from '../autodiff/surgery';
import type { Head } from '../autodiff/surgery';
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { Graph, Node } from '../onnx/graph';
import { inspectModel, runBlockers, trainingBlockers } from '../ops/capabilities';
import { infer } from '../ops/infer-shapes';
import type {
  Blocker,
  PretrainedBlock,
  PretrainedSummary,
  PretrainedWeight,
} from '../protocol/pretrained';

/** Sides of pictures that are tried where a model does not say, or says one that need not be. */
const SIDES = [96, 128, 160, 192, 224];

export interface Told {
  readonly pixels?: NonNullable<PretrainedSummary['picture']>['pixels'];
  /** Sides that are known to do well. */
  readonly sizes?: readonly number[];
}

/** @param graph from `readBase`; @param told what came with the file */
export function describeBase(graph: Graph, told: Told = {}): PretrainedSummary {
  const { inputs, outputs, parameters, operators } = inspectModel(graph);
  const port = ({ name, dtype, dims }: (typeof inputs)[number]) => ({ name, dtype, dims });
  const blockers = [...runBlockers(graph), ...inputBlockers(graph)];
  const common = {
    inputs: inputs.map(port),
    outputs: outputs.map(port),
    parameters,
    operators,
    runBlockers: blockers,
  };
  const nothing = { picture: null, head: null, cuts: [], blocks: [], trainingBlockers: [] };
  if (blockers.length > 0) return { ...common, ...nothing };
  const head = headOf(graph);
  if (head === null) return { ...common, ...nothing };
  const picture = pictureOf(graph, head.cut, told);
  const places = new Map(head.blocks.map(({ output }, index) => [output, index + 1]));
  return {
    ...common,
    picture,
    head: {
      node: head.head[0] ?? '',
      outputs: head.classes ?? 0,
      features: head.features,
    },
    cuts: cutCandidates(graph).map(({ value, features }) => ({
      value,
      features,
      blocks: places.get(value) ?? head.blocks.length,
    })),
    blocks: blocksOf(graph, head),
    trainingBlockers: bodyBlockers(graph, head, picture),
  };
}

/** null where the model ends with neither a classifier nor features. */
function headOf(graph: Graph): Head | null {
  try {
    return findHead(graph);
  } catch (error) {
    if (error instanceof AppError && error.code === 'surgery/head') return null;
    throw error;
  }
}

/** One input of float32 or a type that widens to it, with rows on its first axis, is what can be fed here. */
function inputBlockers(graph: Graph): Blocker[] {
  const [input, second] = graph.inputs;
  const told = (reason: string): Blocker[] => [{ node: '', op: '', reason }];
  if (!input) return told('It has no input.');
  if (second) {
    const names = graph.inputs.map(({ name }) => `"${name}"`).join(', ');
    return told(`It has ${graph.inputs.length} inputs (${names}); one can be fed here.`);
  }
  if (input.dtype !== 'float32') {
    return told(
      `Its input "${input.name}" is ${input.dtype}; pictures and columns come as float32.`,
    );
  }
  if (input.dims.length !== 2 && input.dims.length !== 4) {
    return told(
      `Its input "${input.name}" has ${input.dims.length} axes; rows of columns (2) and pictures (4) can be fed here.`,
    );
  }
  return [];
}

function pictureOf(
  graph: Graph,
  cut: string,
  { sizes, pixels = null }: Told,
): PretrainedSummary['picture'] {
  const dims = graph.inputs[0]?.dims ?? [];
  const [, channels, height, width] = dims;
  if (dims.length !== 4 || (channels !== 1 && channels !== 3)) return null;
  if (sizes) return { channels, sizes, pixels };
  const own = typeof height === 'number' && height === width ? [height] : [];
  const sides = [...new Set([...SIDES, ...own])].sort((a, b) => a - b);
  const largest = own[0] ?? Infinity;
  const fits = (side: number): boolean => {
    if (side === own[0]) return true;
    try {
      const body = bodyOf(graph, cut, { inputDims: [channels, side, side] });
      infer(body, { batch: 2 });
      return true;
    } catch (error) {
      // Another size does not pass: the model is not convolutional throughout.
      if (error instanceof AppError) return false;
      throw error;
    }
  };
  return { channels, sizes: sides.filter((side) => side <= largest && fits(side)), pixels };
}

/** What keeps the body from learning; a new head on a frozen body learns all the same. */
function bodyBlockers(
  graph: Graph,
  { cut, blocks }: Head,
  picture: PretrainedSummary['picture'],
): readonly Blocker[] {
  const weights = new Set(blocks.flatMap((block) => block.weights));
  const side = picture?.sizes.at(-1);
  const size = picture && side !== undefined ? [picture.channels, side, side] : undefined;
  const body = bodyOf(graph, cut, size ? { inputDims: size } : {});
  return trainingBlockers(body, weights);
}

function blocksOf(graph: Graph, head: Head): PretrainedBlock[] {
  const nodes = new Map(graph.nodes.map((node) => [node.name, node]));
  const readers = new Map<string, Node>();
  for (const node of graph.nodes) {
    for (const name of node.inputs) if (!readers.has(name)) readers.set(name, node);
  }
  const adaptable = new Map(loraTargets(graph, '*').map((target) => [target.weight, target]));
  return head.blocks.map((block) => {
    const counts = new Map<string, number>();
    for (const name of block.nodes) {
      const op = nodes.get(name)?.op ?? '';
      counts.set(op, (counts.get(op) ?? 0) + 1);
    }
    const operators = [...counts].sort((a, b) => b[1] - a[1]).map(([op]) => op);
    const weights = block.weights.map((name) =>
      weightOf(graph, name, readers.get(name), adaptable.get(name)),
    );
    return { name: block.name, operators, weights };
  });
}

function weightOf(
  graph: Graph,
  name: string,
  reader: Node | undefined,
  adaptable: LoraTarget | undefined,
): PretrainedWeight {
  return {
    name,
    node: reader?.name ?? '',
    numbers: sizeOf(graph.initializers.get(name)?.dims ?? []),
    norm: reader?.op.endsWith('Normalization') ?? false,
    matrix: adaptable ? [adaptable.outputs, adaptable.inputs] : null,
  };
}
