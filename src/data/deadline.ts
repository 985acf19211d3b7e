/** Work that must answer in time. Whoever waits ends the worker that does not (Calls). */
import { AppError } from '../core/errors';

export async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const seconds = Math.round(milliseconds / 1000);
      reject(
        new AppError(
          'data/too-slow',
          `Reading was ended after ${seconds} s without a result. The file may have been made to be slow; nothing of it was kept.`,
          { milliseconds },
        ),
      );
    }, milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
