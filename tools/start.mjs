// `npm start`: everything from a bare checkout to the studio's address.
import { ensureBuilt, ensureInstalled } from './lib/setup.mjs';
import { startServer } from './lib/server.mjs';

const wanted = Number(process.env.PORT ?? 4173);
ensureInstalled();
ensureBuilt();

const server = await listen(wanted);
console.log(
  `\n  Terrarium is ready:  ${server.url}\n\n  Ctrl+C stops it. Nothing you open there leaves this computer.`,
);
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => server.close().then(() => process.exit(0)));

/** The wanted port, or the next free one of the ten after it. */
async function listen(first) {
  for (let port = first; port < first + 10; port++) {
    try {
      return await startServer({ port });
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
    }
  }
  throw new Error(`Ports ${first} to ${first + 9} are all in use. Set PORT to a free one.`);
}
