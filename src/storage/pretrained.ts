/** Bodies that a person brought to start from: immutable, named by the hash of their file, shared by all projects. */
import type { StoreApi } from '../protocol/api';
import type { StoreContext } from './context';
import { found } from './errors';

type PretrainedMethods = Pick<
  StoreApi,
  'putPretrained' | 'getPretrained' | 'listPretrained' | 'erasePretrained'
>;

export function pretrainedMethods(context: StoreContext): PretrainedMethods {
  const { pretrained } = context.core;
  return {
    async putPretrained({ name, summary }, bytes) {
      context.assertWritable();
      const file = await context.chunks.put(bytes);
      return context.publish(`The model “${name}”`, [file], [pretrained], async () => {
        const known = await pretrained.get(file.sha256);
        const record = {
          id: file.sha256,
          format: 1,
          name,
          createdAt: known?.createdAt ?? context.now(),
          file,
          summary,
        } as const;
        await pretrained.put(record);
        return record;
      });
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
