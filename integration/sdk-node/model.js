// The scripted model of the Go tests (integration/fakemodel), which speaks every API that
// providers have, as a process.

import { spawn } from 'node:child_process';
import readline from 'node:readline';
import { model as binary } from './binary.js';

// startModel runs it until the test ends.
export async function startModel(t) {
  const child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.stdin.end());
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the model ended by itself');
    return JSON.parse(value);
  };
  const command = (c) => {
    child.stdin.write(`${JSON.stringify(c)}\n`);
    return read();
  };
  return {
    ...await read(), // see hello in integration/fakemodel/serve
    // says has it say the turns, one after the other.
    says: (api, ...turns) => command({ api, turns }),
    // hangs has it say a part of a turn, and returns how many clients had left before.
    hangs: async (api, turn) => (await command({ api, turns: [turn], hang: true })).left,
    fails: (api, status, text) => command({ api, fail: status, text }),
    // asked is what it was asked since the question before this one.
    asked: async () => (await command({})).requests ?? [],
    // left waits until so many clients have left.
    left: (count) => command({ left: count }),
  };
}
