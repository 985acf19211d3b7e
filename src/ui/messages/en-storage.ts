import { count } from './plural';

export const storage = {
  title: 'Storage',
  sub: 'What this browser keeps of the studio, on this computer only.',
  used: (used: string, quota: string) => `${used} used; the browser allows ${quota}.`,
  promise: {
    title: 'Will it be kept?',
    persisted: 'The browser has agreed to keep it until you erase it.',
    notPersisted:
      'The browser may clear it by itself when the disk runs low. It asks nobody before it does.',
    sevenDays:
      'Safari clears what a site keeps after seven days without a visit, unless the studio was added to the home screen or the Dock. Save a backup file before a pause.',
    persist: 'Ask the browser to keep it',
    refused:
      'The browser did not agree. Installing the studio or visiting it often helps; a saved file is always safe.',
    onlyHere: (n: number) =>
      `${count(n, 'project is', 'projects are')} only here, or changed since ${n === 1 ? 'it was' : 'they were'} last saved:`,
    allSaved: 'Everything that is here was saved as a file as it is now.',
    never: 'never saved',
    changed: (when: string) => `last saved ${when}`,
  },
  big: {
    title: 'What is big',
    empty: 'No project is here yet.',
    project: 'Project',
    datasets: 'Data',
    models: 'Models',
    checkpoints: 'Checkpoints',
    evaluations: 'Judgements',
    total: 'Together',
    trashed: 'in the Trash',
    pretrained: (bytes: string) => `Pretrained models of your own: ${bytes}.`,
    offline: (bytes: string) => `The studio itself, for working without a network: ${bytes}.`,
    shared: 'What two projects share counts in both.',
  },
  free: {
    title: 'What can go',
    nothing: 'Nothing: all of it belongs to a project.',
    garbage: 'What nothing uses',
    features: 'What can be computed again',
    trash: 'Projects in the Trash',
    imports: 'Left of interrupted imports',
    checkpoints: 'Checkpoints of runs that failed',
    note: {
      garbage: 'Left over from erasing and from crashes.',
      features: 'Answers of pretrained bodies, and room kept back for a full disk.',
      trash: 'Erased for good; they could be restored until then.',
      imports: 'The same file can still be imported again.',
      checkpoints: 'Such a run can then not be tried again from where it failed.',
    },
    go: (bytes: string) => `Free ${bytes}`,
    freed: (before: string, after: string) => `Before: ${before}. Now: ${after}.`,
  },
  heal: {
    title: 'Is it whole?',
    text: 'Reads every record and every byte and compares them with their hashes. It changes nothing.',
    check: 'Check every byte',
    healthy: 'Checked: every record and every byte is as it was written.',
    problems: (n: number) => `${count(n, 'problem', 'problems')} found:`,
    advice:
      'All else works. Importing the same file again heals the data that came from it; a saved project file brings back the rest. Repairing removes what nothing uses and what can be computed again, and checks once more.',
    repair: 'Repair what can be',
  },
  interrupted: {
    title: (name: string) => `The import of ${name} was interrupted.`,
    kept: (bytes: string) => `${bytes} of it are here already.`,
    into: (label: string) => `It went into “${label}”, and goes there again.`,
    again: 'Import it again',
    discard: 'Discard',
    discarded: (bytes: string) => `Discarded; ${bytes} freed.`,
    recorded: 'What the camera had recorded was not kept whole. Record it again.',
    choose: (name: string) => `Choose ${name} again`,
  },
  open: 'What is big, and what can go',
};
