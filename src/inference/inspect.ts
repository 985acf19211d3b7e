/**
 * Says what a person's `.onnx` file is before anything is done with it: the graph is read with limits, then
 * opened once in the runtime. A file that is no model rejects; a model that has problems is described with them.
 */
import { sizeOf } from '../core/dtype';
import { AppError } from '../core/errors';
import { graphHash } from '../onnx/hash';
import { readModel } from '../onnx/reader';
import { TRAINING_DOMAIN } from '../onnx/graph';
import type { Graph } from '../onnx/graph';
import type { InspectedModel } from '../protocol/api';
import type { FittedRecipe, ModelSignature } from '../protocol/entities';
import { isFittedRecipe } from '../protocol/recipe-check';
import { answerOutput } from './predict';
import type { Runtime } from './runtime';

const INPUT_TYPES = new Set(['float32', 'int64', 'uint8']);

export async function inspectModel(file: ArrayBuffer, runtime: Runtime): Promise<InspectedModel> {
  const bytes = new Uint8Array(file);
  const graph = readModel(bytes);
  const problems = [...structuralProblems(graph)];
  if (problems.length === 0) {
    try {
      const session = await runtime.open(bytes);
      await session.release();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  const counts = new Map<string, number>();
  for (const { op, domain } of graph.nodes) {
    const name = domain === '' ? op : `${domain}.${op}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return {
    graphHash: await graphHash(graph),
    weights: weightsOf(graph),
    bytes: bytes.byteLength,
    signature: signatureOf(graph),
    recipe: recipeOf(graph),
    operators: [...counts]
      .map(([op, count]) => ({ op, count }))
      .sort((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1)),
    problems,
  };
}

function structuralProblems(graph: Graph): string[] {
  const problems: string[] = [];
  if (graph.nodes.some(({ domain }) => domain === TRAINING_DOMAIN))
    problems.push('It holds training-only operators. Export the finished model instead.');
  for (const { name, dtype } of graph.inputs)
    if (!INPUT_TYPES.has(dtype))
      problems.push(`Its input "${name}" is ${dtype}; float32, int64 and uint8 can be fed.`);
  try {
    answerOutput(graph);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    problems.push(error.message);
  }
  return problems;
}

/** Numbers learned: floating or integer initialisers of more than one element. */
export function weightsOf(graph: Graph): number {
  let weights = 0;
  for (const { dims, dtype } of graph.initializers.values()) {
    const size = sizeOf(dims);
    if (size > 1 && dtype !== 'int64' && dtype !== 'bool' && dtype !== 'string') weights += size;
  }
  return weights;
}

/** From our own metadata where it is there and whole, else from the graph's inputs and outputs. */
export function signatureOf(graph: Graph): ModelSignature {
  const ports = (list: Graph['inputs']) =>
    list.map(({ name, dtype, dims }) => ({ name, dtype, dims }));
  const own = parsed(graph.metadata.get('terrarium.signature'));
  const target = recipeOf(graph)?.target;
  const classifies =
    own?.['task'] === 'classification' ||
    target?.task === 'classification' ||
    graph.outputs.some(({ name }) => name === 'probabilities');
  const told = own?.['classes'];
  const classes =
    Array.isArray(told) && told.every((label) => typeof label === 'string')
      ? told
      : target?.task === 'classification'
        ? target.classes
        : [];
  return {
    task: classifies ? 'classification' : 'regression',
    classes,
    inputs: ports(graph.inputs),
    outputs: ports(graph.outputs),
  };
}

/** Metadata of an imported file is hostile: anything that is not a recipe's shape counts as absent. */
export function recipeOf(graph: Graph): FittedRecipe | null {
  const value: unknown = parsed(graph.metadata.get('terrarium.recipe'));
  return isFittedRecipe(value) ? value : null;
}

function parsed(text: string | undefined): Record<string, unknown> | null {
  if (text === undefined) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
