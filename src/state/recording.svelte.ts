/** Classes recorded with the camera, frame by frame, until they become a dataset. Kept on the page only. */
import type { PictureSource } from '../protocol/api';

export interface RecordedFrame {
  readonly id: number;
  /** uint8 [3, size, size]. */
  readonly pixels: Uint8Array;
}

export interface RecordedClass {
  readonly id: number;
  readonly name: string;
  readonly frames: readonly RecordedFrame[];
  /** Pictures of this class that the dataset holds already. */
  readonly known: number;
}

/** Frames kept a class: a minute and a half of holding the button. */
export const MOST_FRAMES = 900;
export const MOST_CLASSES = 256;

export class Recording {
  readonly size: number;
  #classes = $state.raw<readonly RecordedClass[]>([]);
  #nextId = 0;

  constructor(size: number, classes: readonly { readonly name: string; readonly known: number }[]) {
    this.size = size;
    this.#classes = classes.map(({ name, known }) => ({
      id: this.#nextId++,
      name,
      known,
      frames: [],
    }));
  }

  get classes(): readonly RecordedClass[] {
    return this.#classes;
  }

  get frames(): number {
    return this.#classes.reduce((sum, { frames }) => sum + frames.length, 0);
  }

  /** Classes that hold something, recorded now or before. */
  get filled(): number {
    return this.#classes.filter(({ frames, known }) => frames.length + known > 0).length;
  }

  /** "Class 3", the first number that is free. */
  add(nameOf: (number: number) => string): void {
    let number = this.#classes.length + 1;
    while (this.#named(nameOf(number)) !== undefined) number++;
    const added = { id: this.#nextId++, name: nameOf(number), known: 0, frames: [] };
    this.#classes = [...this.#classes, added];
  }

  /** False where another class has the name, or the name is one of the dataset's. */
  rename(id: number, name: string): boolean {
    const wanted = name.trim();
    const other = this.#named(wanted);
    if (wanted === '' || (other !== undefined && other.id !== id)) return false;
    this.#change(id, (one) => ({ ...one, name: wanted }));
    return true;
  }

  remove(id: number): void {
    this.#classes = this.#classes.filter((one) => one.id !== id);
  }

  /** False when the class holds all it can. */
  record(id: number, pixels: Uint8Array): boolean {
    const one = this.#classes.find((candidate) => candidate.id === id);
    if (!one || one.frames.length >= MOST_FRAMES) return false;
    const frame = { id: this.#nextId++, pixels };
    this.#change(id, (old) => ({ ...old, frames: [...old.frames, frame] }));
    return true;
  }

  removeFrame(id: number, frameId: number): void {
    this.#change(id, (one) => ({
      ...one,
      frames: one.frames.filter((frame) => frame.id !== frameId),
    }));
  }

  clear(id: number): void {
    this.#change(id, (one) => ({ ...one, frames: [] }));
  }

  source(): PictureSource {
    const frames = this.#classes.flatMap(({ name, frames: recorded }) =>
      recorded.map(({ pixels }) => ({ label: name, pixels })),
    );
    return { kind: 'frames', size: this.size, frames };
  }

  #named(name: string): RecordedClass | undefined {
    return this.#classes.find((one) => one.name === name);
  }

  #change(id: number, change: (one: RecordedClass) => RecordedClass): void {
    this.#classes = this.#classes.map((one) => (one.id === id ? change(one) : one));
  }
}
