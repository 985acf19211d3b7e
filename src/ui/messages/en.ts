/**
 * Every string of the studio, in English: one catalogue out of one file an area, so that an area can be read and
 * translated by itself. Plain sentences; functions where a figure or a name stands inside.
 */
import { backup } from './en-backup';
import { charts } from './en-charts';
import { common } from './en-common';
import { compress } from './en-compress';
import { data } from './en-data';
import { drill } from './en-drill';
import { evaluate } from './en-evaluate';
import { goal } from './en-goal';
import { graph } from './en-graph';
import { home } from './en-home';
import { model } from './en-model';
import { pictures } from './en-pictures';
import { pretrained } from './en-pretrained';
import { profile } from './en-profile';
import { rescue } from './en-rescue';
import { runTrouble } from './en-run-trouble';
import { settings } from './en-settings';
import { storage } from './en-storage';
import { shell } from './en-shell';
import { tabs } from './en-tabs';
import { train } from './en-train';
import { tryOut } from './en-try';
import { vault } from './en-vault';
import { versions } from './en-versions';

export const en = {
  common,
  backup,
  charts,
  compress,
  shell,
  home,
  pictures,
  data,
  drill,
  goal,
  graph,
  model,
  pretrained,
  profile,
  rescue,
  runTrouble,
  train,
  evaluate,
  tryOut,
  vault,
  versions,
  settings,
  storage,
  tabs,
};
