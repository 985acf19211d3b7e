/** A square to draw in, by mouse, touch or pen, or by arrow keys and space; and the small picture the model sees. */
import type { Tensor } from '../../onnx/graph';
import { inkOfAlpha, preprocessDigit } from '../../core/digit-preprocess';

const SIDE = 280;
const PEN = 22;
const KEY_STEP = 8;
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-KEY_STEP, 0],
  ArrowRight: [KEY_STEP, 0],
  ArrowUp: [0, -KEY_STEP],
  ArrowDown: [0, KEY_STEP],
};

export function buildDrawing(
  parent: HTMLElement,
  size: number,
  onChange: (inputs: ReadonlyMap<string, Tensor> | null) => void,
): void {
  const title = document.createElement('h2');
  title.textContent = 'Draw';
  const canvas = document.createElement('canvas');
  canvas.className = 'drawing';
  canvas.width = canvas.height = SIDE;
  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute(
    'aria-label',
    'Drawing area. Draw with a pointer, or move with the arrow keys while holding Shift to draw.',
  );
  const clear = document.createElement('button');
  clear.type = 'button';
  clear.textContent = 'Clear';
  const hint = document.createElement('p');
  hint.className = 'hint';
  hint.textContent =
    'With the keyboard: arrow keys move the pen, Shift and arrow keys draw. The model sees:';
  const seen = document.createElement('canvas');
  seen.className = 'seen';
  seen.width = seen.height = size;
  seen.setAttribute('aria-hidden', 'true');
  parent.append(title, canvas, clear, hint, seen);

  const context = canvas.getContext('2d', { willReadFrequently: true });
  const small = seen.getContext('2d');
  if (!context || !small) throw new Error('This browser gives no canvas to draw on.');
  context.lineWidth = PEN;
  context.lineCap = 'round';
  context.lineJoin = 'round';
  context.strokeStyle = '#ffffff';
  let pen: readonly [number, number] = [SIDE / 2, SIDE / 2];

  const report = (): void => {
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    const pixels = preprocessDigit(inkOfAlpha(data, SIDE, SIDE), size);
    const image = small.createImageData(size, size);
    for (const [index, value] of pixels.entries())
      image.data.set([value, value, value, 255], index * 4);
    small.putImageData(image, 0, 0);
    const empty = pixels.every((value) => value === 0);
    onChange(
      empty
        ? null
        : new Map([['image', { dtype: 'uint8', dims: [1, 1, size, size], data: pixels }]]),
    );
  };
  const lineTo = (to: readonly [number, number]): void => {
    context.beginPath();
    context.moveTo(...pen);
    context.lineTo(...to);
    context.stroke();
    pen = to;
    report();
  };
  const place = (event: PointerEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * SIDE) / box.width,
      ((event.clientY - box.top) * SIDE) / box.height,
    ];
  };
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    pen = place(event);
    lineTo(pen);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.buttons !== 0) lineTo(place(event));
  });
  canvas.addEventListener('keydown', (event) => {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    const inside = (value: number) => Math.max(PEN / 2, Math.min(SIDE - PEN / 2, value));
    const to = [inside(pen[0] + step[0]), inside(pen[1] + step[1])] as const;
    if (event.shiftKey) lineTo(to);
    else pen = to;
  });
  clear.addEventListener('click', () => {
    context.clearRect(0, 0, SIDE, SIDE);
    report();
  });
  report();
}
