/** One operator in every form that its kernels have, as on a processor and as on a GPU, against the reference. */
import { expect } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { normals, PhiloxStream } from '../../../src/core/philox';
import { openDevice } from '../../../src/engine/device';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute, Graph, Tensor } from '../../../src/onnx/graph';
import { infer, staticType } from '../../../src/ops/infer-shapes';
import { distance } from './support';

export interface KernelCall {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly outputs?: number;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly training?: boolean;
}

export interface Form {
  readonly name: string;
  readonly executor: WebgpuExecutor;
}

/**
 * Executors on one device. `software` makes the choices of an emulated GPU; `variant` is taken wherever a lowering
 * knows it.
 */
export async function openForms(
  wanted: Readonly<Record<string, { readonly software: boolean; readonly variant?: string }>>,
): Promise<Form[]> {
  const gpu = await openDevice();
  if (gpu === null) throw new Error('There is no WebGPU to test.');
  return Object.entries(wanted).map(([name, { software, variant }]) => ({
    name,
    executor: new WebgpuExecutor({ ...gpu, software }, { variants: () => variant }),
  }));
}

export const closeForms = (forms: readonly Form[]): void =>
  forms.forEach(({ executor }) => {
    executor.dispose();
  });

export function floats(dims: readonly number[], spread = 1, mean = 0, seed = 1): Tensor {
  const data = normals(sizeOf(dims), spread, seed, `kernel-${dims.join()}`).map((x) => x + mean);
  return { dtype: 'float32', dims, data };
}

/** Above 0. */
export function positive(dims: readonly number[], seed = 1): Tensor {
  const { data } = floats(dims, 1, 0, seed);
  return {
    dtype: 'float32',
    dims,
    data: Float32Array.from(data as Float32Array, (x) => 0.3 + x * x),
  };
}

export function integers(dims: readonly number[], below: number, seed = 1): Tensor {
  const random = new PhiloxStream(seed, 'kernel-integers', below);
  const data = Int32Array.from({ length: sizeOf(dims) }, () => random.below(below));
  return { dtype: 'int32', dims, data };
}

export function graphOf({ op, inputs, outputs = 1, attributes = {}, training }: KernelCall): Graph {
  const builder = new GraphBuilder(op);
  const names = inputs.map(({ dtype, dims }, at) => builder.input(`in${at}`, dtype, dims));
  const domain = training ? { domain: TRAINING_DOMAIN } : {};
  const results = builder.nodes(op, names, outputs, attributes, domain);
  const { types } = infer(builder.build());
  for (const name of results) {
    const { dtype, dims } = staticType(types, name);
    builder.output(name, dtype, dims);
  }
  return builder.build();
}

/** Each output in each form near the reference's. */
export async function expectForms(
  forms: readonly Form[],
  call: KernelCall,
  tolerance = 5e-6,
): Promise<void> {
  const graph = graphOf(call);
  const inputs = new Map(call.inputs.map((tensor, at) => [`in${at}`, tensor]));
  const expected = runGraph(graph, inputs);
  for (const { name: form, executor } of forms) {
    const found = await executor.evaluate(graph, inputs);
    for (const { name } of graph.outputs) {
      const [got, want] = [found, expected].map((each) =>
        Array.from(each.get(name)?.data ?? [], Number),
      );
      const what = `${call.op} ${name} ${JSON.stringify(call.inputs.map(({ dims }) => dims))} ${form}`;
      expect(distance(got, want), what).toBeLessThan(tolerance);
    }
  }
}

/** Runs it again: the same bits. */
export async function expectRepeats(forms: readonly Form[], call: KernelCall): Promise<void> {
  const graph = graphOf(call);
  const inputs = new Map(call.inputs.map((tensor, at) => [`in${at}`, tensor]));
  for (const { name, executor } of forms) {
    const first = await executor.evaluate(graph, inputs);
    expect(await executor.evaluate(graph, inputs), name).toEqual(first);
  }
}
