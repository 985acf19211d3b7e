/**
 * The work of a task for onnxruntime outside the browser: one ONNX file in standard operators with its inputs, as
 * base64. A model's file is forward and backward; the update of the weights, which ONNX has no fast form for, is not
 * in it.
 */
import { GraphBuilder } from '../src/onnx/builder';
import { pruneUnused } from '../src/onnx/compose';
import type { DType } from '../src/core/dtype';
import type { Graph } from '../src/onnx/graph';
import { writeModel } from '../src/onnx/writer';
import { expandTrainingOps } from '../src/ops/expand-graph';
import { infer, staticType } from '../src/ops/infer-shapes';
import { batchOf, feedsOf, trainingOf } from './models';
import type { Model } from './models';
import { operatorGraph } from './tasks';
import type { OperatorTask } from './tasks';

export interface NativeTask {
  readonly file: string;
  readonly inputs: readonly {
    readonly name: string;
    readonly dtype: DType;
    readonly dims: readonly number[];
    readonly bytes: string;
  }[];
}

function base64(data: ArrayBufferView): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = '';
  for (let at = 0; at < bytes.length; at += 32_768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
  }
  return btoa(text);
}

function taskOf(graph: Graph, values: ReadonlyMap<string, ArrayBufferView>): NativeTask {
  const plain = expandTrainingOps(pruneUnused(graph));
  return {
    file: base64(writeModel(plain)),
    inputs: plain.inputs.map(({ name, dtype, dims }) => {
      const value = values.get(name);
      if (!value) throw new Error(`There is no value for the input "${name}".`);
      return { name, dtype, dims: dims.map(Number), bytes: base64(value) };
    }),
  };
}

/** Loss and gradients of all weights. */
export function nativeModel(model: Model): NativeTask {
  const { graph, weights, initialState } = trainingOf(model, { withGradients: true });
  const { types } = infer(graph);
  const builder = GraphBuilder.from(graph, { dropOutputs: true });
  for (const name of ['loss_numerator', ...weights.map((weight) => `${weight}/grad`)]) {
    const { dtype, dims } = staticType(types, name);
    builder.output(name, dtype, dims);
  }
  const values = new Map<string, ArrayBufferView>([
    ...initialState,
    ...feedsOf(model, 1, batchOf(model)),
  ]);
  return taskOf(builder.build(), values);
}

export function nativeOperator(task: OperatorTask): NativeTask {
  return taskOf(
    operatorGraph(task).graph,
    new Map(task.inputs.map(({ name, data }) => [name, data])),
  );
}
