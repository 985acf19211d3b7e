/**
 * Every string of the studio, in English: one catalogue out of one file an area, so that an area can be read and
 * translated by itself. Plain sentences; functions where a figure or a name stands inside.
 */
import { charts } from './en-charts';
import { common } from './en-common';
import { compress } from './en-compress';
import { data } from './en-data';
import { evaluate } from './en-evaluate';
import { goal } from './en-goal';
import { graph } from './en-graph';
import { home } from './en-home';
import { model } from './en-model';
import { pictures } from './en-pictures';
import { pretrained } from './en-pretrained';
import { profile } from './en-profile';
import { settings } from './en-settings';
import { shell } from './en-shell';
import { train } from './en-train';
import { tryOut } from './en-try';
import { versions } from './en-versions';

export const en = {
  common,
  charts,
  compress,
  shell,
  home,
  pictures,
  data,
  goal,
  graph,
  model,
  pretrained,
  profile,
  train,
  evaluate,
  tryOut,
  versions,
  settings,
};
