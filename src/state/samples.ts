/**
 * The pictures on Home, out of the data sets that the studio brings along: read on the page and only as far as they are
 * shown. Learning reads the same files in a worker, whole.
 */
export interface Bird {
  readonly species: number;
  readonly measures: readonly [number, number, number, number];
}

export const MEASURES = [
  'bill_length_mm',
  'bill_depth_mm',
  'flipper_length_mm',
  'body_mass_g',
] as const;

/** The penguins with all four measures. */
export async function readPenguins(): Promise<{
  species: readonly string[];
  birds: readonly Bird[];
}> {
  const text = await (await fetched('penguins.csv')).text();
  const [header = '', ...lines] = text.trim().split(/\r?\n/);
  const names = header.split(',');
  const at = MEASURES.map((measure) => names.indexOf(measure));
  const species: string[] = [];
  const birds: Bird[] = [];
  for (const line of lines) {
    const cells = line.split(',');
    const [a, b, c, d] = at.map((index) => parseFloat(cells[index] ?? ''));
    const name = cells[names.indexOf('species')] ?? '';
    if (!species.includes(name)) species.push(name);
    if (![a, b, c, d].every(Number.isFinite)) continue;
    birds.push({
      species: species.indexOf(name),
      measures: [a ?? 0, b ?? 0, c ?? 0, d ?? 0],
    });
  }
  return { species, birds };
}

export interface Digit {
  readonly pixels: Uint8Array; // [28, 28]
  readonly label: number;
}

const SIDE = 28;

/** Labels of the first rows. They stand at the far end of the file, which is not read so far; a test compares them. */
export const FIRST_LABELS =
  '17360249851736024985173602498517360249815736024981753602491873560249187360512497' +
  '83610245978316024975831602497518360274913586027491386507214936850721493687012549';

/** The first `count` digits, at most as many as have a label above. */
export async function readDigits(count: number): Promise<readonly Digit[]> {
  const { body } = await fetched('digits.bin');
  if (!body) return [];
  const wanted = Math.min(count, FIRST_LABELS.length) * SIDE * SIDE;
  const bytes = new Uint8Array(wanted);
  const reader = body.pipeThrough(new DecompressionStream('gzip')).getReader();
  let have = 0;
  while (have < wanted) {
    const { value, done } = await reader.read();
    if (done) break;
    const part = value.subarray(0, wanted - have);
    bytes.set(part, have);
    have += part.length;
  }
  // What was not needed is not downloaded.
  await reader.cancel();
  return Array.from({ length: Math.floor(have / (SIDE * SIDE)) }, (_, row) => ({
    pixels: bytes.subarray(row * SIDE * SIDE, (row + 1) * SIDE * SIDE),
    label: Number(FIRST_LABELS[row]),
  }));
}

/** The label of the most similar digit by squared distance (nearest neighbour; Fix and Hodges, 1951). */
export function guess(digit: Digit, known: readonly Digit[]): number {
  let best = Infinity;
  let label = 0;
  for (const other of known) {
    let distance = 0;
    for (let at = 0; at < digit.pixels.length && distance < best; at++) {
      const difference = (digit.pixels[at] ?? 0) - (other.pixels[at] ?? 0);
      distance += difference * difference;
    }
    if (distance < best) {
      best = distance;
      label = other.label;
    }
  }
  return label;
}

async function fetched(name: string): Promise<Response> {
  const response = await fetch(new URL(`data/${name}`, document.baseURI));
  if (!response.ok) throw new Error(`${name} could not be loaded (${response.status}).`);
  return response;
}
