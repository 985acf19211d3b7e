/** One file's parser, thrown away afterwards: a hostile file can harm nothing but this worker. */
import '../src/core/trusted-types';
import * as Comlink from 'comlink';
import { installErrorCodec } from '../src/protocol/errors';
import { buffersOf, parseCells, parseTable } from '../src/data/readers/table';
import type { ParserApi } from '../src/data/readers/table';

installErrorCodec(Comlink.transferHandlers);

const api: ParserApi = {
  async parseTable(file, onProgress) {
    const table = await parseTable(file, onProgress);
    return Comlink.transfer(table, buffersOf(table));
  },
  parseCells: (file, onProgress) => parseCells(file, onProgress),
};

Comlink.expose(api);
