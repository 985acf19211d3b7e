/** Holds one contender at a task, in a worker as in the studio, and works when it is told to. */
import { describeAdapter, isSoftware } from '../src/engine/device';
import { nativeModel, nativeOperator } from './native';
import { modelOf, operatorTask } from './tasks';
import type { Backend, Contender, Library, Sizes } from './tasks';

let contender: Contender | undefined;

// Each library is loaded only on the page that runs it.
async function contenderOf(
  library: Library,
  backend: Backend,
  task: string,
  sizes: Sizes,
): Promise<Contender> {
  const model = modelOf(task);
  if (library === 'ours') {
    const { oursModel, oursOperator } = await import('./ours');
    return model ? oursModel(model, backend) : oursOperator(operatorTask(task, sizes), backend);
  }
  if (library === 'tfjs') {
    const { tfjsModel, tfjsOperator } = await import('./tfjs');
    return model ? tfjsModel(model, backend) : tfjsOperator(operatorTask(task, sizes), backend);
  }
  const { jaxModel, jaxOperator } = await import('./jax');
  return model ? jaxModel(model, backend) : jaxOperator(operatorTask(task, sizes), backend);
}

async function timed(times: number): Promise<{ milliseconds: number; value: number }> {
  if (!contender) throw new Error('This page holds no contender.');
  const start = performance.now();
  const value = await contender.run(times);
  return { milliseconds: (performance.now() - start) / times, value };
}

/** `task`: a model's name, or that of an operator. */
async function open(
  library: Library,
  backend: Backend,
  task: string,
  sizes: Sizes,
): Promise<string> {
  contender = await contenderOf(library, backend, task, sizes);
  return contender.version;
}

async function describe() {
  const adapter =
    (await (navigator as { gpu?: GPU }).gpu?.requestAdapter({
      powerPreference: 'high-performance',
    })) ?? null;
  return {
    device: adapter === null ? 'no WebGPU' : describeAdapter(adapter.info),
    software: adapter === null || isSoftware(adapter.info),
    features: [...(adapter?.features ?? [])].sort(),
    cores: navigator.hardwareConcurrency,
    isolated: crossOriginIsolated,
    userAgent: navigator.userAgent,
  };
}

/** The same work as a plain ONNX file with its inputs, for a runtime outside the browser. */
function native(task: string, sizes: Sizes) {
  const model = modelOf(task);
  return model ? nativeModel(model) : nativeOperator(operatorTask(task, sizes));
}

/** Where a step of ours takes its time. */
async function profile(task: string, backend: Backend) {
  const model = modelOf(task);
  if (!model) throw new Error('Only a model has a step to profile.');
  const { profileModel } = await import('./ours');
  return { title: model.title, ...(await profileModel(model, backend)) };
}

function facts(task: string, sizes: Sizes) {
  const model = modelOf(task);
  if (model) return { title: model.title, examples: model.batch, operations: 0 };
  const { title, floatingPointOperations: operations } = operatorTask(task, sizes);
  return { title, examples: 0, operations };
}

const METHODS: Readonly<Record<string, (...given: never[]) => unknown>> = {
  open,
  timed,
  describe,
  native,
  profile,
  facts,
};

export type Answer = { readonly value: unknown } | { readonly error: string };

addEventListener('message', ({ data }: MessageEvent<{ method: string; given: never[] }>) => {
  const work = async (): Promise<Answer> => {
    try {
      return { value: await METHODS[data.method]?.(...data.given) };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  };
  void work().then((answer) => postMessage(answer));
});
