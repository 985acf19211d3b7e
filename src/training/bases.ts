/** Where pretrained bodies come from: beside the studio, or the store. */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { PretrainedSource } from '../protocol/fine-tune';
import type { BackboneManifest, PretrainedModel } from '../protocol/pretrained';
import { readBase, verified } from './base';
import type { Base } from './base';
import type { Told } from './describe-base';

export interface BaseDependencies {
  /** A file of the studio's own, by its path under `static/`. */
  readonly readStatic: (path: string) => Promise<Blob>;
  readonly store: () => Pick<StoreApi, 'getPretrained' | 'getPretrainedFile'>;
}

export class Bases {
  readonly #parts: BaseDependencies;
  /** The last one stays: screens and runs ask for the same. */
  #kept: { readonly key: string; readonly base: Promise<Base> } | null = null;

  constructor(parts: BaseDependencies) {
    this.#parts = parts;
  }

  async backbone(id: string): Promise<BackboneManifest> {
    const blob = await this.#parts.readStatic(`backbones/${id}.json`);
    // Our own file, whose hash the build knows.
    return JSON.parse(await blob.text()) as BackboneManifest;
  }

  async told(source: PretrainedSource): Promise<Told> {
    if (source.kind === 'own') {
      // What the export said of its pixels stands in no graph, so the record keeps it.
      const { summary } = await this.#record(source.sha256);
      return summary.picture ? { pixels: summary.picture.pixels } : {};
    }
    const { input } = await this.backbone(source.id);
    const levels = (values: readonly number[]) => values.map((value) => value / 255);
    return { sizes: input.sizes, pixels: { mean: levels(input.mean), std: levels(input.std) } };
  }

  load(source: PretrainedSource): Promise<Base> {
    const key = source.kind === 'embedded' ? source.id : source.sha256;
    if (this.#kept?.key === key) return this.#kept.base;
    const base = source.kind === 'embedded' ? this.#embedded(source.id) : this.#own(source.sha256);
    this.#kept = { key, base };
    base.catch(() => {
      if (this.#kept?.base === base) this.#kept = null;
    });
    return base;
  }

  async #embedded(id: string): Promise<Base> {
    const { name, file, sha256 } = await this.backbone(id);
    const blob = await this.#parts.readStatic(`backbones/${file}`);
    const bytes = await verified(await blob.arrayBuffer(), sha256, name);
    return { graph: readBase(bytes), name, sha256 };
  }

  async #own(sha256: string): Promise<Base> {
    const { name } = await this.#record(sha256);
    // The store has checked each piece.
    const bytes = new Uint8Array(await this.#parts.store().getPretrainedFile(sha256));
    return { graph: readBase(bytes), name, sha256 };
  }

  async #record(sha256: string): Promise<PretrainedModel> {
    try {
      return await this.#parts.store().getPretrained(sha256);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'store/not-found') throw error;
      throw new AppError(
        'pretrained/absent',
        `The pretrained model that this one starts from (${sha256.slice(0, 12)}) is not in this browser. Choose its file on the Model screen again.`,
        { sha256 },
      );
    }
  }
}
