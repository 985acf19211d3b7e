/**
 * What the folders around pictures mean. A folder around everything says nothing and is taken away; below it the first
 * level is the class, or two levels are a group (a vendor, a place, a day) and a class. `group/class` is what is
 * taken for granted where the second level's names come back under several first ones: it is the layout of
 * `train/cat`, `test/cat`, and of one folder a source.
 */
import type { FolderMeaning, PictureLayout } from '../../protocol/api';
import type { LeftOutFile } from '../../protocol/entities';

export interface FoundPicture {
  /** Position in the list that was given. */
  readonly index: number;
  readonly path: string;
  /** Folder names around it, outermost first. */
  readonly folders: readonly string[];
}

export interface FoundPictures {
  /** By path, so that the same folder gives the same dataset. */
  readonly pictures: readonly FoundPicture[];
  readonly leftOut: readonly LeftOutFile[];
}

export interface Placed {
  /** Null outside class folders. */
  readonly label: string | null;
  readonly group: string | null;
}

const PICTURE = /\.(jpe?g|jfif|png|webp|gif|bmp|avif)$/i;
/** Pictures of a kind that is refused with a reason of its own when their bytes are looked at. */
const PICTURE_OTHERWISE = /\.(svgz?|hei[cf]|tiff?|psd|raw|dng|cr2|nef|arw)$/i;
/** What computers put into folders unasked. */
const SYSTEM = /^(\..*|__macosx|thumbs\.db|desktop\.ini|icon\r)$/i;
const LONGEST_NAME = 200;

export function findPictures(paths: readonly string[]): FoundPictures {
  const pictures: FoundPicture[] = [];
  const leftOut: LeftOutFile[] = [];
  paths.forEach((given, index) => {
    const path = given.replaceAll('\\', '/').normalize('NFC');
    const parts = path.split('/');
    if (unsafe(path, parts)) {
      const reason = 'Its name would lead out of the folder.';
      leftOut.push({ name: shown(path), code: 'data/unsafe-name', reason });
      return;
    }
    const steps = parts.filter((part) => part !== '' && part !== '.');
    const name = steps.pop() ?? '';
    if ([...steps, name].some((step) => SYSTEM.test(step))) return;
    if (PICTURE.test(name) || PICTURE_OTHERWISE.test(name) || !name.includes('.')) {
      const folders = steps.map((step) => step.trim().slice(0, LONGEST_NAME));
      pictures.push({ index, path, folders });
    } else {
      const reason = 'It is not a picture, by its name.';
      leftOut.push({ name: shown(path), code: 'data/not-a-picture', reason });
    }
  });
  pictures.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return { pictures: withoutCommonFolder(pictures), leftOut };
}

/** At most this much of a name is repeated to a person. */
export function shown(path: string): string {
  return path.length <= LONGEST_NAME ? path : `${path.slice(0, LONGEST_NAME)}…`;
}

function unsafe(path: string, parts: readonly string[]): boolean {
  return (
    path.startsWith('/') || /^[a-z]:/i.test(path) || parts.includes('..') || path.includes('\0')
  );
}

/** A folder around everything, as long as there are folders inside it. */
function withoutCommonFolder(pictures: FoundPicture[]): readonly FoundPicture[] {
  const first = pictures[0]?.folders[0];
  const around =
    first !== undefined &&
    pictures.every(({ folders }) => folders[0] === first) &&
    pictures.some(({ folders }) => folders.length > 1);
  if (!around) return pictures;
  const inside = pictures.map((one) => ({ ...one, folders: one.folders.slice(1) }));
  return withoutCommonFolder(inside);
}

export function place({ folders: [first, second] }: FoundPicture, meaning: FolderMeaning): Placed {
  if (meaning === 'class') return { label: first ?? null, group: null };
  if (meaning === 'group/class') return { label: second ?? null, group: first ?? '' };
  return { label: first ?? null, group: second ?? '' };
}

/** The likeliest meaning of the folders. */
export function guessMeaning(pictures: readonly FoundPicture[]): FolderMeaning {
  const firsts = new Map<string, Set<string>>();
  for (const { folders } of pictures) {
    const [first, second] = folders;
    if (first === undefined) continue;
    if (second === undefined) return 'class';
    firsts.set(second, (firsts.get(second) ?? new Set()).add(first));
  }
  const repeated = [...firsts.values()].filter((above) => above.size > 1).length;
  return firsts.size > 1 && repeated * 2 > firsts.size ? 'group/class' : 'class';
}

/** Each meaning that the folders allow. */
export function possibleMeanings(
  pictures: readonly FoundPicture[],
): Partial<Record<FolderMeaning, PictureLayout>> {
  const deep = pictures.some(({ folders }) => folders.length > 1);
  const meanings: readonly FolderMeaning[] = deep
    ? ['class', 'group/class', 'class/group']
    : ['class'];
  return Object.fromEntries(meanings.map((meaning) => [meaning, layoutOf(pictures, meaning)]));
}

function layoutOf(pictures: readonly FoundPicture[], meaning: FolderMeaning): PictureLayout {
  const classes = new Map<string, number>();
  const groups = new Map<string, number>();
  let unlabelled = 0;
  for (const picture of pictures) {
    const { label, group } = place(picture, meaning);
    if (label === null) unlabelled++;
    else classes.set(label, (classes.get(label) ?? 0) + 1);
    if (label !== null && group !== null) groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  const listed = (counts: Map<string, number>): { name: string; count: number }[] =>
    [...counts].map(([name, count]) => ({ name, count })).sort(byName);
  return { classes: listed(classes), groups: listed(groups), unlabelled };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
