/** What can be wrong with a lock, each in its own words. */
import { AppError } from '../../core/errors';

export const wrongPassphrase = (): AppError =>
  new AppError(
    'vault/wrong-passphrase',
    'This passphrase does not open the project. Look at capitals and the keyboard’s language, or use the recovery key.',
  );

export const wrongRecoveryKey = (): AppError =>
  new AppError(
    'vault/wrong-recovery-key',
    'This is a recovery key, but not the one of this project, or a newer one was made since.',
  );

export const mistypedRecoveryKey = (): AppError =>
  new AppError(
    'vault/mistyped-recovery-key',
    'This is not a whole recovery key: a character is missing or mistyped. It has nine groups of four.',
  );

/**
 * One piece of a locked project, and only that one.
 * @param what `the record of …`, `the data chunk …`
 */
export const tampered = (
  what: string,
  data: Readonly<Record<string, unknown>> = {},
  how = 'is not what was sealed there: it was damaged, changed or put in from elsewhere',
  cause?: unknown,
): AppError =>
  new AppError(
    'vault/tampered',
    `In this locked project ${what} ${how}. Nothing of that piece is used; the rest of the project works, and a project file saves what reads. A backup brings the piece back.`,
    data,
    cause,
  );

export function isTampered(error: unknown): error is AppError {
  return error instanceof AppError && error.code === 'vault/tampered';
}

/** Neither way in can be told from a wrong one where its record is damaged, so the record carries its own hash. */
export const damagedLock = (way: 'passphrase' | 'recovery', cause?: unknown): AppError =>
  new AppError(
    'vault/damaged-lock',
    way === 'passphrase'
      ? 'The record of this lock is damaged where it keeps the key for the passphrase, so no passphrase opens it here. Try the recovery key, and set a new passphrase with it; otherwise erase this project and open a backup file of it.'
      : 'The record of this lock is damaged where it keeps the key for the recovery key, so no recovery key opens it here. Try the passphrase, and make a new recovery key with it; otherwise erase this project and open a backup file of it.',
    { way },
    cause,
  );

export const damagedInside = (records: readonly string[]): AppError =>
  new AppError(
    'vault/damaged-inside',
    `The lock stays, because the record of ${records.join(', and of ')} does not open and would be lost. Save the project as a file, which holds all that reads, and open that file.`,
    { records },
  );

export const weakParameters = (data: Readonly<Record<string, unknown>>): AppError =>
  new AppError(
    'vault/weak-parameters',
    'The record of this lock asks for a weaker protection than Terrarium ever writes, so somebody changed it. The passphrase was not used. Erase this project and open a backup file of it.',
    data,
  );

export const closedVault = (projectId: string): AppError =>
  new AppError('vault/closed', 'This project is locked. Unlock it with its passphrase first.', {
    projectId,
  });

export const newerVault = (format: unknown): AppError =>
  new AppError(
    'vault/newer',
    'This project was locked by a newer Terrarium, in a form that this one does not know. Nothing was changed; reload the page to get the newer version.',
    { format },
  );
