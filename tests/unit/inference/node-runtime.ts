// The Runtime that judges and serves models, on onnxruntime-node: fast, and an oracle for the one in the worker.
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { AppError } from '../../../src/core/errors';
import type { ModelSession, Runtime } from '../../../src/inference/runtime';

export function nodeRuntime(): Runtime {
  return {
    label: 'onnxruntime-node',
    async open(file) {
      const session = await InferenceSession.create(file, {
        logSeverityLevel: 3,
        intraOpNumThreads: 1,
      }).catch((error: unknown) => {
        throw new AppError('model/load', String(error), {}, error);
      });
      return sessionOf(session);
    },
  };
}

function sessionOf(session: InferenceSession): ModelSession {
  return {
    async run(inputs, outputs) {
      const feeds = Object.fromEntries(
        inputs.map(({ name, dtype, data, dims }) => [name, new Tensor(dtype, data, dims)]),
      );
      const results = await session.run(feeds, outputs);
      return new Map(
        outputs.map((name) => {
          const tensor = results[name];
          if (!(tensor?.data instanceof Float32Array)) throw new Error(`No float32 "${name}".`);
          return [name, { dims: tensor.dims, data: tensor.data }];
        }),
      );
    },
    release: () => session.release(),
  };
}
