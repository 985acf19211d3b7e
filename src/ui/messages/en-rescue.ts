import { count } from './plural';

/** What the rescue screen says, by what is wrong. */
export const rescue = {
  title: {
    full: 'There is no room to open your projects',
    forbidden: 'The browser forbids storage here',
    blocked: 'Another tab is in the way',
    newer: 'Your projects were written by a newer version',
    failed: 'The storage does not open',
    deleted: 'The storage was deleted under the studio',
    closed: 'The browser closed the storage',
    updated: 'A newer version has taken over',
    'all-lost': 'The browser has lost what was here',
    'changes-lost': 'The browser has lost what was saved last',
    'records-lost': 'The browser has lost the list of your projects',
    'bytes-lost': 'The browser has lost the data of your projects',
  },
  what: {
    full: 'The disk of this computer is full, or this site may not use more of it.',
    forbidden: 'Some browsers do so in private windows, or by a setting for this site.',
    blocked:
      'It runs an older version of the studio, and the storage can be opened by one version at a time.',
    newer:
      'This page is an older copy of the studio. It does not know the newer form, so it leaves it alone.',
    failed: 'The browser says that it cannot read its own files at the moment.',
    deleted:
      'By the browser, by its settings, or by a tool. This page noticed at once and writes nothing more.',
    closed: 'This page noticed at once and writes nothing more.',
    updated: 'Another tab of the studio runs it.',
    'all-lost':
      'When the studio was last open, there was work here. Now there is an empty storage that the browser has made anew: it may have run out of room, or its files were damaged.',
    'changes-lost':
      'When the studio was last open, more had been saved than is here now: files of the browser were damaged, or an older copy of them was put in their place.',
    'records-lost':
      'The names, runs and settings are gone; bytes of data and models are still here, but nothing says what they are.',
    'bytes-lost':
      'Projects, runs and settings are here; the tables, pictures and models that they name are not, or not all.',
  },
  safe: {
    full: 'Nothing was changed or deleted. What was saved is still on the disk.',
    forbidden: 'Nothing was changed. What was saved in an ordinary window is still there.',
    blocked: 'Nothing is lost. A run in the other tab is kept up to its last checkpoint.',
    newer: 'Nothing was changed or deleted, and nothing will be by this version.',
    failed:
      'Nothing was changed or deleted. What was saved is still on the disk, and can often be read again after a restart of the browser.',
    deleted:
      'Files and backups that you saved are safe. Nothing is written to an empty storage until you say so.',
    closed: 'Everything that was saved until then is on the disk.',
    updated: 'Nothing is lost. Reload to go on.',
    'all-lost':
      'Files and backups that you saved are safe: open them and everything in them is back.',
    'changes-lost':
      'What is still here can be opened and saved, and so can files and backups that you saved before. Look through your projects: what was made last may be missing.',
    'records-lost':
      'Files and backups that you saved are safe. The bytes that are left are kept until you go on; importing the same files finds them again.',
    'bytes-lost':
      'Importing the same file again heals the table that was made from it. Save what is left first.',
  },
  were: (projects: number) =>
    `When the studio was last open here, it held ${count(projects, 'project', 'projects')}.`,
  safeTitle: 'What is safe',
  doTitle: 'What you can do',
  again: 'Try again',
  reload: 'Reload',
  save: 'Save what can be read',
  saved: 'Saved. Everything that could be read is in the file.',
  savedWithout: 'Saved. These parts could not be read and are not in the file:',
  salvageText:
    'Reads the files of the storage as they are and changes nothing in them. What is in the saved file can be opened in any browser.',
  heal: 'Repair',
  healText:
    'Drops what can be made anew, clears up, and checks every byte. Deletes nothing that a project names.',
  healed: 'Checked: nothing is damaged.',
  damaged: (n: number) => `${count(n, 'thing is', 'things are')} damaged; all else works:`,
  goOn: { empty: 'Go on with an empty studio', rest: 'Go on with what is left' },
  restoreText: 'Then open your saved files on the first screen, and everything in them is back.',
  anew: 'Begin anew beside it',
  anewText:
    'Takes a new, empty storage and leaves the one that does not open as it is, in case it can be read another day. It goes on taking room until this site’s data are cleared.',
  anewWord: 'begin anew',
  anewType: (word: string) => `Type “${word}” to go on`,
  details: 'Details for a report',
};
