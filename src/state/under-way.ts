/** Whether any run is under way, in this tab or in another: asked before the studio reloads into a newer version. */
import type { Studio } from './studio';

export async function runUnderWay({ store }: Studio): Promise<boolean> {
  const projects = await store.listProjects();
  const runs = await Promise.all(projects.map(({ id }) => store.listRuns(id)));
  return runs.flat().some(({ status }) => status === 'running' || status === 'preparing');
}
