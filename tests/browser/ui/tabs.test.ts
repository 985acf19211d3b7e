/** A project that is open in several tabs, as this one shows it: what can be done, and what became of late edits. */
import axe from 'axe-core';
import { page } from 'vitest/browser';
import { describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { AppError } from '../../../src/core/errors';
import type { ProjectEdit } from '../../../src/protocol/entities';
import type { Seated } from '../../../src/services/tabs';
import { App } from '../../../src/state/app.svelte';
import Versions from '../../../src/ui/screens/versions/Screen.svelte';
import { judged } from './judged-studio';
import TabsHarness from './TabsHarness.svelte';

const MOVED = new AppError('store/moved', 'Moved.');

async function seated(writes: boolean) {
  const { project, studio, store } = await judged();
  let seat: Seated | null = null;
  const tabs = {
    sit: vi.fn(async (_: string, hearing: Seated) => {
      seat = hearing;
      return Promise.resolve(writes);
    }),
    takeOver: vi.fn(async () => Promise.resolve()),
    rise: vi.fn(async () => Promise.resolve()),
    watch: vi.fn(),
    share: vi.fn(),
  };
  const { current } = project;
  const editing = {
    getProject: vi.fn(async () => Promise.resolve(current)),
    editProject: vi.fn(async (id: string, revision: number, edit: ProjectEdit) =>
      Promise.resolve({ ...current, ...edit, id, revision: revision + 1 }),
    ),
    duplicateProject: vi.fn(async () =>
      Promise.resolve({ ...current, id: 'copy', name: 'Animals (copy)' }),
    ),
  };
  Object.assign(store, editing);
  const leaveRun = vi.fn(async () => Promise.resolve());
  Object.assign(studio, { tabs, leaveRun });
  await project.seat.sit();
  if (seat === null) throw new Error('Nobody sat down.');
  return { project, studio, tabs, ...editing, leaveRun, hearing: seat as Seated };
}

function app(): App {
  return new App(() => new Promise(() => undefined));
}

async function findings(): Promise<readonly string[]> {
  const { violations } = await axe.run(document.body);
  return violations.map(({ id, help }) => `${id}: ${help}`);
}

describe('a seat', () => {
  test('to look on from takes no edit', async () => {
    const { project, editProject } = await seated(false);
    project.edit({ name: 'Birds' });
    expect(project.current.name).toBe('Animals');
    expect(project.canEdit).toBe(false);
    expect(editProject).not.toHaveBeenCalled();
    expect(project.seat.unsaved).toBeNull();
  });

  test('that was taken away keeps the edits that came too late, and stops what trains', async () => {
    const { project, editProject, leaveRun } = await seated(true);
    editProject.mockRejectedValue(MOVED);
    project.edit({ name: 'Birds' });
    project.edit({ seed: 5 });
    await project.settled();
    expect(project.seat.unsaved).toEqual({ name: 'Birds', seed: 5 });
    expect(project.seat.place).toBe('moved');
    expect(project.current).toMatchObject({ name: 'Animals', seed: 1 });
    expect(project.error).toBeNull();
    expect(leaveRun).toHaveBeenCalledExactlyOnceWith('p1', false);
    // A name that was half typed when it happened.
    project.edit({ executor: 'wasm' });
    expect(project.seat.unsaved).toEqual({ name: 'Birds', seed: 5, executor: 'wasm' });
  });

  test('that is asked for writes what is pending and saves the run before it is given', async () => {
    const { project, editProject, leaveRun, hearing } = await seated(true);
    project.edit({ name: 'Birds' });
    await hearing.letGo();
    expect(editProject).toHaveBeenCalledOnce();
    expect(leaveRun).toHaveBeenCalledExactlyOnceWith('p1', true);
    expect(project.seat.place).toBe('moved');
    expect(project.seat.unsaved).toBeNull();
  });

  test('had back offers the late edits: put in they can be undone', async () => {
    const { project, editProject } = await seated(true);
    editProject.mockRejectedValueOnce(MOVED);
    project.edit({ seed: 5 });
    await project.settled();
    await project.seat.takeOver();
    expect(project.canEdit).toBe(true);
    expect(project.current.seed).toBe(1);
    project.seat.putIn();
    expect(project.current.seed).toBe(5);
    expect(project.seat.unsaved).toBeNull();
    expect(project.undo()).toEqual(['seed']);
  });

  test('lost again while it is being had back stays lost', async () => {
    const { project, getProject, hearing } = await seated(true);
    hearing.moved();
    getProject.mockImplementationOnce(async () => {
      hearing.moved();
      return Promise.resolve(project.current);
    });
    await project.seat.takeOver();
    expect(project.seat.place).toBe('moved');
  });
});

describe('the banner', () => {
  test('of a tab that looks on: one way to edit, and no other control that does', async () => {
    const { project, tabs } = await seated(false);
    render(TabsHarness, { app: app(), project, screen: Versions });
    await expect.element(page.getByText('open for editing in another tab')).toBeVisible();
    await expect.element(page.getByRole('button', { name: 'Download .onnx' })).toBeEnabled();
    await expect.element(page.getByRole('button', { name: 'Import .onnx' })).toBeDisabled();
    expect(await findings()).toEqual([]);
    await page.getByRole('button', { name: 'Take over here' }).click();
    expect(tabs.takeOver).toHaveBeenCalledOnce();
    await expect.element(page.getByText('open for editing')).not.toBeInTheDocument();
    await expect.element(page.getByRole('button', { name: 'Import .onnx' })).toBeEnabled();
  });

  test('of a project that moved: named late edits, and what to do with them', async () => {
    const { project, editProject, duplicateProject } = await seated(true);
    editProject.mockRejectedValueOnce(MOVED);
    project.edit({ name: 'Birds' });
    await project.settled();
    render(TabsHarness, { app: app(), project, screen: Versions });
    await expect
      .element(page.getByText('Not saved, because the project had moved: name.'))
      .toBeVisible();
    expect(await findings()).toEqual([]);
    await page.getByRole('button', { name: 'Keep my changes as a copy' }).click();
    expect(duplicateProject).toHaveBeenCalledExactlyOnceWith('p1');
    expect(editProject.mock.lastCall).toEqual(['copy', 1, { name: 'Birds' }]);
    await expect.element(page.getByText('Not saved')).not.toBeInTheDocument();
  });
});
