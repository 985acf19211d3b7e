import { count } from './plural';

export const backup = {
  save: {
    one: (name: string) => `Save “${name}” as a file`,
    all: 'Save everything as a file',
    text: 'A zip that opens in any Terrarium, and that other programs can read. Nothing is sent anywhere.',
    withData: 'With the rows of the data',
    withoutData: 'Without rows it holds nothing that a single row could be read from.',
    withTrash: 'With what is in the Trash',
    inside: 'In the file',
    looking: 'Looking at what there is',
    size: (bytes: string) => `About ${bytes}.`,
    leftOut: 'Not in the file, because this browser cannot read it:',
    pick: 'Choose where to save',
    download: 'Download',
    done: (bytes: string) => `Saved: ${bytes}. The file says what is in it.`,
    doneLess: 'Saved, without what is named below.',
    fileType: 'Terrarium project file',
    everythingName: 'terrarium-everything',
  },
  open: {
    title: 'Open projects',
    text: 'Nothing here is touched: what is here already becomes a copy, and a locked project that is here stays as it is.',
    which: 'Projects in the file',
    sealed: 'locked; opens with its passphrase',
    leftOut: 'The file says that it lacks:',
    go: (n: number) => `Open ${count(n, 'project', 'projects')}`,
    done: (n: number) => `${count(n, 'project', 'projects')} opened.`,
    notes: (notes: string) => `The file lacks: ${notes}.`,
    sealedHere: (name: string) => `“${name}” lies under its lock. Open it with its passphrase.`,
    opening: 'Opening the file',
  },
  card: {
    title: 'Backup',
    none: 'Projects are kept in this browser only. Choose a folder, on this disk, a stick or one that a program of yours carries elsewhere: what changes is written there by itself.',
    noApi:
      'This browser cannot write into a folder by itself. Save everything as a file now and then.',
    folder: (name: string) =>
      `Into the folder “${name}”, whenever a change has rested and when a run has ended.`,
    last: (when: string, size: string) => `Last backup ${when}: ${size}.`,
    never: 'Nothing was backed up into it yet.',
    keeps: (n: number) => `The last ${n} versions of each project stay. Locked projects go sealed.`,
    saved: 'Everything is backed up.',
    waiting: (n: number) => `${count(n, 'project', 'projects')} changed since the last backup.`,
    asks: 'The browser asks again before it lets the studio write there.',
    allow: 'Allow it',
    choose: 'Choose a folder',
    other: 'Another folder',
    forget: 'Stop backing up',
    now: 'Back up now',
    everything: 'Save everything as a file',
    restore: 'Restore from a folder',
    saving: 'Backing up',
    foundTitle: 'Backups in this folder',
    foundNone: 'No backup of Terrarium lies in this folder.',
    foundOpen: (folder: string, when: string) => `Open ${folder}, ${when}`,
    foundText: 'The newest of each project first. Opening one touches nothing that is here.',
    openOne: 'Open',
  },
  reminder: {
    text: (since: string, what: string) => `Not backed up since ${since}: ${what} only here.`,
    what: (runs: number, models: number) =>
      [
        runs > 0 ? count(runs, 'run', 'runs') : '',
        models > 0 ? count(models, 'model', 'models') : '',
      ]
        .filter((part) => part !== '')
        .join(' and ') + (runs + models === 1 ? ' is' : ' are'),
    save: 'Save everything',
    settings: 'Set up backups',
  },
};
