/** A person's model files in the disposable worker: read to the end and described, and nothing else done with them. */
import { MODEL_LIMITS } from '../protocol/model-files';
import type { CheckedModel } from '../protocol/model-files';
import type { Architecture, PretrainedFile, ReadPretrained } from '../protocol/pretrained';
import type { OnProgress } from '../protocol/progress';
import { sizeOf } from '../core/dtype';
import { wholeFile } from '../core/whole-file';
import { readModelFile } from '../onnx/reader';
import { asBase } from './base';
import { describeBase } from './describe-base';
import { readPicked } from './picked';

export async function readPretrained(
  files: readonly PretrainedFile[],
  architecture: Architecture | null,
  onProgress: OnProgress,
): Promise<ReadPretrained> {
  const { name, graph, file, told } = await readPicked(files, architecture, onProgress);
  onProgress({ label: 'Looking for its head' });
  return { name, summary: describeBase(asBase(graph), told), file };
}

export async function checkModel(file: Blob): Promise<CheckedModel> {
  const bytes = new Uint8Array(await wholeFile(file, MODEL_LIMITS.bytes, 'The model'));
  const { graph, origin } = readModelFile(bytes, { consume: true });
  let weights = 0;
  for (const { dims } of graph.initializers.values()) weights += sizeOf(dims);
  return {
    nodes: graph.nodes.length,
    weights,
    opset: origin.opsets.get('') ?? 0,
    operators: [...new Set(graph.nodes.map(({ op }) => op))].sort(),
  };
}
