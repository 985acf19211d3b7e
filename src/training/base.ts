/**
 * A trained model as fine-tuning takes it: read from its file, float32 throughout, with every weight a named
 * initialiser.
 */
import { prepareForeign } from '../autodiff/foreign';
import { AppError } from '../core/errors';
import { sha256Hex } from '../core/hash';
import type { Graph } from '../onnx/graph';
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

/** @param bytes are given away: weights become views on them, moved to where arrays can begin. */
export function readBase(bytes: Uint8Array): Graph {
  return asBase(readModel(bytes, { consume: true }));
}

export function asBase(graph: Graph): Graph {
  return prepareForeign(graph);
}
