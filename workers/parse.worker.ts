/** One file's or folder's parser, thrown away afterwards: hostile files can harm nothing but this worker. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import { createPictureParser } from '../src/data/pictures/decode';
import { buffersOf, parseCells, parseTable } from '../src/data/readers/table';
import type { FileParser } from '../src/data/api';
import { serve } from './serve';

const pictures = createPictureParser();

const api: FileParser = {
  async parseTable(file, onProgress) {
    const table = await parseTable(file, onProgress);
    return Comlink.transfer(table, buffersOf(table));
  },
  parseCells: (file, onProgress) => parseCells(file, onProgress),
  ...pictures,
  // Only models need the reader of graphs.
  checkModel: async (file) => (await import('../src/training/picked-model')).checkModel(file),
  readPretrained: async (files, into, onProgress) =>
    (await import('../src/training/picked-model')).readPretrained(files, into, onProgress),
  async decodePicture(picture, spec) {
    const decoded = await pictures.decodePicture(picture, spec);
    return Comlink.transfer(decoded, [decoded.pixels.buffer]);
  },
};

serve(api);
