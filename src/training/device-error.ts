/** A graphics process that dies takes every call with it, and each says so in its own way, before `lost` does. */
import { AppError } from '../core/errors';

/** What WebGPU's own calls reject with: when their process is gone, or a device is refused for now. */
const GONE: readonly string[] = ['OperationError', 'AbortError', 'InvalidStateError'];

/** The same error, or, where it is a call on graphics that are gone, one that says so. */
export function asDeviceLost(error: unknown): unknown {
  if (typeof DOMException === 'undefined' || !(error instanceof DOMException)) return error;
  if (!GONE.includes(error.name)) return error;
  return new AppError(
    'engine/device-lost',
    `The graphics processor stopped answering (${error.message}). The run can go on from its last checkpoint.`,
    { reason: error.message },
    error,
  );
}
