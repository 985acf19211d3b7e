/** Emits the small pieces of which a written-out recurrent layer is made. */
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { Activation } from './activations';
import type { Settings } from './settings';

export interface Sizes {
  readonly time: number;
  readonly batch: number;
  readonly inputs: number;
  readonly hidden: number;
}

export class Writer {
  readonly builder: GraphBuilder;
  readonly sizes: Sizes;
  readonly settings: Settings;
  /** A number of the type that the node computes in. */
  readonly scalar: (value: number) => string;
  readonly #zeros = new Map<string, string>();

  constructor(
    builder: GraphBuilder,
    sizes: Sizes,
    settings: Settings,
    scalar: (value: number) => string,
  ) {
    this.builder = builder;
    this.sizes = sizes;
    this.settings = settings;
    this.scalar = scalar;
  }

  zeros(dims: readonly number[]): string {
    const key = dims.join();
    const known = this.#zeros.get(key);
    if (known !== undefined) return known;
    const made = this.builder.node('Expand', [this.scalar(0), this.builder.ints(dims)]);
    this.#zeros.set(key, made);
    return made;
  }

  add = (a: string, b: string) => this.builder.node('Add', [a, b]);
  mul = (a: string, b: string) => this.builder.node('Mul', [a, b]);

  activate({ emit }: Activation): (x: string) => string {
    const { clip } = this.settings;
    return (x) => {
      const cut =
        clip === undefined
          ? x
          : this.builder.node('Clip', [x, this.scalar(-clip), this.scalar(clip)]);
      return emit(this.builder, cut);
    };
  }

  /** Rows [from, to) of the first axis. */
  rows(name: string, from: number, to: number): string {
    const { builder } = this;
    return builder.node('Slice', [
      name,
      builder.ints([from]),
      builder.ints([to]),
      builder.ints([0]),
    ]);
  }

  split(name: string, parts: readonly number[], axis: number): readonly string[] {
    if (parts.length === 1) return [name];
    return this.builder.nodes('Split', [name, this.builder.ints(parts)], parts.length, {
      axis: attr.int(axis),
    });
  }
}
