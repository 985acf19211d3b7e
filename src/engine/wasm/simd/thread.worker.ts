/**
 * One more thread of the wasm executor. It sleeps on a word of shared memory until a step is open, does pieces of it,
 * and sleeps again; it turns to its messages only when its mail says so.
 */
import { ACTIVE, MAIL, OPEN, SIGNAL, SIGNAL_WORDS } from './signals';
import type { RunStep, ThreadMessage } from './signals';

const programs = new Map<number, RunStep>();
let memory: WebAssembly.Memory | null = null;
let thread = 0;

function work(shared: WebAssembly.Memory): void {
  const words = new Int32Array(shared.buffer, 0, SIGNAL_WORDS);
  for (;;) {
    const seen = Atomics.load(words, SIGNAL);
    if (Atomics.load(words, MAIL + thread) > 0) return;
    Atomics.add(words, ACTIVE, 1);
    try {
      programs.get(Atomics.load(words, OPEN))?.(thread, 1);
    } finally {
      if (Atomics.sub(words, ACTIVE, 1) === 1) Atomics.notify(words, ACTIVE);
    }
    Atomics.wait(words, SIGNAL, seen);
  }
}

self.addEventListener('message', ({ data }: MessageEvent<ThreadMessage>) => {
  if (data.kind === 'start') {
    ({ memory, thread } = data);
  } else if (data.kind === 'add' && memory !== null) {
    const { exports } = new WebAssembly.Instance(data.module, { env: { memory } });
    programs.set(data.id, exports.run as RunStep);
  } else if (data.kind === 'remove') {
    programs.delete(data.id);
  }
  self.postMessage('ready');
  if (memory === null) return;
  const words = new Int32Array(memory.buffer, 0, SIGNAL_WORDS);
  if (Atomics.sub(words, MAIL + thread, 1) === 1) work(memory);
});
