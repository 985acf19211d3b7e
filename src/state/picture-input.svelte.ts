/**
 * Pictures for a model to answer: a file, which the data worker makes square as the training pictures were made; or the
 * camera, frame by frame. A frame is taken only when the last one is answered, so the bars never lag behind the hand.
 */
import { linearTaps, resizePlane } from '../core/bilinear';
import { luma } from '../core/grey';
import type { ImageItem } from '../protocol/api';
import type { FittedRecipe } from '../protocol/entities';
import { Camera, FRAMES_A_SECOND } from './camera.svelte';
import type { Studio } from './studio';
import type { ModelInputs, TryOne } from './try-one.svelte';

type ImageRecipe = Extract<FittedRecipe['input'], { type: 'images' }>;

export class PictureInput {
  readonly camera = new Camera();
  readonly #studio: Studio;
  readonly #recipe: FittedRecipe;
  readonly #input: ImageRecipe;
  #inputs = $state.raw<ModelInputs | null>(null);
  #error = $state.raw<unknown>(null);
  #reading = $state(false);
  #callId = '';

  constructor(studio: Studio, recipe: FittedRecipe, input: ImageRecipe) {
    this.#studio = studio;
    this.#recipe = recipe;
    this.#input = input;
  }

  /** The picture that is asked about. */
  get inputs(): ModelInputs | null {
    return this.#inputs;
  }

  get error(): unknown {
    return this.#error;
  }

  get reading(): boolean {
    return this.#reading;
  }

  /** What the model's first layer sees, after the preparation inside the model. */
  get seen(): Pick<ImageItem, 'pixels' | 'channels' | 'height' | 'width'> | null {
    const pixels = this.#inputs?.[0]?.data;
    return pixels instanceof Uint8Array ? prepared(pixels, this.#input) : null;
  }

  show(inputs: ModelInputs | null): void {
    this.#inputs = inputs;
    this.#error = null;
  }

  async read(file: Blob): Promise<ModelInputs | null> {
    this.camera.stop();
    const callId = crypto.randomUUID();
    this.#callId = callId;
    this.#error = null;
    this.#reading = true;
    try {
      const inputs = await this.#studio.data.readPicture(callId, file, this.#recipe);
      // Another picture was chosen meanwhile.
      if (callId !== this.#callId) return null;
      this.#inputs = inputs;
      return inputs;
    } catch (error) {
      if (callId === this.#callId) this.#error = error;
      return null;
    } finally {
      if (callId === this.#callId) this.#reading = false;
    }
  }

  /** Asks about what the camera sees until the function returned is called. */
  follow(asked: TryOne): () => void {
    this.#callId = '';
    const timer = setInterval(() => {
      if (asked.busy || document.hidden) return;
      const inputs = this.#frame();
      if (inputs === null) return;
      this.show(inputs);
      asked.ask(inputs);
    }, 1000 / FRAMES_A_SECOND);
    return () => clearInterval(timer);
  }

  #frame(): ModelInputs | null {
    const { width: size, channels } = this.#input;
    const pixels = this.camera.grab(size);
    if (pixels === null) return null;
    const data = channels === 1 ? luma(pixels) : pixels;
    return [{ name: 'image', dtype: 'uint8', dims: [1, channels, size, size], data }];
  }
}

function prepared(
  pixels: Uint8Array,
  { channels, height, width, resize }: ImageRecipe,
): Pick<ImageItem, 'pixels' | 'channels' | 'height' | 'width'> {
  if (!resize) return { pixels, channels, height, width };
  const rows = linearTaps(height, resize.height);
  const columns = linearTaps(width, resize.width);
  const plane = resize.height * resize.width;
  const out = new Float32Array(channels * plane);
  for (let channel = 0; channel < channels; channel++) {
    const from = pixels.subarray(channel * height * width, (channel + 1) * height * width);
    resizePlane(from, width, rows, columns, out, channel * plane);
  }
  return { pixels: Uint8Array.from(out, Math.round), channels, ...resize };
}
