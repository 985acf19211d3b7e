/** SHA-256 of what lies in several pieces, without ever holding them together. */

export interface WholeHash {
  update(bytes: Uint8Array): void;
  hex(): string;
}

export async function wholeHash(): Promise<WholeHash> {
  const { createSHA256 } = await import('hash-wasm');
  const hasher = await createSHA256();
  return {
    update: (bytes) => void hasher.update(bytes),
    hex: () => hasher.digest('hex'),
  };
}
