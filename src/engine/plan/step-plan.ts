/** A step as a device carries it out: buffers, and kernels in order. Pure data; nothing here has touched a device. */
import type { DType } from '../../core/dtype';
import type { ColdSpec } from '../../ops/lowering/plan';
import type { MemoryKind } from '../../protocol/profile';
import type { Choice } from './kernels';
import type { BufferDeclaration, Dispatch, Place } from './source';

export interface FeedType {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
}

export interface PlannedValue extends FeedType {
  /** In elements, as `offset` in its buffer. */
  readonly size: number;
  readonly offset: number;
}

interface Described {
  readonly label: string;
  readonly nodes: readonly string[];
  /** Nodes of the model that these belong to. */
  readonly origins: readonly string[];
  readonly phase: 'forward' | 'backward' | 'update';
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface PlannedDispatch extends Described, Dispatch {
  readonly kind: 'dispatch';
  /** Needs the State writable. */
  readonly writesState: boolean;
}

/** Runs on tfjs between two passes. */
export interface PlannedCold extends Described {
  readonly kind: 'cold';
  readonly spec: ColdSpec;
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
}

export type PlannedKernel = PlannedDispatch | PlannedCold;

export interface PlannedMemory {
  readonly name: string;
  readonly kind: MemoryKind;
  readonly bytes: number;
  readonly offset: number | null;
  readonly from: number;
  readonly to: number;
}

export interface StepPlan {
  /** All buffers with their bindings; sizes are at least one element. */
  readonly buffers: readonly BufferDeclaration[];
  /** Every input that a step must be given, and of those what it uploads. */
  readonly wanted: readonly FeedType[];
  readonly feeds: readonly PlannedValue[];
  readonly results: readonly PlannedValue[];
  /** What the buffer of constants holds, in elements of 4 bytes. */
  readonly constants: Uint32Array<ArrayBuffer>;
  readonly kernels: readonly PlannedKernel[];
  readonly memory: readonly PlannedMemory[];
  readonly arenaBytes: number;
  readonly choices: readonly Choice[];
}
