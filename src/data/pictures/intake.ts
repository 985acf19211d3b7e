/**
 * From a folder, a zip or the camera to a DatasetVersion of pictures. What cannot be used is left out, named and
 * explained; what is odd but usable is kept and told. Sizes, classes and groups are decided before the first picture
 * is decoded; then pictures go one after the other through the parser into the store.
 */
import { AppError } from '../../core/errors';
import { putBytes } from '../dataset';
import { pictureFindings } from '../findings';
import { guessMeaning, place, shown } from './layout';
import { MOST_NAMED, PICTURE_LIMITS, SIZES } from './limits';
import { listFiles, measure, sizeFor } from './survey';
import { PictureWriter } from './writer';
import type { ImportResult, OnProgress, PictureOptions, PictureSource } from '../../protocol/api';
import type { DataSource, DatasetVersion, LeftOutFile } from '../../protocol/entities';
import type { DataStore, ImageData } from '../dataset';
import type { DecodedPicture, PictureParser } from './decode';
import type { Listing } from './survey';

/** Pictures asked of the parser before the first of them is answered. */
const IN_FLIGHT = 6;
const SHOW_EVERY_MS = 100;

interface Incoming {
  readonly name: string;
  readonly label: string;
  readonly group: string | null;
  readonly decode: (size: number) => Promise<DecodedPicture>;
}

export interface Intake {
  readonly store: DataStore;
  readonly parser: PictureParser;
  /** The dataset whose next version is made. */
  readonly base: ImageData | null;
  /** Called when the call ends before its time. */
  readonly onStop: (stop: () => void) => void;
}

export async function importPictures(
  { store, parser, base, onStop }: Intake,
  source: PictureSource,
  options: PictureOptions,
  onProgress: OnProgress,
): Promise<ImportResult> {
  const fit = base?.manifest.fit ?? options.fit;
  const leftOut: LeftOutFile[] = [];
  let incoming: readonly Incoming[];
  let size = base?.manifest.width ?? 0;
  if (source.kind === 'frames') {
    size ||= source.size;
    incoming = framesOf(source, size);
  } else {
    onProgress({ label: 'Looking through the folders' });
    const listing = await listFiles(source, parser);
    leftOut.push(...listing.leftOut);
    if (size === 0 && options.size === 'auto') {
      size = sizeFor(await measure(listing, parser), listing.pictures.length);
    } else if (size === 0) size = options.size as number;
    incoming = filesOf(listing, options, parser, fit, leftOut);
  }
  const classes = classesOf(incoming, base);
  const groups = groupsOf(incoming, base);
  checkSize(size, base, incoming.length);

  const writer = await PictureWriter.open(store, size, base);
  onStop(() => {
    // The answer to the person is given already; what fails here is found by the collector.
    writer.stop().catch((error: unknown) => console.warn('Chunks were left behind.', error));
  });
  const labels: number[] = [...(base?.labels ?? [])];
  const codes: number[] = groups ? baseCodes(base, groups) : [];
  let told = 0;
  let done = 0;
  for await (const { one, answer } of inOrder(incoming, size)) {
    done++;
    if ('error' in answer) leftOut.push(describe(one.name, answer.error));
    else {
      await writer.add(answer.picture, one.label);
      labels.push(classes.indexOf(one.label));
      if (groups) codes.push(groups.indexOf(one.group ?? ''));
    }
    if (Date.now() - told < SHOW_EVERY_MS && done < incoming.length) continue;
    told = Date.now();
    onProgress({ label: 'Reading pictures', done, total: incoming.length, unit: 'items' });
  }
  if (writer.rows === 0) throw nothingLeft(leftOut);
  const used = compact(classes, labels);
  if (used.names.length < 2) throw oneClass(used.names);
  onProgress({ label: 'Storing the pictures' });
  const pixels = await writer.finish();
  const usedGroups = groups && compact(groups, codes);
  const dataset = await store.putDataset({
    format: 1,
    type: 'images',
    name: base?.manifest.name ?? options.name,
    rows: labels.length,
    channels: writer.channels,
    height: size,
    width: size,
    classes: used.names,
    pixels,
    labels: await putBytes(store, used.codes),
    source: base?.manifest.source ?? sourceOf(source, options.name),
    ...(usedGroups && {
      groups: { names: usedGroups.names, chunks: await putBytes(store, usedGroups.codes) },
    }),
    fit,
    intake: summed(base, leftOut, writer),
  });
  return { dataset, findings: findingsOf(dataset, used), understood: understood(dataset, used) };
}

function findingsOf(dataset: DatasetVersion, used: Compact): ImportResult['findings'] {
  return dataset.manifest.type === 'images' ? pictureFindings(dataset.manifest, used.counts) : [];
}

function understood({ manifest }: DatasetVersion, used: Compact): string[] {
  if (manifest.type !== 'images') return [];
  const { rows, width, height, channels, groups } = manifest;
  return [
    `${rows} pictures of ${width} × ${height}, ${channels === 1 ? 'grey' : 'in colour'}`,
    `${used.names.length} classes`,
    ...(groups ? [`${groups.names.length} groups`] : []),
  ];
}

export function sourceOf(source: PictureSource, name: string): DataSource {
  const kinds = { files: 'folder', zip: 'zip', frames: 'camera' } as const;
  return { kind: kinds[source.kind], name };
}

function filesOf(
  { pictures, refs }: Listing,
  options: PictureOptions,
  parser: PictureParser,
  fit: PictureOptions['fit'],
  leftOut: LeftOutFile[],
): Incoming[] {
  const meaning = options.folders === 'auto' ? guessMeaning(pictures) : options.folders;
  return pictures.flatMap((picture): Incoming[] => {
    const { label: found, group } = place(picture, meaning);
    const label = found ?? options.unlabelled;
    const ref = refs[picture.index];
    if (ref === undefined || label === null || label.trim() === '') {
      const reason = 'It stands in no class folder.';
      leftOut.push({ name: shown(picture.path), code: 'data/unlabelled', reason });
      return [];
    }
    const decode: Incoming['decode'] = (size) => parser.decodePicture(ref, { size, fit });
    return [{ name: picture.path, label: label.trim(), group, decode }];
  });
}

function framesOf(source: PictureSource & { kind: 'frames' }, size: number): Incoming[] {
  if (source.size !== size) {
    throw new AppError(
      'data/does-not-fit',
      `The camera recorded pictures of ${source.size} pixels; this dataset holds ${size}. Record them again.`,
      { recorded: source.size, size },
    );
  }
  return source.frames.map(({ label, group, pixels }, index) => ({
    name: `${label} ${index + 1}`,
    label: label.trim(),
    group: group ?? null,
    decode: () => {
      if (pixels.length === 3 * size * size) return Promise.resolve({ pixels, grey: false });
      throw new AppError('data/picture-broken', 'The recording is not of the size it says.');
    },
  }));
}

function classesOf(incoming: readonly Incoming[], base: ImageData | null): string[] {
  const known = base?.manifest.classes ?? [];
  const fresh = [...new Set(incoming.map(({ label }) => label))].filter(
    (label) => !known.includes(label),
  );
  const classes = [...known, ...fresh.sort()];
  if (classes.length > PICTURE_LIMITS.classes) {
    throw new AppError(
      'data/too-many-classes',
      `There are ${classes.length} class folders; at most ${PICTURE_LIMITS.classes} classes can be told apart. Merge some, or choose a folder with fewer.`,
      { classes: classes.length, limit: PICTURE_LIMITS.classes },
    );
  }
  if (incoming.length > 0 && classes.length < 2) throw oneClass(classes);
  return classes;
}

function groupsOf(incoming: readonly Incoming[], base: ImageData | null): string[] | null {
  const known = base?.groups?.names ?? [];
  const named = incoming.some(({ group }) => group !== null);
  if (!named && known.length === 0) return null;
  const all = incoming.map(({ group }) => group ?? '');
  // Pictures that were there before groups were.
  if (base && known.length === 0) all.push('');
  const fresh = [...new Set(all)].filter((group) => !known.includes(group));
  const groups = [...known, ...fresh.sort()];
  if (groups.length > PICTURE_LIMITS.groups) {
    throw new AppError(
      'data/too-many-groups',
      `There are ${groups.length} groups; at most ${PICTURE_LIMITS.groups} can be kept. Let the folders mean classes only.`,
      { groups: groups.length, limit: PICTURE_LIMITS.groups },
    );
  }
  return groups;
}

function baseCodes(base: ImageData | null, groups: readonly string[]): number[] {
  if (base === null) return [];
  if (base.groups) return [...base.groups.codes];
  return Array<number>(base.manifest.rows).fill(groups.indexOf(''));
}

function checkSize(size: number, base: ImageData | null, coming: number): void {
  if (base === null && !(Number.isInteger(size) && size >= SIZES.smallest && size <= SIZES.largest))
    throw new AppError(
      'data/picture-size',
      `Pictures can be kept ${SIZES.smallest} to ${SIZES.largest} pixels wide, not ${size}.`,
      { size },
    );
  if (base !== null && base.manifest.width !== base.manifest.height) {
    throw new AppError(
      'data/does-not-fit',
      `The pictures of "${base.manifest.name}" are not square, so none can be added.`,
    );
  }
  const each = (base?.manifest.channels ?? 3) * size * size;
  const most = Math.floor(PICTURE_LIMITS.storedBytes / each);
  const rows = (base?.manifest.rows ?? 0) + coming;
  if (rows > most) {
    throw new AppError(
      'data/too-large',
      `${rows} pictures of ${size} × ${size} are more than this computer should hold at once; at most ${most} of that size fit. Choose a smaller size, or fewer pictures.`,
      { rows, most, size },
    );
  }
}

/** The pictures in order, a few of them decoding ahead. */
async function* inOrder(
  incoming: readonly Incoming[],
  size: number,
): AsyncGenerator<{ one: Incoming; answer: { picture: DecodedPicture } | { error: unknown } }> {
  const start = async (
    one: Incoming,
  ): Promise<{ picture: DecodedPicture } | { error: unknown }> => {
    try {
      return { picture: await one.decode(size) };
    } catch (error) {
      return { error };
    }
  };
  const ahead: { one: Incoming; answer: ReturnType<typeof start> }[] = [];
  for (const one of incoming) {
    ahead.push({ one, answer: start(one) });
    if (ahead.length < IN_FLIGHT) continue;
    const next = ahead.shift();
    if (next) yield { one: next.one, answer: await next.answer };
  }
  for (const { one, answer } of ahead) yield { one, answer: await answer };
}

function describe(name: string, error: unknown): LeftOutFile {
  if (error instanceof AppError && error.code.startsWith('data/')) {
    return { name: shown(name), code: error.code, reason: error.message };
  }
  // A parser that died, a store that is full: not this picture's fault.
  throw error;
}

function nothingLeft(leftOut: readonly LeftOutFile[]): AppError {
  const first = leftOut
    .slice(0, 3)
    .map(({ name, reason }) => `"${name}": ${reason}`)
    .join(' ');
  return new AppError(
    'data/no-pictures',
    `None of the ${leftOut.length} files could be used. ${first}`,
    { leftOut: leftOut.slice(0, MOST_NAMED) },
  );
}

function oneClass(names: readonly string[]): AppError {
  return new AppError(
    'data/one-class',
    `All pictures stand in one class${names[0] ? `, "${names[0]}"` : ''}; there is nothing to tell apart. Choose the folder that holds one folder for each class.`,
    { classes: names },
  );
}

interface Compact {
  readonly names: readonly string[];
  readonly codes: Uint8Array;
  readonly counts: readonly number[];
}

/** Without names that no picture carries (all of its files were broken). */
function compact(names: readonly string[], codes: readonly number[]): Compact {
  const counts = names.map(() => 0);
  for (const code of codes) counts[code] = (counts[code] ?? 0) + 1;
  const kept = names.filter((_, index) => (counts[index] ?? 0) > 0);
  const place = names.map((name) => kept.indexOf(name));
  return {
    names: kept,
    codes: Uint8Array.from(codes, (code) => place[code] ?? 0),
    counts: counts.filter((count) => count > 0),
  };
}

function summed(
  base: ImageData | null,
  leftOut: readonly LeftOutFile[],
  writer: PictureWriter,
): NonNullable<Extract<DatasetVersion['manifest'], { type: 'images' }>['intake']> {
  const before = base?.manifest.intake;
  return {
    leftOut: [...(before?.leftOut ?? []), ...leftOut].slice(0, MOST_NAMED),
    leftOutCount: (before?.leftOutCount ?? 0) + leftOut.length,
    duplicates: (before?.duplicates ?? 0) + writer.duplicates,
    contradictions: (before?.contradictions ?? 0) + writer.contradictions,
  };
}
