/**
 * The computer's camera as squares of pixels. The picture is shown mirrored, as a person expects of themselves; what is
 * recorded and what a model is asked is the unmirrored middle square, made small in one step.
 */
export type CameraProblem = 'insecure' | 'absent' | 'refused' | 'busy' | 'failed';

/** Recorded frames a second. */
export const FRAMES_A_SECOND = 10;

export class Camera {
  #stream = $state.raw<MediaStream | null>(null);
  #problem = $state.raw<CameraProblem | null>(null);
  #starting = $state(false);
  #video: HTMLVideoElement | null = null;
  #canvas: HTMLCanvasElement | null = null;
  /** Counts starts and stops: a permission given after the camera was switched off again must not switch it on. */
  #turn = 0;

  get stream(): MediaStream | null {
    return this.#stream;
  }

  get problem(): CameraProblem | null {
    return this.#problem;
  }

  get starting(): boolean {
    return this.#starting;
  }

  async start(): Promise<void> {
    if (this.#stream !== null || this.#starting) return;
    this.#problem = null;
    // Browsers hide the camera from addresses that are not secure; typed as always there.
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!isSecureContext || devices === undefined) {
      this.#problem = 'insecure';
      return;
    }
    this.#starting = true;
    const turn = ++this.#turn;
    try {
      const stream = await devices.getUserMedia({
        video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: 'user' },
        audio: false,
      });
      if (turn !== this.#turn) end(stream);
      else {
        this.#stream = stream;
        for (const track of stream.getVideoTracks()) {
          track.addEventListener('ended', () => {
            if (this.#stream !== stream) return;
            this.#stream = null;
            this.#problem = 'absent';
          });
        }
      }
    } catch (error) {
      if (turn === this.#turn) this.#problem = problemOf(error);
    } finally {
      if (turn === this.#turn) this.#starting = false;
    }
  }

  stop(): void {
    this.#turn++;
    this.#starting = false;
    if (this.#stream) end(this.#stream);
    this.#stream = null;
    this.#video = null;
  }

  /** For `{@attach camera.show}` on the video element that shows it. */
  readonly show = (video: HTMLVideoElement): (() => void) => {
    this.#video = video;
    video.srcObject = this.#stream;
    video.play().catch((error: unknown) => {
      // Taken out of the page before it began.
      if (error instanceof DOMException && error.name === 'AbortError') return;
      this.#problem = 'failed';
    });
    return () => {
      if (this.#video === video) this.#video = null;
    };
  };

  /** The middle square as uint8 [3, size, size], or null while there is no picture yet. */
  grab(size: number): Uint8Array | null {
    const video = this.#video;
    if (!video || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const side = Math.min(video.videoWidth, video.videoHeight);
    if (side === 0) return null;
    this.#canvas ??= document.createElement('canvas');
    const canvas = this.#canvas;
    canvas.width = size;
    canvas.height = size;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context) return null;
    context.imageSmoothingQuality = 'high';
    const left = (video.videoWidth - side) / 2;
    const top = (video.videoHeight - side) / 2;
    context.drawImage(video, left, top, side, side, 0, 0, size, size);
    const { data } = context.getImageData(0, 0, size, size);
    const plane = size * size;
    const pixels = new Uint8Array(3 * plane);
    for (let at = 0; at < plane; at++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[channel * plane + at] = data[at * 4 + channel] ?? 0;
      }
    }
    return pixels;
  }
}

function end(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

function problemOf(error: unknown): CameraProblem {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'refused';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'absent';
  return name === 'NotReadableError' || name === 'AbortError' ? 'busy' : 'failed';
}
