/** Words at the beginning of shared memory through which the threads of an executor talk. */

/** Counted up when there is something new for the workers. */
export const SIGNAL = 1;
/** Number of the program whose step is open; 0: none. */
export const OPEN = 2;
/** Workers that may be inside a step. */
export const ACTIVE = 3;
/** For each worker, messages that it should turn to. */
export const MAIL = 16;
export const SIGNAL_WORDS = 128;

export type ThreadMessage =
  | { readonly kind: 'start'; readonly memory: WebAssembly.Memory; readonly thread: number }
  | { readonly kind: 'add'; readonly id: number; readonly module: WebAssembly.Module }
  | { readonly kind: 'remove'; readonly id: number };

/** What a program's module exports. */
export type RunStep = (thread: number, maySleep: number) => void;
