/** Grey and colour: pictures are uint8 [3, H, W], grey ones where a set is grey [1, H, W]. */

/** Whether the three planes of a picture (uint8 [3, H, W]) are equal. */
export function isGrey(pixels: Uint8Array): boolean {
  const plane = pixels.length / 3;
  for (let at = 0; at < plane; at++) {
    if (pixels[at] !== pixels[at + plane] || pixels[at] !== pixels[at + 2 * plane]) return false;
  }
  return true;
}

/** Y' of Rec. ITU-R BT.601, as JPEG does it. Equal channels stay what they are. */
export function luma(pixels: Uint8Array): Uint8Array {
  const plane = pixels.length / 3;
  const grey = new Uint8Array(plane);
  for (let at = 0; at < plane; at++) {
    const red = pixels[at] ?? 0;
    const green = pixels[at + plane] ?? 0;
    const blue = pixels[at + 2 * plane] ?? 0;
    grey[at] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  }
  return grey;
}
