/** Hostile files that are too large to be kept: made by code, a piece at a time where they would not fit. */
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { writeCsv } from '../../../src/core/csv-write';
import { uniqueNames } from '../../../src/data/readers/dialect';
import { READ_LIMITS } from '../../../src/data/readers/limits';
import { parseCells, parseTable } from '../../../src/data/readers/table';
import { checkModel, readPretrained } from '../../../src/training/picked-model';
import { writeModel } from '../../../src/onnx/writer';
import { memoryDataApi } from '../../support/data';
import { runConfig } from '../../support/run-config';
import { tinyMlp } from '../onnx/graphs';
import { io, model, node, opset17, w } from '../onnx/proto';

/** A file that is made where it is read: `byte` says what stands at a place. */
class MadeFile extends Blob {
  readonly #size: number;
  readonly #fill: (from: number, to: number) => Uint8Array<ArrayBuffer>;
  asked = 0;

  constructor(size: number, fill: (from: number, to: number) => Uint8Array<ArrayBuffer>) {
    super([]);
    this.#size = size;
    this.#fill = fill;
  }

  override get size(): number {
    return this.#size;
  }

  override slice(from = 0, to = this.#size): Blob {
    const end = Math.min(to, this.#size);
    this.asked = Math.max(this.asked, end);
    return new Blob([this.#fill(from, end)]);
  }
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  /** Of processor time. */
  readonly milliseconds: number;
}

async function refusal(work: () => Promise<unknown>): Promise<Refusal> {
  const started = process.cpuUsage();
  const error: unknown = await work().then(
    () => new Error('It was accepted.'),
    (thrown: unknown) => thrown,
  );
  const { user, system } = process.cpuUsage(started);
  if (!(error instanceof AppError)) throw error as Error;
  return { code: error.code, message: error.message, milliseconds: (user + system) / 1000 };
}

const LETTER = 'x'.charCodeAt(0);
const COMMA = ','.charCodeAt(0);

describe('fault 28: tables without end', () => {
  it('a header of ten million columns is refused at its ten thousandth', async () => {
    const file = new MadeFile(20_000_000, (from, to) =>
      Uint8Array.from({ length: to - from }, (_, i) => ((from + i) % 2 === 0 ? LETTER : COMMA)),
    );
    const { code, milliseconds } = await refusal(() => parseTable(file));
    expect(code).toBe('data/too-many-columns');
    expect(milliseconds).toBeLessThan(1000);
    expect(file.asked).toBeLessThan(2 ** 20);
  });

  it.each([
    ['quoted', 'a,b\n1,"', 'data/unclosed-quote'],
    ['plain', 'a,b\n1,', 'data/cell-too-large'],
  ])('a %s cell of 500 MB is refused after its first megabyte', async (_, begin, code) => {
    const head = new TextEncoder().encode(begin);
    const file = new MadeFile(500_000_000, (from, to) => {
      const piece = new Uint8Array(to - from).fill(LETTER);
      if (from === 0) piece.set(head);
      return piece;
    });
    const refused = await refusal(() => parseTable(file));
    expect(refused.code).toBe(code);
    expect(refused.milliseconds).toBeLessThan(1000);
    expect(file.asked).toBeLessThanOrEqual(4 * 2 ** 20);
  });

  it('a cell of a million doubled quotes is read in a line’s time', async () => {
    const file = new Blob([`a,b\n1,"${'""'.repeat(999_000)}"\n2,x\n`]);
    const started = process.cpuUsage();
    const { rows } = await parseTable(file);
    expect(rows).toBe(2);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(1000);
  });

  it('ten thousand equal names are told apart at once', () => {
    const started = process.cpuUsage();
    const names = uniqueNames(Array.from({ length: 10_000 }, () => 'x'));
    expect(new Set(names).size).toBe(10_000);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(500);
  });

  it('more cells, or more text, than fit into memory are refused with the line', async () => {
    const table = new Blob(['a,b\n', 'x1,y1\nx2,y2\nx3,y3\nx4,y4\n']);
    const cells = await refusal(() => parseTable(table, undefined, { ...READ_LIMITS, cells: 6 }));
    expect(cells.code).toBe('data/too-many-rows');
    expect(cells.message).toContain('Line 5');
    const text = { ...READ_LIMITS, text: 10 };
    expect((await refusal(() => parseTable(table, undefined, text))).code).toBe(
      'data/too-much-text',
    );
    expect((await refusal(() => parseCells(table, undefined, text))).code).toBe(
      'data/too-much-text',
    );
  });

  it('columns and labels called as what objects inherit go the whole way', async () => {
    const api = memoryDataApi();
    const rows = Array.from(
      { length: 60 },
      (_, i) => `${i % 7},${(i * 5) % 11},${i % 2 === 0 ? '__proto__' : 'constructor'}`,
    );
    const file = new Blob([`__proto__,constructor,toString\n${rows.join('\n')}\n`]);
    const quiet = () => undefined;
    const { dataset } = await api.importTable('c', file, { name: 'p', kind: 'file' }, quiet);
    const config = runConfig({
      datasetId: dataset.id,
      target: 'toString',
      task: 'classification',
      recipe: {
        format: 1,
        // As a person would leave a column out: an own key of that name.
        use: Object.fromEntries([['__proto__', true]]),
        imputeNumeric: 'median',
        standardise: true,
      },
    });
    const summary = await api.summarise(dataset.id, 'toString');
    expect(summary.columns.map(({ name }) => name)).toEqual([
      '__proto__',
      'constructor',
      'toString',
    ]);
    expect([...summary.classes].sort()).toEqual(['__proto__', 'constructor']);
    const { features } = await api.inspect(config);
    expect(features.filter(({ used }) => used).map(({ column }) => column)).toEqual([
      '__proto__',
      'constructor',
    ]);
    const { recipe } = await api.prepare(config);
    expect(recipe.featureDims).toEqual([2]);
    expect(recipe.target).toMatchObject({ classes: ['__proto__', 'constructor'] });
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('cells that a spreadsheet would run leave with an apostrophe, numbers as they are', () => {
    const cells = [
      '=HYPERLINK("http://x")',
      '+cmd|x',
      '-1+1',
      '@SUM(A1)',
      '\tx',
      '-5.5',
      '+1e3',
      '-,5',
    ];
    const [, line] = writeCsv(cells, [cells], ';').split('\r\n');
    expect(line).toBe(`"'=HYPERLINK(""http://x"")";'+cmd|x;'-1+1;'@SUM(A1);'\tx;-5.5;+1e3;-,5`);
  });
});

describe('fault 26: models that are made to fill the memory', () => {
  const blob = (bytes: Uint8Array): Blob => new Blob([new Uint8Array(bytes)]);

  it('cut at every fiftieth, each piece is refused within a second', async () => {
    const whole = writeModel(tinyMlp());
    for (let part = 0; part < 50; part++) {
      const file = blob(whole.subarray(0, Math.floor((whole.length * part) / 50)));
      const { code, milliseconds } = await refusal(() => checkModel(file));
      expect(code, `cut at ${part}/50`).toMatch(/^onnx\//);
      expect(milliseconds).toBeLessThan(1000);
    }
  });

  it('ten million nodes, numbers in lists and fields are refused while they are counted', async () => {
    const graph = (bytes: Uint8Array) =>
      blob(w().int(1, 8).bytes(7, bytes).message(8, opset17).finish());
    // A node field with nothing in it: two bytes each.
    const nodes = new Uint8Array(20_000_000).map((_, at) => (at % 2 === 0 ? 0x0a : 0));
    const empty = await refusal(() => checkModel(graph(nodes)));
    expect(empty.code).toMatch(/^onnx\/(malformed|too-large)$/);
    const named = await refusal(() =>
      checkModel(graph(repeated([0x0a, 3, 0x22, 1, 0x41], 10_000_000))),
    );
    expect(named.code).toBe('onnx/too-large');
    const fields = await refusal(() => checkModel(graph(repeated([0xc8, 1, 0], 20_000_001))));
    expect(fields.code).toBe('onnx/too-large');
    expect(fields.message).toContain('fields');
    const list = w().string(1, 'axes').int(20, 7).bytes(8, new Uint8Array(20_000_001));
    const numbers = io().message(1, node('Relu', ['x'], ['y']).message(5, list));
    const listed = await refusal(() => checkModel(blob(model(numbers))));
    expect(listed.code).toBe('onnx/too-large');
    for (const { milliseconds } of [empty, named]) expect(milliseconds).toBeLessThan(1500);
  });

  it('a hundred thousand nodes without names are named at once', async () => {
    const unnamed = w().string(1, 'x').string(2, '').string(4, 'Relu').finish();
    const bytes = repeated([0x0a, unnamed.length, ...unnamed], 100_000);
    const last = w()
      .message(1, node('Relu', ['x'], ['y']))
      .finish();
    const graph = Uint8Array.of(...io().finish());
    const file = w()
      .int(1, 8)
      .bytes(7, concat(bytes, last, graph))
      .message(8, opset17)
      .finish();
    const started = process.cpuUsage();
    const { nodes } = await checkModel(blob(file));
    expect(nodes).toBe(100_001);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(5000);
  });

  it('files beyond the limit are refused by their size, unread', async () => {
    let read = 0;
    const file = new MadeFile(3 * 1024 ** 3, (from, to) => {
      read += to - from;
      return new Uint8Array(to - from);
    });
    expect((await refusal(() => checkModel(file))).code).toBe('file/too-large');
    const picked = [{ path: 'm/net.onnx', file }];
    const refused = await refusal(() => readPretrained(picked, null, () => undefined));
    expect(refused.code).toBe('file/too-large');
    expect(read).toBe(0);
  });
});

function repeated(piece: readonly number[], times: number): Uint8Array {
  const out = new Uint8Array(piece.length * times);
  out.set(piece);
  // Doubling: ten million small copies would be slow by themselves.
  for (let done = piece.length; done < out.length; done *= 2) out.copyWithin(done, 0, done);
  return out;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((all, part) => all + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
