/** The model looked at in a project: a choice on one screen is the choice on all. Null until somebody has chosen. */
import type { Id } from '../protocol/entities';
import type { OpenProject } from './project.svelte';

class ChosenModel {
  id = $state<Id | null>(null);
}

const made = new WeakMap<OpenProject, ChosenModel>();

export function chosenModel(project: OpenProject): ChosenModel {
  let chosen = made.get(project);
  if (!chosen) made.set(project, (chosen = new ChosenModel()));
  return chosen;
}
