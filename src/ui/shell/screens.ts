/**
 * Which screens there are: one folder each with a `Screen.svelte`, loaded when its address is first opened. A stage
 * without a folder does not exist and is not shown.
 */
import type { Component } from 'svelte';
import { STAGES, type Route, type Stage } from '../../state/router.svelte';

type Loader = () => Promise<{ readonly default: Component }>;

const loaders = import.meta.glob<{ readonly default: Component }>('../screens/*/Screen.svelte');

export function screenLoader(screen: Route['screen']): Loader | null {
  return loaders[`../screens/${screen}/Screen.svelte`] ?? null;
}

export type Group = 'prepare' | 'build' | 'judge' | 'use';

const GROUPS: readonly { readonly group: Group; readonly stages: readonly Stage[] }[] = [
  { group: 'prepare', stages: ['data', 'goal'] },
  { group: 'build', stages: ['model', 'train'] },
  { group: 'judge', stages: ['evaluate', 'compress'] },
  { group: 'use', stages: ['versions', 'try'] },
];

/** The stages in the order of the life cycle, in their groups. */
export const groups = GROUPS.map(({ group, stages }) => ({
  group,
  stages: stages.filter((stage) => screenLoader(stage) !== null),
})).filter(({ stages }) => stages.length > 0);

export function groupOf(screen: Route['screen']): Group | null {
  if (!STAGES.some((stage) => stage === screen)) return null;
  return GROUPS.find(({ stages }) => stages.some((stage) => stage === screen))?.group ?? null;
}
