/**
 * Pictures on their way in: a folder or zip is looked through, a person decides what its folders mean, then everything
 * is read. The same for a new project and for more pictures of an old one.
 */
import type {
  ImportResult,
  PictureOptions,
  PictureSource,
  PictureSurvey,
  Progress,
} from '../protocol/api';
import type { Studio } from './studio';

export class Pictures {
  readonly #studio: () => Promise<Studio>;
  readonly #into: () => string | null;
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  #survey = $state.raw<PictureSurvey | null>(null);
  #source: PictureSource | null = null;
  #callId: string | null = null;

  /** @param into the open lock that the next pictures go into */
  constructor(studio: () => Promise<Studio>, into: () => string | null = () => null) {
    this.#studio = studio;
    this.#into = into;
  }

  /** The step under way, or null. */
  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): unknown {
    return this.#error;
  }

  /** What the folder holds, once it was looked through. */
  get survey(): PictureSurvey | null {
    return this.#survey;
  }

  /** Forgets what was looked through. */
  clear(): void {
    this.cancel();
    this.#source = null;
    this.#survey = null;
    this.#error = null;
  }

  async look(source: PictureSource, label: string): Promise<void> {
    this.clear();
    this.#source = source;
    await this.#call(label, async (studio, callId, say) => {
      this.#survey = await studio.data.surveyPictures(callId, source, say);
    });
  }

  /** Null when it was cancelled or failed; the failure is then in `error`. */
  async bring(options: PictureOptions, label: string): Promise<ImportResult | null> {
    const source = this.#source;
    if (source === null) return null;
    const result = await this.bringFrom(source, options, label);
    if (result !== null) this.clear();
    return result;
  }

  /** The camera's frames: there is nothing to look through. */
  async bringFrom(
    source: PictureSource,
    options: PictureOptions,
    label: string,
  ): Promise<ImportResult | null> {
    let result: ImportResult | null = null;
    await this.#call(label, async (studio, callId, say) => {
      const into = options.into ?? this.#into();
      const placed = into === null ? options : { ...options, into };
      result = await studio.data.importPictures(callId, source, placed, say);
    });
    return result;
  }

  cancel(): void {
    const callId = this.#callId;
    this.#callId = null;
    this.#progress = null;
    if (callId === null) return;
    void this.#studio()
      .then((studio) => studio.cancel(callId))
      .catch((error: unknown) => (this.#error = error));
  }

  async #call(
    label: string,
    work: (studio: Studio, callId: string, say: (progress: Progress) => void) => Promise<void>,
  ): Promise<void> {
    if (this.#callId !== null) return;
    const callId = crypto.randomUUID();
    this.#callId = callId;
    this.#error = null;
    this.#progress = { label };
    try {
      await work(await this.#studio(), callId, (progress) => {
        if (this.#callId === callId) this.#progress = progress;
      });
    } catch (error) {
      if (this.#callId === callId) this.#error = error;
    } finally {
      if (this.#callId === callId) {
        this.#callId = null;
        this.#progress = null;
      }
    }
  }
}
