/**
 * One test in ONNX's own form: a model beside folders `test_data_set_N` of `input_K.pb` and `output_K.pb`, each a
 * serialised TensorProto. Only paths and a reader are needed, so a test can lie in a folder, in a packed file, or
 * behind a server.
 */
import { AppError } from '../../../src/core/errors';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import { GRAPH, MODEL, VALUE } from '../../../src/onnx/schema';
import { readTensor } from '../../../src/onnx/tensor-wire';
import { WireReader } from '../../../src/onnx/wire';

/** What lies in one test's folder; all paths are relative to it. */
export interface CaseListing {
  readonly name: string;
  readonly model: string;
  readonly sets: readonly {
    readonly name: string;
    /** In the order of their numbers. */
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
  }[];
  /** Other files: the model's external data. */
  readonly others: readonly string[];
}

export type ReadFile = (path: string) => Promise<Uint8Array>;

export interface DataSet {
  readonly name: string;
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** In the order of the graph's outputs; files of later outputs may be missing. */
  readonly expected: readonly { readonly name: string; readonly tensor: Tensor }[];
}

export interface Case {
  readonly name: string;
  readonly graph: Graph;
  dataSets(): AsyncGenerator<DataSet>;
}

const MODEL_FILE = /\.onnx$/;
const DATA_FILE = /^(.*?)test_data_set_(\d+)\/(input|output)_(\d+)\.pb$/;

/** Finds the tests among the files of a folder and all its sub-folders. `root` names a test that is the folder. */
export function findCases(
  paths: readonly string[],
  root: string,
): (CaseListing & { folder: string })[] {
  const folders = new Map<string, { models: string[]; data: RegExpExecArray[] }>();
  const folder = (path: string) => {
    const known = folders.get(path) ?? { models: [], data: [] };
    folders.set(path, known);
    return known;
  };
  for (const path of paths) {
    const data = DATA_FILE.exec(path);
    if (data) folder(data[1] ?? '').data.push(data);
    else if (MODEL_FILE.test(path))
      folder(path.slice(0, path.lastIndexOf('/') + 1)).models.push(path);
  }
  return [...folders]
    .map(([at, { models, data }]) => {
      const inside = (path: string) => path.slice(at.length);
      const names = models.map(inside);
      const model = names.includes('model.onnx') ? 'model.onnx' : (names[0] ?? 'model.onnx');
      const others = paths.filter(
        (path) => path.startsWith(at) && !DATA_FILE.test(path) && inside(path) !== model,
      );
      return {
        name: at === '' ? root : at.slice(0, -1),
        folder: at,
        model,
        sets: setsOf(data, at.length),
        others: models.length === 0 ? [] : others.map(inside),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function setsOf(files: readonly RegExpExecArray[], from: number): CaseListing['sets'] {
  const sets = new Map<number, { inputs: [number, string][]; outputs: [number, string][] }>();
  for (const [path, , set = '', kind, number = ''] of files) {
    const known = sets.get(Number(set)) ?? { inputs: [], outputs: [] };
    sets.set(Number(set), known);
    known[kind === 'input' ? 'inputs' : 'outputs'].push([Number(number), path.slice(from)]);
  }
  const ordered = (list: [number, string][]) =>
    list.sort(([a], [b]) => a - b).map(([, path]) => path);
  return [...sets]
    .sort(([a], [b]) => a - b)
    .map(([number, { inputs, outputs }]) => ({
      name: `test_data_set_${number}`,
      inputs: ordered(inputs),
      outputs: ordered(outputs),
    }));
}

/** @throws AppError what the reader refuses, and `conformance/files` where files are missing */
export async function openCase(listing: CaseListing, read: ReadFile): Promise<Case> {
  if (listing.sets.length === 0) throw missing(`${listing.name} has no test_data_set_0`);
  const bytes = await read(listing.model);
  const external = new Map<string, Uint8Array>();
  for (const path of listing.others) external.set(path, await read(path));
  const graph = readModel(bytes, { external });
  const declared = inputNames(bytes);
  return {
    name: listing.name,
    graph,
    async *dataSets() {
      for (const { name, inputs, outputs } of listing.sets) {
        if (outputs.length === 0) throw missing(`${listing.name}/${name} has no output_0.pb`);
        const given = await readTensors(inputs, read);
        const expected = await readTensors(outputs, read);
        if (expected.length > graph.outputs.length) {
          throw missing(
            `${listing.name}/${name} has ${expected.length} outputs; the model has ${graph.outputs.length}`,
          );
        }
        yield {
          name,
          inputs: named(graph, declared, given, `${listing.name}/${name}`),
          expected: expected.map(({ tensor }, index) => ({
            name: graph.outputs[index]?.name ?? '',
            tensor,
          })),
        };
      }
    },
  };
}

interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

async function readTensors(paths: readonly string[], read: ReadFile): Promise<NamedTensor[]> {
  const tensors: NamedTensor[] = [];
  const source = { external: new Map(), consume: false, cost: { copied: 0, moved: 0 } };
  for (const path of paths) {
    tensors.push(readTensor(new WireReader(await read(path), path), source));
  }
  return tensors;
}

/**
 * File K is for input K. Weights that old models list as inputs may have files or not: without, the files are for
 * the inputs that are no weights; where neither count fits, the names inside the files decide.
 */
function named(
  graph: Graph,
  declared: readonly string[],
  given: readonly NamedTensor[],
  where: string,
): Map<string, Tensor> {
  const free = graph.inputs.map(({ name }) => name);
  const own = given.map(({ name }) => name);
  const fits = (names: readonly string[]) => names.length === given.length;
  const byName = new Set(own).size === own.length && own.every((name) => declared.includes(name));
  const order = fits(free) ? free : fits(declared) ? declared : byName ? own : free;
  if (order.length < given.length) {
    throw missing(`${where} has ${given.length} inputs; the model has ${free.length}`);
  }
  return new Map(given.map(({ tensor }, index) => [order[index] ?? '', tensor]));
}

/** Names of the graph's inputs as the file lists them; a Graph leaves out those that are weights. */
function inputNames(bytes: Uint8Array): string[] {
  const names: string[] = [];
  const model = new WireReader(bytes, 'the model');
  while (model.next()) {
    if (model.field !== MODEL.graph) {
      model.skip();
      continue;
    }
    const graph = model.message('the graph');
    while (graph.next()) {
      if (graph.field !== GRAPH.input) {
        graph.skip();
        continue;
      }
      const input = graph.message('graph input');
      while (input.next()) {
        if (input.field === VALUE.name) names.push(input.string());
        else input.skip();
      }
    }
  }
  return names;
}

function missing(what: string): AppError {
  return new AppError('conformance/files', `${what}.`);
}
