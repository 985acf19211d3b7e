/**
 * ModelProto -> Graph. The bytes are hostile until this returns: every length, name, shape and reference has
 * been checked. Model-local functions are written out where they are called, and the nodes are brought to the
 * internal opset, so that the rest of the studio knows one form of each operator.
 */
import { AppError } from '../core/errors';
import { checkGraph } from './check';
import type { ExternalFiles } from './external';
import { inlineFunctions, readFunction } from './functions';
import type { Graph } from './graph';
import { normalise } from './normalise/normalise';
import { readGraph, readOpset } from './read-graph';
import type { ReadContext } from './read-graph';
import { ENTRY, IR_RANGE, MODEL, OPSET_RANGE } from './schema';
import { WireReader } from './wire';
import { unsupported } from './words';

export interface ReadOptions {
  /** Files with weights that stand beside the model, by their path from it. */
  readonly external?: ExternalFiles;
  /** The caller gives its bytes away: weights are moved within them to where arrays can begin, not copied. */
  readonly consume?: boolean;
  /** false: the nodes stay in the opset of the file. */
  readonly normalise?: boolean;
}

/** What a file says of itself. */
export interface ModelOrigin {
  readonly irVersion: number;
  readonly opsets: ReadonlyMap<string, number>;
  readonly producer: string;
  readonly producerVersion: string;
  /** Functions of the model's own, which have been written out. */
  readonly functions: number;
  /** Bytes of weights that could not stay where they were. */
  readonly cost: { readonly copied: number; readonly moved: number };
}

export interface ModelFile {
  readonly graph: Graph;
  readonly origin: ModelOrigin;
}

/** Reads a whole `.onnx` file. Weights are views on `bytes`; do not change those afterwards. */
export function readModel(bytes: Uint8Array, options: ReadOptions = {}): Graph {
  return readModelFile(bytes, options).graph;
}

/** As readModel, with what the file says of itself. */
export function readModelFile(bytes: Uint8Array, options: ReadOptions = {}): ModelFile {
  const reader = new WireReader(bytes, 'the model');
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  const functionReaders: WireReader[] = [];
  let irVersion = 0;
  let producer = '';
  let producerVersion = '';
  let docString = '';
  let body: WireReader | undefined;
  while (reader.next()) {
    switch (reader.field) {
      case MODEL.irVersion:
        irVersion = reader.int();
        break;
      case MODEL.producerName:
        producer = reader.string();
        break;
      case MODEL.producerVersion:
        producerVersion = reader.string();
        break;
      case MODEL.docString:
        docString = reader.string();
        break;
      case MODEL.graph:
        body = reader.message('the graph');
        break;
      case MODEL.opsetImport: {
        const [domain, version] = readOpset(reader.message('an opset import'));
        opsets.set(domain, version);
        break;
      }
      case MODEL.metadata: {
        const [key, value] = readEntry(reader.message('a metadata entry'));
        metadata.set(key, value);
        break;
      }
      case MODEL.functions:
        functionReaders.push(reader.message(`function ${functionReaders.length}`));
        break;
      case MODEL.trainingInfo:
        throw unsupported('The model', 'carries training information');
      default:
        reader.skip();
    }
  }
  if (body === undefined || irVersion === 0) {
    throw new AppError(
      'onnx/not-onnx',
      'This file is not an ONNX model: it holds no graph. Choose a file exported as ONNX.',
    );
  }
  checkVersions(irVersion, opsets);
  const cost = { copied: 0, moved: 0 };
  const context: ReadContext = {
    external: options.external ?? new Map<string, Uint8Array>(),
    consume: options.consume ?? false,
    ...{ cost, opsets, depth: 0, unnamed: { count: 0 } },
  };
  const functions = functionReaders.map((own) => readFunction(own, context));
  for (const own of functions) checkVersions(irVersion, own.opsets);
  const read = { ...readGraph(body, context), metadata, docString };
  const whole = inlineFunctions(read, functions);
  checkGraph(whole.graph);
  const graph = options.normalise === false ? whole.graph : normalise(whole.graph, whole.opsetOf);
  return {
    graph,
    origin: {
      ...{ irVersion, opsets, producer, producerVersion, cost },
      functions: functions.length,
    },
  };
}

function checkVersions(irVersion: number, opsets: ReadonlyMap<string, number>): void {
  const [lowIr, highIr] = IR_RANGE;
  if (irVersion < lowIr || irVersion > highIr) {
    throw new AppError(
      'onnx/ir-version',
      `The model is in ONNX format version ${irVersion}; versions ${lowIr} to ${highIr} are read.`,
      { found: irVersion, expected: IR_RANGE },
    );
  }
  const opset = opsets.get('');
  const [low, high] = OPSET_RANGE;
  if (opset !== undefined && (opset < low || opset > high)) {
    throw new AppError(
      'onnx/opset',
      `The model uses opset ${opset}; opsets ${low} to ${high} are read. Export it again with opset 17.`,
      { found: opset, expected: OPSET_RANGE },
    );
  }
}

function readEntry(reader: WireReader): [string, string] {
  let key = '';
  let value = '';
  while (reader.next()) {
    if (reader.field === ENTRY.key) key = reader.string();
    else if (reader.field === ENTRY.value) value = reader.string();
    else reader.skip();
  }
  return [key, value];
}
