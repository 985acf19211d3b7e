import { count } from './plural';

export const home = {
  question: 'What should your computer learn?',
  promise: 'It learns here, in this tab. Your data does not leave this computer.',
  penguins: {
    title: 'Which penguin is it?',
    name: 'Penguins',
    text: '344 real birds, measured in Antarctica. Three species to tell apart.',
    picture: (x: string, y: string) => `Penguins by ${x} and ${y}, one shape a species`,
    measures: {
      bill_length_mm: 'bill length',
      bill_depth_mm: 'bill depth',
      flipper_length_mm: 'flipper length',
      body_mass_g: 'body mass',
    },
  },
  digits: {
    title: 'Which digit is it?',
    name: 'Handwritten digits',
    text: '10,000 real digits, written by hand. Ten to tell apart.',
    guess: (guess: string) => `looks like a ${guess}`,
    right: 'right',
    wrong: (actual: string) => `no, it is a ${actual}`,
    how: 'Guessed by the most similar of 120 others. A network does much better.',
  },
  emoji: {
    title: 'Which group of emoji is it?',
    name: 'Emoji',
    text: 'The same 720 emoji by three vendors. It learns from two and is tested on the third.',
    vendors: (names: string) => `The same six emoji, drawn by ${names}`,
    rows: (names: string) => `From the top: ${names}.`,
  },
  start: 'Start',
  own: {
    title: 'Your own data',
    text: 'Drop a table here (a CSV file), or a folder of pictures with one folder inside for each class.',
    choose: 'Choose a file',
    pictures: 'A folder of pictures',
    camera: 'Record with the camera',
    paste: 'Paste a table',
    pasteTitle: 'Paste a table',
    pasteText:
      'Copied from a spreadsheet or a CSV file, with the names of the columns in the first line.',
    pasteLabel: 'Table',
    pasteName: 'Pasted table',
    pasteGo: 'Read it',
    dropHere: 'Let go to read it',
  },
  reading: (name: string) => `Reading ${name}`,
  opening: (name: string) => `Opening ${name}`,
  preparing: 'Setting up the project',
  onnx: (name: string) =>
    `${name} is a finished model. Open or start a project, then import it under Versions.`,
  weights: (name: string) =>
    `${name} looks like a model or its weights, not like data. Start a project, then choose it on the Model screen under Pretrained; what cannot be read is explained there.`,
  notATable: (name: string) =>
    `${name} is not a table that can be read. Save it as CSV (in a spreadsheet: File, Save as, CSV) and drop that file.`,
  recent: 'Your projects',
  noRecent: 'What you make appears here and stays on this computer.',
  open: (name: string) => `Open ${name}`,
  more: (name: string) => `More for ${name}`,
  noRun: 'not trained yet',
  trashed: (name: string) => `${name} is in the Trash.`,
  trash: 'Trash',
  trashText: 'Kept for 30 days, then erased.',
  eraseNow: 'Erase now',
  eraseTitle: (name: string) => `Erase ${name}?`,
  eraseText: (runs: number, models: number, bytes: string) =>
    `With it go ${count(runs, 'run', 'runs')} and ${count(models, 'model', 'models')}; ${bytes} become free. This cannot be undone.`,
  erased: (name: string, bytes: string) => `${name} is erased; ${bytes} freed.`,
  deleteTitle: (name: string) => `Delete ${name}?`,
  deleteText: (runs: number, models: number, bytes: string) =>
    `With it go ${count(runs, 'run', 'runs')} and ${count(models, 'model', 'models')}, ${bytes} that nothing else uses. It stays in the Trash for 30 days.`,
  exportData: 'Save as a file…',
  exported: (contents: string) => `Saved. In the file: ${contents}.`,
  storedWhere: 'Projects are kept in this browser. Save one as a file to keep it elsewhere.',
  temporary: 'Temporary session',
  temporaryText:
    'For a shared computer: projects started now are erased when you choose “Finish here”.',
  finish: 'Finish here',
  finishTitle: 'Finish here',
  finishText: (n: number) =>
    `${count(n, 'project of this session is', 'projects of this session are')} saved as files, then erased from this computer.`,
  finishSave: 'Save the files',
  finishErase: 'Erase from this computer',
  finishDone: 'Erased, and checked: nothing of this session is left in this browser.',
  finishLeft:
    'Something of this session is still there. Try again, or erase everything in Settings.',
  deviceLine: 'This computer:',
  measure: 'Measure this computer',
};
