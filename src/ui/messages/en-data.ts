import { count } from './plural';

export const data = {
  title: 'Data',
  tabsLabel: 'Views of the data',
  tabs: {
    columns: 'Columns',
    rows: 'Rows',
    preparation: 'Preparation',
    split: 'Split',
    add: 'Add pictures',
  },
  pictureTabs: {
    columns: 'Classes',
    rows: 'Pictures',
    preparation: 'Preparation',
    split: 'Split',
    add: 'Add pictures',
  },
  size: (rows: number, columns: number) =>
    `${count(rows, 'row', 'rows')}, ${count(columns, 'column', 'columns')}`,
  pictures: (n: number, width: number, height: number) =>
    `${count(n, 'picture', 'pictures')} of ${width} × ${height}`,
  understood: 'Read as',
  licence: (licence: string, origin: string) => `${origin}. Licence: ${licence}.`,
  predict: 'To predict',
  target: 'to predict',
  noData: {
    text: 'This project has no data. Start again from Home with a table.',
    action: 'Go to Home',
  },
  kinds: {
    numeric: 'numbers',
    categorical: 'categories',
    identifier: 'identifier',
    constant: 'constant',
    text: 'free text',
    date: 'dates',
  },
  useColumn: (name: string) => `Use ${name} to predict`,
  leftOut: 'left out',
  stacked: 'One colour a class, from the bottom:',
  missing: (n: number, share: string) => `${count(n, 'value', 'values')} missing (${share})`,
  distinct: (n: number) => count(n, 'different value', 'different values'),
  middle: (median: string, mean: string) => `median ${median}, mean ${mean}`,
  chart: (column: string) => `How often each value of ${column} occurs`,
  chartSays: (column: string, bar: string, n: string) =>
    `The commonest values of ${column} are ${bar}: ${n} rows.`,
  said: 'Before training',
  usable: (usable: string, aside: number) =>
    aside === 0
      ? `All ${usable} rows can be used.`
      : `${usable} rows can be used; ${count(aside, 'row', 'rows')} without a target set aside.`,
  rowsLabel: 'Rows of the data',
  picturesLabel: 'Pictures of the data',
  shown: (n: string) => `${n} rows shown`,
  filter: (words: string) => `Only ${words}`,
  clearFilter: 'Show all',
  is: (column: string, value: string) => `${column} is ${value}`,
  between: (column: string, low: string, high: string) => `${column} from ${low} to ${high}`,
  brush: 'Press a bar to see the rows behind it.',
  noGroup: 'no group',
  previousPicture: 'Previous',
  nextPicture: 'Next',
  pictureFacts: (width: number, height: number, channels: number) =>
    `${width} × ${height} pixels, ${channels === 1 ? 'grey' : 'in colour'}`,
  picture: (row: string, label: string) => `Row ${row}: ${label}`,
  preparation: {
    text: 'Fitted on the training part only, and built into the model: using it later needs no preparing.',
    impute: 'Missing numbers become',
    median: 'the median',
    mean: 'the mean',
    standardise: 'Bring numbers to one scale',
    standardiseHint:
      'Standardise: subtract the mean and divide by the standard deviation, so that no column is louder than another.',
    standardiseTerm: 'Standardise',
    what: 'What happens to each column',
    column: 'Column',
    gap: 'Missing becomes',
    change: 'Then',
    result: 'Numbers made',
    scaled: (mean: string, scale: string) => `minus ${mean}, divided by ${scale}`,
    unscaled: 'as it is',
    oneHot: (values: string) => `one number each for ${values}, other`,
    oneHotTerm: 'One-hot',
    oneHotHint:
      'One-hot: one number for each category, 1 for the one that it is and 0 for the rest.',
    pixels: 'Pixels 0 to 255 become numbers from 0 to 1.',
    resized: (width: number, height: number) =>
      `Pictures are brought to ${width} × ${height} dots, as the model was taught with.`,
    coloured: 'Grey becomes three equal channels.',
    scaledChannels: (mean: string, std: string) =>
      `From each channel ${mean} is taken away, and the rest divided by ${std}.`,
    features: (n: string) => `${n} numbers go into the model for each row.`,
    featureShape: (shape: string) => `${shape} numbers go into the model for each picture.`,
    waiting: 'Fitting on the training part',
    target: (column: string, mean: string, scale: string) =>
      `${column} is learned minus ${mean}, divided by ${scale}, and given back in its own unit.`,
  },
  split: {
    text: 'The model learns from one part, is checked on the second while it learns, and is judged on the third, which nobody sees before.',
    train: 'Training',
    validation: 'Checking',
    test: 'Sealed test',
    share: (part: string) => `Share for ${part.toLowerCase()}`,
    seed: 'Seed',
    seedHint:
      'Seed: the number that decides which rows go where. The same seed gives the same split.',
    strips: 'The three parts of the data',
    sealed: 'sealed',
    opened: (n: number) => `opened ${count(n, 'time', 'times')}`,
    stratified: 'Each class keeps its share in all three parts.',
    afterOpening:
      'The sealed part was opened. Another split would put rows that were seen then among those it learns from.',
    rows: (n: string, share: string) => `${n} rows, ${share}`,
    kind: 'Which pictures go where',
    kinds: {
      stratified: 'at random, each class evenly',
      grouped: 'whole groups stay together',
      fixed: 'some groups are the sealed test',
    },
    kindNote:
      'Pictures of one group are often alike. Only a group that it never saw shows how it does elsewhere.',
    testGroups: 'Groups of the sealed test',
    grouped: 'No group stands in two parts. With few groups the shares cannot be kept exactly.',
    fixedText: 'The other groups are spread over training and checking, each class evenly.',
  },
};
