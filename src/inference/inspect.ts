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
import { answerOutput } from './predict';
import type { Runtime } from './runtime';

/** Far above what the studio makes itself (224), far below what would fill the memory. */
const LARGEST_SIDE = 4096;
const MOST_FEATURES = 64_000_000;

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
  return isRecipe(value) ? value : null;
}

function isRecipe(value: unknown): value is FittedRecipe {
  if (!isRecord(value) || value['format'] !== 1 || !areDims(value['featureDims'])) return false;
  return isInput(value['input']) && isTarget(value['target']);
}

function isInput(input: unknown): boolean {
  if (!isRecord(input)) return false;
  if (input['type'] === 'images') {
    const { channels, height, width } = input;
    // Buffers are made by these before the model is asked.
    const side = (value: unknown) => isCount(value) && value <= LARGEST_SIDE;
    return (channels === 1 || channels === 3) && side(height) && side(width);
  }
  const { type, numeric, categorical } = input;
  if (type !== 'table' || !Array.isArray(numeric) || !Array.isArray(categorical)) return false;
  return (
    numeric.every(
      (entry) =>
        isRecord(entry) &&
        isTexts([entry['column']]) &&
        isNumbers(['impute', 'mean', 'scale', 'min', 'max'].map((key) => entry[key])),
    ) &&
    categorical.every(
      (entry) =>
        isRecord(entry) &&
        isTexts([entry['column'], entry['typical']]) &&
        isTexts(entry['vocabulary']),
    )
  );
}

function isTarget(target: unknown): boolean {
  if (!isRecord(target) || typeof target['column'] !== 'string') return false;
  if (target['task'] === 'classification') return isTexts(target['classes']);
  return target['task'] === 'regression' && isNumbers([target['mean'], target['scale']]);
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

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function isNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => Number.isFinite(entry));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** Of a row's features, and of numbers in all of them. */
function areDims(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > 4 || !value.every(isCount)) return false;
  return sizeOf(value) <= MOST_FEATURES;
}
