/** Bodies that a person brought to start from: immutable, named by the hash of their file, shared by all projects. */
import { sha256Hex } from '../core/hash';
import type { StoreApi } from '../protocol/api';
import type { ChunkRef } from '../protocol/entities';
import { PART_BYTES } from './chunks';
import type { StoreContext } from './context';
import { found } from './errors';

type PretrainedMethods = Pick<
  StoreApi,
  'putPretrained' | 'getPretrained' | 'getPretrainedFile' | 'listPretrained' | 'erasePretrained'
>;

/** A record each, so that no piece is cut again into parts. */
const PIECE_BYTES = PART_BYTES;

export function pretrainedMethods(context: StoreContext): PretrainedMethods {
  const { pretrained } = context.core;
  return {
    async putPretrained({ name, summary }, file) {
      context.assertWritable();
      const id = await sha256Hex(await file.arrayBuffer());
      const chunks: ChunkRef[] = [];
      for (let at = 0; at < file.size; at += PIECE_BYTES) {
        const piece = file.slice(at, at + PIECE_BYTES);
        chunks.push(await context.keepBytes(await piece.arrayBuffer()));
      }
      return context.publish(`The model “${name}”`, chunks, () =>
        context.write('the model', [pretrained], async () => {
          const createdAt = (await pretrained.get(id))?.createdAt ?? context.now();
          const bytes = file.size;
          const record = { id, format: 1, name, createdAt, bytes, chunks, summary } as const;
          await pretrained.put(record);
          return record;
        }),
      );
    },

    async getPretrainedFile(id) {
      const row = await context.read('a pretrained model', [pretrained], () => pretrained.get(id));
      const { bytes, chunks } = found(row, 'pretrained model', id);
      const file = new Uint8Array(bytes);
      let at = 0;
      for (const ref of chunks) {
        file.set(new Uint8Array(await context.chunks.get(ref)), at);
        at += ref.bytes;
      }
      return file.buffer;
    },

    async getPretrained(id) {
      const row = await context.read('a pretrained model', [pretrained], () => pretrained.get(id));
      return found(row, 'pretrained model', id);
    },

    async listPretrained() {
      const rows = await context.read('the pretrained models', [pretrained], () =>
        pretrained.toArray(),
      );
      return rows.sort((a, b) => a.createdAt - b.createdAt);
    },

    async erasePretrained(id) {
      await context.write('the erasure', [pretrained], () => pretrained.delete(id));
      await context.whileNotCollecting('exclusive', () => context.sweep(false));
    },
  };
}
