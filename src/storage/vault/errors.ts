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

/** @param what `a record`, `a chunk of data` */
export const tampered = (what: string, data: Readonly<Record<string, unknown>> = {}): AppError =>
  new AppError(
    'vault/tampered',
    `In the locked project ${what} is not what was sealed there: it was damaged, changed or put in from elsewhere. Nothing of it is shown. Restore the project from a backup.`,
    data,
  );

export const weakParameters = (data: Readonly<Record<string, unknown>>): AppError =>
  new AppError(
    'vault/weak-parameters',
    'The record of this lock asks for a weaker protection than Terrarium ever writes, so somebody changed it. The passphrase was not used. Restore the project from a backup.',
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
