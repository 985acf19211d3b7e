/**
 * A graph once, in onnxruntime-web. Element types pass as they are. An operator that the runtime lacks (it says so
 * when the session opens) is rewritten in others where it has an expansion.
 */
import { Tensor as OrtTensor } from 'onnxruntime-web/wasm';
import type { InferenceSession } from 'onnxruntime-web/wasm';
import { AppError } from '../../core/errors';
import type { DType } from '../../core/dtype';
import { pruneUnused } from '../../onnx/compose';
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Graph, Tensor } from '../../onnx/graph';
import { writeModel } from '../../onnx/writer';
import { expandOps } from '../../ops/expand-graph';
import { lookupOp } from '../../ops/registry';
import { bindInputs } from '../evaluate';
import type { Tensors } from '../evaluate';
import { openSession } from './ort';

/** Element types that both sides hold in the same arrays. */
const SHARED: ReadonlySet<DType> = new Set<DType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'string',
]);

export async function evaluateWasm(graph: Graph, inputs: Tensors): Promise<Map<string, Tensor>> {
  const bound = bindInputs(graph, inputs);
  const made = new Set(bound.nodes.flatMap((node) => node.outputs));
  const results = new Map<string, Tensor>();
  // The runtime wants outputs that a node makes; others are known already.
  for (const { name } of bound.outputs) {
    const known = inputs.get(name) ?? bound.initializers.get(name);
    if (known && !made.has(name)) results.set(name, known);
  }
  const computed = bound.outputs.filter(({ name }) => !results.has(name));
  for (const { name, dtype } of computed) if (!SHARED.has(dtype)) throw noType(name, dtype);
  if (computed.length > 0) {
    const session = await openExpanded(pruneUnused({ ...bound, outputs: computed }));
    try {
      const feeds = session.inputNames.map((name) => [name, toOrt(name, inputs.get(name))]);
      const found = await session.run(Object.fromEntries(feeds) as Record<string, OrtTensor>);
      for (const { name } of computed) results.set(name, fromOrt(name, found[name]));
    } finally {
      await session.release();
    }
  }
  return new Map(graph.outputs.flatMap(({ name }) => entry(name, results.get(name))));
}

const entry = (name: string, tensor: Tensor | undefined): [string, Tensor][] =>
  tensor ? [[name, tensor]] : [];

/**
 * Opens a session. Where the runtime says which operator it misses, that one is expanded and it tries again; where it
 * refuses for another reason (a form of an operator that it does not carry out), everything that can be.
 */
export async function openExpanded(graph: Graph): Promise<InferenceSession> {
  const lacking = new Set<string>();
  for (;;) {
    const expanded = expandOps(
      graph,
      ({ op, domain }) => domain !== TRAINING_DOMAIN && !lacking.has(op),
    );
    try {
      return await openSession(writeModel(pruneUnused(expanded), { opset: 'as-is' }));
    } catch (cause) {
      if (cause instanceof AppError) throw cause;
      const text = cause instanceof Error ? cause.message : String(cause);
      const missing = missingOperator(text);
      const wanted = missing === undefined ? graph.nodes.map(({ op }) => op) : [missing];
      const fresh = wanted.filter((op) => !lacking.has(op) && lookupOp('', op)?.expand);
      if (fresh.length === 0) {
        throw new AppError(
          'engine/unsupported',
          `onnxruntime-web does not open this model: ${text.split('\n')[0] ?? ''}`,
          missing === undefined ? {} : { op: missing },
          cause,
        );
      }
      for (const op of fresh) lacking.add(op);
    }
  }
}

/** "Could not find an implementation for Gelu(20) node", "… is not a registered function/op" (onnxruntime). */
function missingOperator(text: string): string | undefined {
  const found =
    /implementation for (?:the node \S*?:?)?(\w+)\(\d+\)/.exec(text) ??
    /(\w+)\(-?\d+\) is not a registered function\/op/.exec(text) ??
    /No Op registered for (\w+)/.exec(text);
  return found?.[1];
}

function toOrt(name: string, tensor: Tensor | undefined): OrtTensor {
  if (tensor === undefined) {
    throw new AppError('engine/feed', `The model's input "${name}" was not given.`, { name });
  }
  if (!SHARED.has(tensor.dtype)) throw noType(name, tensor.dtype);
  // The constructor has an overload for each element type; `SHARED` says that ours is one of them.
  return new OrtTensor(tensor.dtype as 'float32', tensor.data as Float32Array, tensor.dims);
}

function fromOrt(name: string, tensor: OrtTensor | undefined): Tensor {
  if (tensor === undefined) {
    throw new AppError('engine/value', `onnxruntime-web did not give "${name}".`, { name });
  }
  const { type, dims, data } = tensor;
  if (!SHARED.has(type as DType)) throw noType(name, type);
  // Where the browser knows Float16Array the runtime gives one; a Tensor holds the bits.
  const bits = type === 'float16' && ArrayBuffer.isView(data);
  const held = bits ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2) : data;
  return { dtype: type as DType, dims, data: held as Tensor['data'] };
}

function noType(name: string, type: string): AppError {
  return new AppError(
    'engine/unsupported',
    `"${name}" is of the type ${type}, which onnxruntime-web does not pass to and from a page.`,
    { name, type },
  );
}
