// The scripted model of the Go tests (integration/fakemodel), which speaks every API that
// providers have, as a process.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import readline from 'node:readline';
import { model as binary } from './binary.js';
import { freePort, providerKey, sdkKey, startGateway } from './gateway.js';

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

// sites starts a gateway before the model, with a site for each API of the provider's and
// each of the rules, which are lines of a rule, and returns their URLs by API.
export async function sites(t, model, { guard = '', rules = [''] } = {}) {
  const urls = rules.map(() => ({}));
  let caddyfile = `{
	admin off
	llm {
		status_listen off
		${guard}
		${Object.values(model.blocks).join('\n')}
	}
}
`;
  for (const api of Object.keys(model.blocks)) {
    for (const [i, lines] of rules.entries()) {
      const port = await freePort();
      urls[i][api] = `http://127.0.0.1:${port}`;
      caddyfile += `http://:${port} {\n\tllm_route {\n\t\trule ${api} {\n\t\t\t${lines}\n\t\t\tto ${api}\n\t\t}\n\t}\n}\n`;
    }
  }
  await startGateway(t, caddyfile, { variables: { [model.keyVariable]: providerKey } });
  return urls;
}

// asked is the one request that the model got.
export async function asked(model) {
  const requests = await model.asked();
  assert.equal(requests.length, 1);
  assert.equal(requests[0].error, '');
  assert.ok(!requests[0].raw.includes(sdkKey), 'the key of the SDK reached the provider');
  assert.ok(requests[0].raw.includes(providerKey), 'the provider has no key');
  return requests[0];
}
