/** A picture to choose or drop, made square and small as the training pictures were; and the small picture the model sees. */
import type { Tensor } from '../../onnx/graph';
import { luma } from '../../core/grey';
import type { FittedRecipe } from '../../protocol/entities';

type ImageInput = Extract<FittedRecipe['input'], { type: 'images' }>;

export function buildPicture(
  parent: HTMLElement,
  input: ImageInput,
  onChange: (inputs: ReadonlyMap<string, Tensor>) => void,
  onProblem: (text: string) => void,
): void {
  const size = input.width;
  const label = document.createElement('label');
  label.textContent = 'Choose a picture, or drop one on this page';
  const chooser = document.createElement('input');
  chooser.type = 'file';
  chooser.accept = 'image/*';
  label.append(chooser);
  const hint = document.createElement('p');
  hint.className = 'hint';
  hint.textContent = 'The model sees:';
  const seen = document.createElement('canvas');
  seen.className = 'seen';
  seen.width = seen.height = size;
  seen.setAttribute('aria-hidden', 'true');
  parent.append(label, hint, seen);
  const context = seen.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('This browser gives no canvas to draw on.');

  const take = async (file: File | null | undefined): Promise<void> => {
    if (!file) return;
    let picture: ImageBitmap;
    try {
      picture = await createImageBitmap(file);
    } catch (error) {
      console.warn(error);
      onProblem(`${file.name} is no picture that this browser can read.`);
      return;
    }
    draw(context, picture, size, input.fit ?? 'crop');
    picture.close();
    const { data } = context.getImageData(0, 0, size, size);
    const plane = size * size;
    const pixels = new Uint8Array(3 * plane);
    for (let at = 0; at < 3 * plane; at++) {
      pixels[at] = data[(at % plane) * 4 + Math.floor(at / plane)] ?? 0;
    }
    const dims = [1, input.channels, size, size];
    const levels = input.channels === 1 ? luma(pixels) : pixels;
    onChange(new Map([['image', { dtype: 'uint8', dims, data: levels }]]));
  };
  chooser.addEventListener('change', () => void take(chooser.files?.[0]));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    void take(event.dataTransfer?.files[0]);
  });
}

/** The middle square, or all of it on white. */
function draw(
  context: CanvasRenderingContext2D,
  picture: ImageBitmap,
  size: number,
  fit: 'crop' | 'letterbox',
): void {
  const { width, height } = picture;
  const scale = size / (fit === 'crop' ? Math.min(width, height) : Math.max(width, height));
  const [w, h] = [width * scale, height * scale];
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, size, size);
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, (size - w) / 2, (size - h) / 2, w, h);
}
