import { count } from './plural';

export const settings = {
  title: 'Settings',
  sub: 'For this browser. Projects keep their own settings.',
  look: {
    title: 'Look and language',
    theme: 'Theme',
    languageText: (locale: string) =>
      `The words are English. Numbers, sizes and dates are written as your browser’s language has them (${locale}).`,
  },
  device: {
    title: 'Device',
    choice: 'What trains here',
    auto: 'The faster one, as measured',
    webgpu: 'Graphics (WebGPU)',
    wasm: 'Processor (WebAssembly)',
    note: 'For every project whose own device is “auto”. A run that is under way goes on where it began.',
    unmeasured: 'This computer has not been measured yet.',
    measure: 'Measure this computer',
    noGpu:
      'This browser offers no WebGPU, so the processor trains. Everything works; large models take longer.',
  },
  storage: {
    holds: (projects: number, trashed: number, datasets: number) =>
      `In it: ${count(projects, 'project', 'projects')}, ${trashed} in the Trash, ${count(datasets, 'data set', 'data sets')}.`,
    names: (names: string) => `Projects: ${names}.`,
    open: 'Storage in detail',
    openText: 'What is big, what can go, whether it will be kept, and whether it is whole.',
  },
  session: {
    title: 'Shared computer',
    text: 'Finishing saves the files, erases what was made in the session, and looks whether something is left. What this browser still holds stands under Storage.',
  },
  erase: {
    title: 'Erase everything',
    text: 'All projects, data, models and settings that this browser holds. Files that you saved stay where they are. This cannot be undone.',
    open: 'Erase everything',
    word: 'erase',
    type: (word: string) => `Type “${word}” to go on`,
    done: 'Erased, and checked: no project, no data set and no model is left in this browser.',
    notDone: 'Something is still there. Close the other tabs of the studio and try again.',
  },
  proof: {
    title: 'Nothing leaves this computer',
    out: (n: number) => `${count(n, 'request', 'requests')} out`,
    outText:
      'Counted by the browser’s own record in this page and in every worker of the studio since it opened: requests to any other address.',
    refused: (n: number) => `${count(n, 'violation', 'violations')} of the content policy`,
    refusedText:
      'The rules that this page, its workers and its service worker were loaded with forbid connections elsewhere. A violation would be an attempt that the browser stopped.',
    how: 'See for yourself',
    steps: [
      'Wait until the chip at the top says “Works offline”.',
      'Turn the network off: the plug, the Wi-Fi, or flight mode.',
      'Go on: import a table, train, judge, export. Nothing changes.',
      'Or open the browser’s developer tools, Network: while you work, every line is this page’s own address, without a question mark behind it.',
      "The rule itself stands there too, at any file under Headers: Content-Security-Policy, connect-src 'self'. It cannot bind the browser’s extensions: try it in a private window without them.",
    ],
  },
  updates: {
    title: 'Version',
    version: (version: string) => `Terrarium ${version}`,
    ready:
      'A new version is ready. It is used when you say so; a run under way is not interrupted.',
    use: 'Use it now',
    busy: 'A run is under way. The new version can be used when it is done.',
    none: 'No newer version is waiting. The studio looks for one whenever it is opened.',
    development:
      'This is the development server: there is nothing saved for offline, and no updates.',
  },
  licences: {
    title: 'Licences',
    own: 'Terrarium: Apache License 2.0.',
    data: [
      {
        name: 'Palmer penguins',
        text: 'collected by Kristen Gorman and Palmer Station LTER, published by Allison Horst, Alison Hill and Kristen Gorman',
        licence: 'CC0 1.0',
      },
      {
        name: 'Handwritten digits',
        text: 'MNIST by Yann LeCun, Corinna Cortes and Christopher Burges; 10,000 of its digits',
        licence: 'CC BY-SA 3.0',
      },
    ],
  },
};
