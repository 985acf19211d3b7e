/** One test on one executor, and what to say of it. */
import { AppError } from '../../../src/core/errors';
import type { Tensors } from '../../../src/engine/evaluate';
import type { Graph } from '../../../src/onnx/graph';
import { openCase } from './case';
import type { CaseListing, ReadFile } from './case';
import { difference } from './compare';

export interface Outcome {
  readonly status: 'pass' | 'fail' | 'unsupported';
  readonly reason: string;
}

export type Evaluate = (graph: Graph, inputs: Tensors) => Tensors | Promise<Tensors>;

/** Codes that say "this build does not do that": no wrong answer was given. */
const UNSUPPORTED = new Set([
  'conformance/files',
  'engine/unsupported',
  'onnx/dtype',
  'onnx/external-data',
  'onnx/ir-version',
  'onnx/no-shape',
  'onnx/not-onnx',
  'onnx/operator',
  'onnx/opset',
  'onnx/unsupported',
]);

export async function runCase(
  listing: CaseListing,
  read: ReadFile,
  evaluate: Evaluate,
): Promise<Outcome> {
  try {
    const { graph, dataSets } = await openCase(listing, read);
    for await (const { name, inputs, expected } of dataSets()) {
      const results = await evaluate(graph, inputs);
      for (const { name: output, tensor } of expected) {
        const found = results.get(output);
        const reason = found ? difference(found, tensor) : 'was not given';
        if (reason === undefined) continue;
        const where = listing.sets.length === 1 ? '' : `${name}: `;
        return { status: 'fail', reason: `${where}the output "${output}" ${reason}` };
      }
    }
    return { status: 'pass', reason: '' };
  } catch (error) {
    return outcomeOf(error);
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof AppError) {
    const status = UNSUPPORTED.has(error.code) ? 'unsupported' : 'fail';
    return { status, reason: `${error.message} (${error.code})` };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { status: 'fail', reason: text.split('\n').slice(0, 3).join(' ').replace(/\s+/g, ' ') };
}
