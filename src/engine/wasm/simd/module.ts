/** A WebAssembly module written byte by byte: functions over one imported memory. */
import { F32, I32, Local, seq, unsigned, V128 } from './code';
import type { Code, ValueType } from './code';

const NAME = new TextEncoder();
const section = (id: number, content: readonly number[]): number[] => [
  id,
  ...unsigned(content.length),
  ...content,
];
const vector = (items: readonly (readonly number[])[]): number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];
const named = (text: string): number[] => {
  const bytes = NAME.encode(text);
  return [...unsigned(bytes.length), ...bytes];
};

/** The body of a function while it is written. */
export class FunctionWriter {
  readonly parameters: readonly Local[];
  readonly #types: readonly ValueType[];
  readonly #locals: ValueType[] = [];
  readonly #free = new Map<ValueType, Local[]>();
  readonly #typeOf = new Map<Local, ValueType>();
  #taken: Local[] = [];

  constructor(types: readonly ValueType[]) {
    this.#types = types;
    this.parameters = types.map((_, index) => new Local(index));
  }

  local(type: ValueType): Local {
    const made = this.#free.get(type)?.pop() ?? this.#add(type);
    this.#taken.push(made);
    return made;
  }

  #add(type: ValueType): Local {
    this.#locals.push(type);
    const made = new Local(this.#types.length + this.#locals.length - 1);
    this.#typeOf.set(made, type);
    return made;
  }

  int(): Local {
    return this.local(I32);
  }

  vector(): Local {
    return this.local(V128);
  }

  float(): Local {
    return this.local(F32);
  }

  vectors(count: number): Local[] {
    return Array.from({ length: count }, () => this.vector());
  }

  /** Gives locals back, for code that begins after their last use. */
  release(...locals: readonly Local[]): void {
    this.#taken = this.#taken.filter((local) => !locals.includes(local));
    for (const local of locals) {
      const type = this.#typeOf.get(local);
      const free = type === undefined ? undefined : (this.#free.get(type) ?? []);
      if (type === undefined || free?.includes(local)) continue;
      this.#free.set(type, [...(free ?? []), local]);
    }
  }

  /** Gives back, when `write` has returned, every local taken in it. What it returns must be used at once. */
  scoped<T>(write: () => T): T {
    const outer = this.#taken;
    this.#taken = [];
    const result = write();
    this.release(...this.#taken);
    this.#taken = outer;
    return result;
  }

  /** The function's entry in the code section. */
  finish(body: Code): number[] {
    const locals = vector(this.#locals.map((type) => [1, type]));
    const bytes = [...locals, ...body, 0x0b];
    return [...unsigned(bytes.length), ...bytes];
  }
}

interface Written {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  readonly entry: readonly number[];
}

export interface MemoryLimits {
  readonly initialPages: number;
  readonly maximumPages: number;
  readonly shared: boolean;
}

type LocalsOf<T extends readonly ValueType[]> = { readonly [K in keyof T]: Local };

export class ModuleWriter {
  readonly #functions: Written[] = [];
  readonly #exports = new Map<string, number>();
  #globals = 0;

  /** Adds a function and gives its index. `write` returns the body. */
  function<const T extends readonly ValueType[]>(
    parameters: T,
    write: (writer: FunctionWriter, ...locals: LocalsOf<T>) => Code,
    results: readonly ValueType[] = [],
  ): number {
    const writer = new FunctionWriter(parameters);
    // One local for each parameter, which no type says of a mapped array.
    const locals = writer.parameters as LocalsOf<T>;
    const entry = writer.finish(write(writer, ...locals));
    return this.#functions.push({ parameters, results, entry }) - 1;
  }

  /** A variable of each instance, and so of each thread. */
  global(): { readonly get: Code; set(value: Code): Code } {
    const index = unsigned(this.#globals++);
    return { get: [0x23, ...index], set: (value) => [...value, 0x24, ...index] };
  }

  export(name: string, index: number): void {
    this.#exports.set(name, index);
  }

  build({ initialPages, maximumPages, shared }: MemoryLimits): Uint8Array<ArrayBuffer> {
    const types = this.#functions.map(({ parameters, results }) => [
      0x60,
      ...vector(parameters.map((type) => [type])),
      ...vector(results.map((type) => [type])),
    ]);
    const memory = [
      ...named('env'),
      ...named('memory'),
      0x02,
      shared ? 0x03 : 0x01,
      ...unsigned(initialPages),
      ...unsigned(maximumPages),
    ];
    const globals = Array.from({ length: this.#globals }, () => [I32, 0x01, 0x41, 0x00, 0x0b]);
    const exports = [...this.#exports].map(([name, index]) => [
      ...named(name),
      0x00,
      ...unsigned(index),
    ]);
    const parts: (readonly number[])[] = [
      [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      section(1, vector(types)),
      section(2, vector([memory])),
      section(3, vector(types.map((_, index) => unsigned(index)))),
      ...(globals.length > 0 ? [section(6, vector(globals))] : []),
      section(7, vector(exports)),
      section(10, vector(this.#functions.map(({ entry }) => entry))),
    ];
    return Uint8Array.from(seq(...parts));
  }
}

export const call = (index: number, ...operands: readonly Code[]): Code => [
  ...operands.flat(),
  0x10,
  ...unsigned(index),
];
