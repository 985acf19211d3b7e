/** How the primitives behave under a keyboard and a mouse, where that is more than the browser's own doing. */
import { createRawSnippet } from 'svelte';
import '../../../src/ui/styles/base.css';
import '../../../src/ui/styles/tokens.css';
import { userEvent } from 'vitest/browser';
import { describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { AppError } from '../../../src/core/errors';
import { Toasts } from '../../../src/state/toasts.svelte';
import Button from '../../../src/ui/primitives/Button.svelte';
import ConfusionMatrix from '../../../src/ui/charts/ConfusionMatrix.svelte';
import EditableName from '../../../src/ui/primitives/EditableName.svelte';
import ErrorNote from '../../../src/ui/primitives/ErrorNote.svelte';
import Menu from '../../../src/ui/primitives/Menu.svelte';
import NumberField from '../../../src/ui/primitives/NumberField.svelte';
import Progress from '../../../src/ui/primitives/Progress.svelte';
import StackedHistogram from '../../../src/ui/charts/StackedHistogram.svelte';
import ToastList from '../../../src/ui/primitives/ToastList.svelte';
import VirtualTable from '../../../src/ui/primitives/VirtualTable.svelte';

const words = (text: string) => createRawSnippet(() => ({ render: () => `<span>${text}</span>` }));

describe('EditableName', () => {
  test('renames by F2 and Enter, and gives the focus back', async () => {
    const onrename = vi.fn();
    const screen = await render(EditableName, { name: 'Run 1', what: 'run', onrename });
    const button = screen.getByRole('button', { name: 'Run 1' });
    (button.element() as HTMLElement).focus();
    await userEvent.keyboard('{F2}');
    await expect.element(screen.getByRole('textbox')).toHaveFocus();
    await userEvent.keyboard('Best one{Enter}');
    expect(onrename).toHaveBeenCalledExactlyOnceWith('Best one');
    await expect.element(screen.getByRole('button')).toHaveFocus();
  });

  test('Escape, an empty name and the same name change nothing', async () => {
    const onrename = vi.fn();
    const screen = await render(EditableName, { name: 'Run 1', what: 'run', onrename });
    for (const typed of ['Other{Escape}', '{Backspace}{Enter}', 'Run 1{Enter}']) {
      await screen.getByRole('button').dblClick();
      await userEvent.keyboard(typed);
    }
    expect(onrename).not.toHaveBeenCalled();
  });
});

describe('NumberField', () => {
  test('goes to the nearest bound and back from what is no number', async () => {
    const onchange = vi.fn();
    const screen = await render(NumberField, {
      label: 'Epochs',
      value: 5,
      min: 1,
      max: 10,
      onchange,
    });
    const field = screen.getByLabelText('Epochs');
    await field.fill('99');
    await userEvent.tab();
    expect(onchange).toHaveBeenLastCalledWith(10);
    await expect.element(field).toHaveValue(10);
    await field.fill('');
    await userEvent.tab();
    await expect.element(field).toHaveValue(10);
    expect(onchange).toHaveBeenCalledTimes(1);
  });
});

describe('Button', () => {
  test('takes no second press while it is busy', async () => {
    const onclick = vi.fn();
    const screen = await render(Button, { busy: true, onclick, children: words('Train') });
    await screen.getByRole('button', { name: 'Train' }).click({ force: true });
    expect(onclick).not.toHaveBeenCalled();
  });
});

describe('Menu', () => {
  test('opens by keyboard, runs the chosen item and closes', async () => {
    const run = vi.fn();
    const items = [
      { label: 'Rename', run: vi.fn() },
      { label: 'Delete', run, danger: true },
    ];
    const screen = await render(Menu, { label: 'More', items });
    (screen.getByRole('button', { name: 'More' }).element() as HTMLElement).focus();
    await userEvent.keyboard('{Enter}');
    await expect.element(screen.getByRole('menuitem', { name: 'Delete' })).toBeVisible();
    await userEvent.keyboard('{ArrowDown}{Enter}');
    expect(run).toHaveBeenCalledOnce();
    await expect.element(screen.getByRole('menu')).not.toBeInTheDocument();
  });
});

describe('Progress', () => {
  test('says the step, how far, what is left, and can be cancelled', async () => {
    const oncancel = vi.fn();
    const screen = await render(Progress, {
      label: 'Loading engine',
      done: 14e6,
      total: 27e6,
      unit: 'bytes' as const,
      secondsLeft: 4,
      oncancel,
    });
    await expect.element(screen.getByText('14 MB of 27 MB')).toBeVisible();
    await expect.element(screen.getByText('4s left')).toBeVisible();
    await expect.element(screen.getByRole('progressbar')).toHaveAttribute('aria-valuenow', '52');
    await screen.getByRole('button', { name: 'Cancel' }).click();
    expect(oncancel).toHaveBeenCalledOnce();
  });
});

describe('ErrorNote', () => {
  test('shows the words and offers to try again', async () => {
    const onretry = vi.fn();
    const error = new AppError('data/csv', 'Line 3 has 4 cells, not 5. Mend it.', { line: 3 });
    const screen = await render(ErrorNote, { error, onretry });
    await expect.element(screen.getByRole('alert')).toHaveTextContent('Line 3 has 4 cells');
    await screen.getByRole('button', { name: 'Try again' }).click();
    expect(onretry).toHaveBeenCalledOnce();
  });
});

describe('ToastList', () => {
  test('a message with Undo stays until it is used', async () => {
    const toasts = new Toasts();
    const run = vi.fn();
    const screen = await render(ToastList, { toasts });
    toasts.say('Penguins is in the Trash.', { label: 'Undo', run });
    await screen.getByRole('button', { name: 'Undo' }).click();
    expect(run).toHaveBeenCalledOnce();
    expect(toasts.list).toEqual([]);
  });
});

describe('VirtualTable', () => {
  test('keeps a long table short in the page, and asks for what is in view', async () => {
    const onwindow = vi.fn();
    const screen = await render(VirtualTable, {
      label: 'Rows',
      columns: ['n'],
      total: 200_000,
      row: (index: number) => [`row ${index}`],
      onwindow,
      height: '300px',
    });
    await expect.element(screen.getByText('row 0', { exact: true })).toBeVisible();
    expect(document.querySelectorAll('tbody tr').length).toBeLessThan(60);
    const box = screen.getByRole('group', { name: 'Rows' }).element();
    box.scrollTop = box.scrollHeight;
    await expect.element(screen.getByText('row 199999', { exact: true })).toBeVisible();
    expect(onwindow.mock.lastCall?.[1]).toBe(199_999);
    expect(document.querySelectorAll('tbody tr').length).toBeLessThan(60);
  });
});

describe('charts that are pressed', () => {
  test('a bar is chosen and given back', async () => {
    const onselect = vi.fn();
    const bars = [
      { label: 'Adelie', count: 3, stacks: [3] },
      { label: 'Gentoo', count: 2, stacks: [2] },
    ];
    const base = { label: 'Species', sentence: '', bars, classes: ['n'], rows: 5, onselect };
    const screen = await render(StackedHistogram, { ...base, selected: null });
    await screen.getByRole('button', { name: /^Gentoo/ }).click();
    expect(onselect).toHaveBeenLastCalledWith(1);
    await screen.rerender({ ...base, selected: 1 });
    await screen.getByRole('button', { name: /^Gentoo/ }).click();
    expect(onselect).toHaveBeenLastCalledWith(null);
  });

  test('thin bars are one control, by mouse and by keyboard', async () => {
    const onselect = vi.fn();
    const bars = Array.from({ length: 20 }, (_, index) => ({
      label: `${index}`,
      count: index + 1,
      stacks: [],
    }));
    const base = { label: 'Bill', sentence: '', bars, classes: [], rows: 210, onselect };
    const screen = await render(StackedHistogram, { ...base, selected: null });
    const slider = screen.getByRole('slider', { name: 'Bill' });
    (slider.element().querySelector('[data-bar="12"]') as HTMLElement).click();
    expect(onselect).toHaveBeenLastCalledWith(12);
    await screen.rerender({ ...base, selected: 12 });
    await expect.element(slider).toHaveAttribute('aria-valuetext', '12: 13');
    (slider.element() as HTMLElement).focus();
    await userEvent.keyboard('{ArrowRight}');
    expect(onselect).toHaveBeenLastCalledWith(13);
    await userEvent.keyboard('{Escape}');
    expect(onselect).toHaveBeenLastCalledWith(null);
  });

  test('a cell of the confusion matrix names both classes; an empty one cannot be pressed', async () => {
    const onselect = vi.fn();
    const counts = [
      [8, 2],
      [0, 9],
    ];
    const screen = await render(ConfusionMatrix, {
      classes: ['cat', 'dog'],
      counts,
      sentence: '',
      onselect,
    });
    await screen.getByRole('button', { name: '2 of true cat predicted as dog' }).click();
    expect(onselect).toHaveBeenCalledExactlyOnceWith(0, 1);
    expect(document.querySelectorAll('td button')).toHaveLength(3);
  });
});
