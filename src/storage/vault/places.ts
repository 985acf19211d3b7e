/** Where the sealed chunks of locked projects lie among all others. */

export const placesOf = (projectId: string): string => `vault/${projectId}/`;

/** Whose it is; undefined for a chunk that lies in the open. */
export function vaultOfPlace(storageKey: string): string | undefined {
  const [prefix, projectId] = storageKey.split('/');
  return prefix === 'vault' ? projectId : undefined;
}
