import { expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';

it('a message stays as it is up to 2,000 characters', () => {
  const message = `${'n'.repeat(1990)} Try again`;
  expect(new AppError('data/test', message).message).toBe(message);
});

it('of a longer one, what happened and what to do are kept', () => {
  const name = 'n'.repeat(100_000);
  const { message } = new AppError('data/test', `The layer "${name}" is not read. Rename it.`);
  expect(message).toHaveLength(2000);
  expect(message.startsWith('The layer "nnn')).toBe(true);
  expect(message).toContain(' … ');
  expect(message.endsWith('" is not read. Rename it.')).toBe(true);
});
