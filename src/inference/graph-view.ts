/** The viewer's side of the infer worker: reads graphs from where they are and keeps the last few pictures. */
import { buildBlueprint } from '../blueprints/build';
import { AppError } from '../core/errors';
import type { Graph } from '../onnx/graph';
import { readModel } from '../onnx/reader';
import type { InferApi } from '../protocol/api';
import type { ChunkRef } from '../protocol/entities';
import type { GraphSource } from '../protocol/graph-view';
import { openGraph } from '../viewer/picture';
import type { OpenedGraph } from '../viewer/picture';

const MOST_PICTURES = 2;

export function createGraphView(
  loadChunk: (ref: ChunkRef) => Promise<ArrayBuffer>,
): Pick<InferApi, 'openGraph' | 'graphNode'> {
  const opened = new Map<string, OpenedGraph>();
  let count = 0;

  async function graphOf(source: GraphSource): Promise<Graph> {
    switch (source.kind) {
      case 'model':
        return readModel(new Uint8Array(await loadChunk(source.file)));
      case 'file':
        return readModel(new Uint8Array(source.bytes));
      case 'blueprint': {
        const { blueprint, featureDims, outputs } = source;
        return buildBlueprint(blueprint, { featureDims, outputs, seed: 0 });
      }
    }
  }

  return {
    async openGraph(after, before) {
      const second = await graphOf(after);
      const made = openGraph(second, before === null ? null : await graphOf(before));
      const id = `picture-${++count}`;
      opened.set(id, made);
      for (const old of opened.keys()) {
        if (opened.size <= MOST_PICTURES) break;
        opened.delete(old);
      }
      return { ...made.picture, id };
    },

    graphNode(pictureId, node) {
      const found = opened.get(pictureId);
      if (found) return Promise.resolve(found.details(node));
      throw new AppError('viewer/closed', 'This graph is no longer open. Open it again.', {
        pictureId,
      });
    },
  };
}
