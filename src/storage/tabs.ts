/** What a page asks so that its tab is, or ceases to be, the one that writes a project. */
import type { TabsStoreApi } from '../protocol/tabs';
import type { StoreContext } from './context';

/** The page of this tab shows the project. */
const PAGE = 'page';

export function tabsMethods(context: StoreContext): TabsStoreApi {
  return {
    async claimProject(id, { takeOver = false } = {}) {
      context.assertWritable();
      return { epoch: await context.claims.claim(id, PAGE, takeOver) };
    },

    releaseProject(id) {
      context.claims.let(id, PAGE);
      return Promise.resolve();
    },
  };
}
