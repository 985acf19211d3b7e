/** Projects: the only records a person edits. Every write counts the revision up; an older one is refused. */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Id, Project, ProjectEdit } from '../protocol/entities';
import type { StoreContext } from './context';
import { deletionOf, eraseProject } from './deletion';
import { found } from './errors';

type ProjectMethods = Pick<
  StoreApi,
  | 'createProject'
  | 'editProject'
  | 'getProject'
  | 'listProjects'
  | 'duplicateProject'
  | 'describeDeletion'
  | 'trashProject'
  | 'restoreProject'
  | 'eraseProject'
  | 'openTest'
>;

const EDITABLE: ReadonlySet<string> = new Set<keyof ProjectEdit>([
  'name',
  'datasetId',
  'target',
  'task',
  'gates',
  'recipe',
  'split',
  'blueprint',
  'training',
  'seed',
  'executor',
  'temporary',
]);

export function projectMethods(context: StoreContext): ProjectMethods {
  const { projects, datasets, links } = context.core;

  /** Reads, changes and writes the project in one transaction. */
  function change(id: Id, edit: (project: Project) => Partial<Project>): Promise<Project> {
    return context.writeProject(id, 'the project', [projects, datasets, links], async () => {
      const project = found(await projects.get(id), 'project', id);
      const next: Project = {
        ...project,
        ...edit(project),
        updatedAt: context.now(),
        revision: project.revision + 1,
      };
      await context.link(id, next.datasetId);
      await projects.put(next);
      return next;
    });
  }

  return {
    async createProject(draft) {
      const now = context.now();
      const project: Project = {
        ...draft,
        id: context.newProjectId(),
        createdAt: now,
        updatedAt: now,
        trashedAt: null,
        testOpened: 0,
        revision: 1,
      };
      const tables = [projects, datasets, links];
      await context.writeNewProject(project.id, 'the new project', tables, async () => {
        await context.link(project.id, project.datasetId);
        await projects.add(project);
      });
      return project;
    },

    async editProject(id, revision, edit) {
      const unknown = Object.keys(edit).find((key) => !EDITABLE.has(key));
      if (unknown !== undefined) {
        throw new AppError('store/not-editable', `“${unknown}” of a project cannot be edited.`, {
          field: unknown,
        });
      }
      return change(id, (project) => {
        if (project.revision !== revision) throw conflict(project, revision);
        return edit;
      });
    },

    getProject: async (id) =>
      found(await context.read('the project', [projects], () => projects.get(id)), 'project', id),

    async listProjects({ trashed = false } = {}) {
      const rows = await context.read('the projects', [projects], () => projects.toArray());
      return rows
        .filter((project) => (project.trashedAt !== null) === trashed)
        .sort((a, b) => b.updatedAt - a.updatedAt);
    },

    async duplicateProject(id) {
      const { copyBundle, insertBundle, readBundle, withoutTrash } = await import('./bundle');
      const bundle = withoutTrash(await readBundle(context, id));
      const copy = await copyBundle(bundle, context.now(), `${bundle.project.name} (copy)`);
      return insertBundle(context, copy);
    },

    async describeDeletion(id) {
      const { runs, models, bytes } = await deletionOf(context, id);
      return { runs, models, bytes };
    },

    trashProject: (id) => change(id, () => ({ trashedAt: context.now() })),
    restoreProject: (id) => change(id, () => ({ trashedAt: null })),
    eraseProject: async (id) => ({ bytes: await eraseProject(context, id) }),
    openTest: (id) => change(id, ({ testOpened }) => ({ testOpened: testOpened + 1 })),
  };
}

function conflict(project: Project, revision: number): AppError {
  return new AppError(
    'store/conflict',
    `“${project.name}” was changed in another tab meanwhile. The newer state has been kept; reload it and make the change again.`,
    { id: project.id, revision, current: project.revision },
  );
}
