/** One picture file as the input of a model: made square as its training pictures were. The recipe inside does the rest. */
import { AppError } from '../../core/errors';
import { RAW_INPUTS } from '../recipe/compile';
import { luma } from '../../core/grey';
import type { RawPart } from '../../protocol/api';
import type { FittedRecipe } from '../../protocol/entities';
import type { PictureParser } from './decode';

export async function pictureInput(
  parser: PictureParser,
  file: Blob,
  { input }: FittedRecipe,
): Promise<RawPart['inputs']> {
  if (input.type !== 'images' || input.height !== input.width) {
    throw new AppError('data/does-not-fit', 'This model does not take square pictures.');
  }
  const { width: size, channels, fit = 'crop' } = input;
  const { pixels } = await parser.decodePicture(file, { size, fit });
  const data = channels === 1 ? luma(pixels) : pixels;
  return [{ name: RAW_INPUTS.image, dtype: 'uint8', dims: [1, channels, size, size], data }];
}
