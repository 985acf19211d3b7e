/** What pictures may cost before they are refused: a folder from anywhere is hostile until decoded. */
export const PICTURE_LIMITS = {
  /** Bytes of one file. */
  fileBytes: 64 * 1024 ** 2,
  /** Pixels of one picture before it is made smaller: four bytes each while it is decoded. */
  pixels: 64e6,
  pictures: 50_000,
  classes: 256,
  groups: 256,
  /** Bytes of all pictures as they are stored, which training holds in memory. */
  storedBytes: 1024 ** 3,
  zipEntries: 200_000,
  /** Bytes of a zip's table of contents, which is read in one piece. */
  zipContents: 64 * 1024 ** 2,
  /** Bytes that the entries of one zip may unpack to. */
  zipBytes: 16 * 1024 ** 3,
  /** Times that an entry may be larger than its packed bytes; pictures hardly pack at all. */
  zipRatio: 200,
} as const;

export const SIZES = { smallest: 32, largest: 224 } as const;

/** Grey pictures up to this side stay grey. */
export const GREY_SIDE = 64;
/** A class with fewer pictures can hardly be told apart, and not be checked. */
export const LEAST_PICTURES = 5;
/** Files named in a manifest; all are counted. */
export const MOST_NAMED = 500;
