/** Why a project file is not taken, in words. Nothing was imported then, and the message says so. */
import * as v from 'valibot';
import { AppError } from '../../core/errors';

export function notAProject(): AppError {
  return new AppError(
    'project-file/not-a-project',
    'This is not a Terrarium project file. Choose a file that ends in .terrarium.',
  );
}

export function newer(format: number, known: number): AppError {
  return new AppError(
    'project-file/newer',
    `This project file was written by a newer Terrarium (format ${format}; this one reads up to ${known}). Reload the page to get the newer version.`,
    { format },
  );
}

export function damaged(how: string, cause?: unknown): AppError {
  return new AppError(
    'project-file/damaged',
    `The project file is damaged: ${how}. Nothing was imported; copy or download the file again.`,
    { how },
    cause,
  );
}

export function refused(name: string, how: string): AppError {
  return new AppError(
    'project-file/refused',
    `The project file was refused: its entry “${name.slice(0, 100)}” ${how}. Nothing was imported.`,
    { name: name.slice(0, 1000) },
  );
}

/** The value itself when it fits the schema, else `project-file/invalid` with the place that does not. */
export function checked<T>(schema: v.GenericSchema<unknown, T>, value: unknown, name: string): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue) ?? 'the whole';
  throw new AppError(
    'project-file/invalid',
    `The project file does not have the expected form: ${name}, ${place}: ${issue.message}. Ask for the file again, saved with the current version.`,
    { name, place },
  );
}

export function parseJson(
  bytes: Uint8Array,
  name: string,
  reviver?: (key: string, value: unknown) => unknown,
): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes), reviver);
  } catch (error) {
    throw damaged(`${name} is not valid JSON`, error);
  }
}
