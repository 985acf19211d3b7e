/** What a run's status means to the store. */
import type { RunStatus } from '../protocol/entities';

export const ACTIVE: readonly RunStatus[] = ['preparing', 'running', 'paused'];

/** A tab is at work on it. */
export const isActive = (status: RunStatus): boolean => ACTIVE.includes(status);

/** A finished run keeps no checkpoint; a failed one does, because its weights may be all there is. */
export const isFinished = (status: RunStatus): boolean => status === 'done' || status === 'stopped';
