/** What dropped or chosen files become, by their names: pictures, a project, a place to go, or a table. */
import type { App } from '../../../state/app.svelte';
import { AppError } from '../../../core/errors';
import type { Starter } from '../../../state/router.svelte';
import { sayOpened } from '../../backup/opened';
import { m } from '../../messages/m';
import { arePictures, pictureSource } from '../../picture-files';
import type { PictureFile } from '../../../protocol/api';

const WEIGHTS = /\.(safetensors|pt|pth|ckpt|pkl|pickle|joblib|h5|hdf5|keras|tflite|gguf)$/i;
const NO_TABLE = /\.(xlsx?|ods|numbers|pdf|docx?|gz|parquet|json)$/i;

/** Folders and pictures go to the question what their folders mean; otherwise the first file counts. */
export async function openFiles(app: App, files: readonly PictureFile[]): Promise<void> {
  const [first] = files;
  if (!first) return;
  if (arePictures(files)) {
    // What was wrong with the file before says nothing about these.
    app.imports.dismissError();
    void app.pictures.look(pictureSource(files), m.pictures.looking);
    app.router.go({ screen: 'new', way: 'pictures' });
  } else await openFile(app, new File([first.file], first.path));
}

export async function openFile(app: App, file: File): Promise<void> {
  const { name } = file;
  if (/\.terrarium$/i.test(name)) {
    const steps = { reading: m.home.opening(name), preparing: m.home.preparing };
    const project = await app.imports.projectFile(file, steps);
    await sayOpened(app);
    if (project) app.router.go({ screen: 'data', projectId: project.id });
  } else if (/\.onnx$/i.test(name)) {
    app.imports.refuse(new AppError('import/model-file', m.home.onnx(name), { name }));
  } else if (WEIGHTS.test(name)) {
    app.imports.refuse(new AppError('import/model-file', m.home.weights(name), { name }));
  } else if (NO_TABLE.test(name)) {
    app.imports.refuse(new AppError('import/not-a-table', m.home.notATable(name), { name }));
  } else {
    await openTable(app, file, { name, kind: 'file' });
  }
}

/** Reads a table and goes on to the one question: which column should it predict? */
export async function openTable(
  app: App,
  table: Blob,
  source: { readonly name: string; readonly kind: 'file' | 'paste' },
): Promise<void> {
  const steps = { reading: m.home.reading(source.name), preparing: m.home.preparing };
  const project = await app.imports.table(table, source, steps);
  if (project) app.router.go({ screen: 'goal', projectId: project.id });
}

/** Sets a starter up and lands on Train, which begins by itself. */
export async function openStarter(app: App, starter: Starter): Promise<void> {
  const { name } = m.home[starter];
  const steps = { reading: m.home.reading(name), preparing: m.home.preparing };
  const project = await app.imports.starter(starter, name, steps);
  if (!project) return;
  app.startOnArrival(project.id);
  app.router.go({ screen: 'train', projectId: project.id }, { replace: true });
}
