/** Reads a tar archive, gzipped or not, (POSIX ustar, as `tar czf` writes it) in Node and in a browser. */

const BLOCK = 512;
const decoder = new TextDecoder();

/** Regular files by path, as views on the unpacked bytes. */
export async function unpack(packed: Uint8Array<ArrayBuffer>): Promise<Map<string, Uint8Array>> {
  const bytes = await gunzip(packed);
  const files = new Map<string, Uint8Array>();
  if (decoder.decode(bytes.subarray(257, 262)) !== 'ustar') throw new Error('This is no archive.');
  let longName = '';
  for (let at = 0; at + BLOCK <= bytes.length;) {
    const text = (offset: number, length: number) => {
      const field = decoder.decode(bytes.subarray(at + offset, at + offset + length));
      return field.split('\0')[0] ?? '';
    };
    if (bytes[at] === 0) break;
    const size = parseInt(text(124, 12).trim(), 8) || 0;
    const content = bytes.subarray(at + BLOCK, at + BLOCK + size);
    const kind = text(156, 1);
    const prefix = text(257, 5) === 'ustar' && text(345, 155) !== '' ? `${text(345, 155)}/` : '';
    const name = (longName || prefix + text(0, 100)).replace(/^\.\//, '');
    // GNU tar writes a name of more than 100 bytes as a file of its own before the file it names.
    longName = kind === 'L' ? (decoder.decode(content).split('\0')[0] ?? '') : '';
    if (kind === '0' || kind === '') files.set(name, content);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

/** Servers may announce a .gz as compressed for the way; then it arrives unpacked. */
async function gunzip(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  if (packed[0] !== 0x1f || packed[1] !== 0x8b) return packed;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
