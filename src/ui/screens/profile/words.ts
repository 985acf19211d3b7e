/** Times of kernels in words. */
import { milliseconds } from '../../messages/format';
import { m } from '../../messages/m';

/** A time of 0 is one that the device's clock cannot tell from nothing. */
export function timeWords(micros: number): string {
  return micros > 0 ? milliseconds(micros / 1000) : m.profile.kernels.short;
}

/** In a column of figures, where a sentence has no place. */
export function timeFigure(micros: number): string {
  return micros > 0 ? milliseconds(micros / 1000) : '–';
}
