export const vault = {
  title: 'Locked project',
  locked: 'locked',
  newOne: 'New locked project',
  newText:
    'Its data, models and figures are stored encrypted; only you can open them, with a passphrase.',
  putOn: 'Lock with a passphrase',
  doors: 'Locked projects',
  doorsText: 'What is inside is encrypted. Only these labels, dates and sizes can be seen.',
  openDoor: (label: string) => `Unlock ${label}`,
  since: (date: string) => `locked since ${date}`,
  erase: 'Erase',
  eraseTitle: (label: string) => `Erase “${label}” for good?`,
  eraseText: (size: string) =>
    `It holds ${size}, and nobody can say what: it is locked. Neither the passphrase nor anybody’s help brings it back.`,
  eraseEmpty: 'Nothing was put into it yet.',
  erased: (label: string) => `“${label}” is erased.`,
  filling:
    'The next data that you open goes into the locked project, and nowhere else on this computer.',
  stopFilling: 'Not now',
  label: 'Label that everybody can see',
  labelNote:
    'The real name is encrypted, and so is everything else. This stands on the closed door.',
  passphrase: 'Passphrase',
  newPassphrase: 'New passphrase',
  oldPassphrase: 'Passphrase now',
  again: 'The same once more',
  different: 'The two are not the same.',
  show: 'Show',
  hide: 'Hide',
  strength: {
    none: 'Several words that you can remember are better than a short one with signs.',
    weak: 'Weak: a computer guesses this. Make it longer.',
    fair: 'Fair: holds off a curious person, not a patient one. A few more letters help much.',
    good: 'Good.',
    strong: 'Strong.',
  },
  warning:
    'Nobody can reset a passphrase. Without it and without the recovery key everything inside is lost.',
  existingWarning:
    'The open form is erased after everything was stored encrypted. A database log or a disk may still hold remnants of it for a while; a project that is locked from the start has none.',
  create: 'Make the lock',
  working: 'Making the key. This takes a second on purpose.',
  encrypting: 'Encrypting everything',
  stillOpen: (names: string) =>
    `Other projects use ${names} too, so that data also stays in the open.`,
  recovery: {
    title: 'Your recovery key',
    text: 'It opens the project when the passphrase is forgotten. It is shown only now. Keep it on paper or where you keep passwords, not beside this computer.',
    copy: 'Copy',
    copied: 'Copied',
    save: 'Save as a file',
    print: 'Print',
    kept: 'I have kept it',
    first: 'It is never shown again. Keep it, and say so, before you close this.',
    done: 'Continue',
    file: (label: string, key: string) =>
      `Terrarium recovery key\n\nLocked project: ${label}\n\n${key}\n\nIt opens the project when the passphrase is forgotten. Keep it apart from the computer.\n`,
    fileName: 'terrarium-recovery-key.txt',
  },
  door: {
    text: 'Everything in this project is encrypted.',
    unlock: 'Unlock',
    unlocking: 'Unlocking',
    forgot: 'Passphrase forgotten?',
    usePassphrase: 'Use the passphrase',
    recoveryKey: 'Recovery key',
    recoveryNote: 'Nine groups of four characters. Spaces and hyphens do not matter.',
    thenChange: 'Set a new passphrase now, so that you need not look for this key again.',
    resume: 'A run was going on when it was locked. It can be resumed on Train.',
    gone: 'This locked project is not in this browser any more.',
  },
  menu: 'Lock',
  panel: {
    title: 'The lock of this project',
    text: 'Its records and data are encrypted on this computer. While it is open, whoever sits here can see it.',
    now: 'Lock now',
    nowTraining:
      'A run is going on. It is saved and ended now, and can be resumed after unlocking.',
    idle: 'Locks by itself after',
    minutes: (count: number) =>
      count === 1 ? '1 minute without a touch' : `${count} minutes without a touch`,
    idleNote: 'Not while it trains or takes data in. A reload of the page always locks.',
    change: 'Change the passphrase',
    changed: 'The passphrase is changed. Nothing had to be encrypted again.',
    renew: 'New recovery key',
    renewText: 'The former recovery key opens nothing any more.',
    remove: 'Remove the lock',
    removeText: 'Everything is stored in the open again, readable for whoever uses this browser.',
    removed: 'The lock is removed.',
    confirm: 'Go on',
  },
  damage: {
    title: 'Damaged records of this locked project',
    text: (count: number) =>
      count === 1
        ? 'One record of this locked project does not open: it was damaged, changed or put in from elsewhere. Nothing of it is used, and everything else works:'
        : `${count} records of this locked project do not open: they were damaged, changed or put in from elsewhere. Nothing of them is used, and everything else works:`,
    advice:
      'A backup of this project holds them as they were. A file saved now holds what reads, and says what it lacks.',
    noData:
      'The record of this project’s data is damaged, so the data cannot be shown. Open a backup of the project to get it back.',
    save: 'Save what reads as a file',
  },
  exportTitle: 'This file will not be locked',
  exportText:
    'A project file of an opened project holds everything in readable form. Whoever has the file can read it, without the passphrase.',
  exportGo: 'Save it readable',
};
