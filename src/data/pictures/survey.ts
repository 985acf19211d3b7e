/** What a folder or zip of pictures holds, before any is decoded: its files, what the folders mean, and a size that fits. */
import { AppError } from '../../core/errors';
import { listed } from '../dataset';
import { findPictures, guessMeaning, possibleMeanings } from './layout';
import { PICTURE_LIMITS, SIZES } from './limits';
import type { OnProgress, PictureSource, PictureSurvey } from '../../protocol/api';
import type { PictureParser, PictureRef } from './decode';
import type { FoundPicture, FoundPictures } from './layout';

/** Pictures whose size is looked at to choose one. */
const MEASURED = 48;
/** More pictures than this are kept smaller, so that training holds them easily. */
const MANY = 2000;

type FileSource = Exclude<PictureSource, { kind: 'frames' }>;

export interface Listing extends FoundPictures {
  readonly refs: readonly PictureRef[];
}

export async function listFiles(source: FileSource, parser: PictureParser): Promise<Listing> {
  const files = source.kind === 'files' ? source.files : null;
  const paths =
    source.kind === 'files'
      ? source.files.map(({ path }) => path)
      : await parser.openZip(source.file);
  const refs = paths.map((_, index): PictureRef => files?.[index]?.file ?? index);
  const found = findPictures(paths);
  if (found.pictures.length === 0) {
    throw new AppError(
      'data/no-pictures',
      `There is no picture here${
        found.leftOut.length > 0
          ? `, only ${listed(
              found.leftOut.map(({ name }) => name),
              3,
            )}`
          : ''
      }. Choose a folder that holds one folder of pictures for each class.`,
    );
  }
  if (found.pictures.length > PICTURE_LIMITS.pictures) {
    throw new AppError(
      'data/too-many-pictures',
      `There are ${found.pictures.length} pictures; at most ${PICTURE_LIMITS.pictures} can be kept. Take a part of them.`,
      { pictures: found.pictures.length, limit: PICTURE_LIMITS.pictures },
    );
  }
  return { ...found, refs };
}

export async function surveyPictures(
  source: PictureSource,
  parser: PictureParser,
  onProgress: OnProgress,
): Promise<PictureSurvey> {
  if (source.kind === 'frames') {
    throw new AppError('internal/invariant', 'The camera knows what it recorded.');
  }
  onProgress({ label: 'Looking through the folders' });
  const listing = await listFiles(source, parser);
  const { pictures } = listing;
  const smallestSide = await measure(listing, parser);
  return {
    name: nameOf(source, pictures),
    pictures: pictures.length,
    folders: guessMeaning(pictures),
    meanings: possibleMeanings(pictures),
    size: sizeFor(smallestSide, pictures.length),
    smallestSide,
    others: listing.leftOut.length,
  };
}

/** A size near which most pictures lose little: small pictures are hardly enlarged, photographs get what bodies expect. */
export function sizeFor(smallestSide: number, pictures: number): number {
  if (smallestSide < 48) return 32;
  if (smallestSide < 96) return 64;
  if (smallestSide < 128) return 96;
  return smallestSide < 224 || pictures > MANY ? 128 : 224;
}

/** The side below which a tenth of a sample of the pictures lies; SIZES.largest where none can be read. */
export async function measure({ pictures, refs }: Listing, parser: PictureParser): Promise<number> {
  const step = Math.max(1, pictures.length / MEASURED);
  const sides: number[] = [];
  for (let at = 0; at < pictures.length; at += step) {
    const ref = refs[pictures[Math.floor(at)]?.index ?? 0];
    if (ref === undefined) continue;
    try {
      const { width, height } = await parser.measurePicture(ref);
      sides.push(Math.min(width, height));
    } catch (error) {
      // Left out and named when its turn comes.
      if (!(error instanceof AppError)) throw error;
    }
  }
  sides.sort((a, b) => a - b);
  return sides[Math.floor(sides.length / 10)] ?? SIZES.largest;
}

/** The folder around everything, or the zip. */
function nameOf(source: FileSource, pictures: readonly FoundPicture[]): string {
  if (source.kind === 'zip') {
    const name = 'name' in source.file ? String(source.file.name) : '';
    return (
      name
        .replace(/^.*[\\/]/, '')
        .replace(/\.zip$/i, '')
        .trim() || 'Pictures'
    );
  }
  const [first = ''] = pictures[0]?.path.split('/') ?? [];
  const around = pictures.every(({ path }) => path.startsWith(`${first}/`));
  return around && pictures.some(({ folders }) => folders[0] !== first) ? first : 'Pictures';
}
