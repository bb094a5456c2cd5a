// The official SDKs of all client APIs, before a provider of every API: each pair has the
// same conversations, as in sdk-go/lanes.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clients, picture, question, results, schemas, system } from './conversations.js';
import { asked, sites, startModel } from './model.js';

const reasoning = 'The tide turns, 潮.';
const looking = 'I look. 潮 <&> "x"';
const verdict = 'At six.';
const tide = { zone: 1000, harbour: 'café / 潮', x: true };
const calls = [ // at once; the arguments are not what an encoder would write
  { id: 'call_Tide01', name: 'get_tide', arguments: '{"zone":1e3,"harbour":"caf\\u00e9 \\/ 潮","x":true}' },
  { id: 'call_Wind02', name: 'get_wind', arguments: '{}' },
];
const turn = { reasoning, text: looking, calls };

test('lanes', { timeout: 300_000 }, async (t) => {
  const model = await startModel(t);
  const apis = Object.keys(model.blocks);
  const [plain, guarded] = await sites(t, model, { guard: `guard policy {
			deny regex "six"
			on_response window 16
		}`, rules: ['', 'guards policy'] });
  for (const [name, client] of Object.entries(clients)) {
    for (const api of apis) {
      await t.test(`${name} to ${api}`, async (t) => {
        for (const stream of [false, true]) {
          const how = stream ? 'streamed' : 'plain';
          await t.test(how, () => converse(model, api, client(plain[api]), stream, name === 'gemini' && api === 'gemini'));
          await t.test(`${how}: errors`, () => failures(model, api, client(plain[api]), stream, name));
          await t.test(`${how}: a guard denies`, () => denied(model, api, client(guarded[api]), stream));
        }
        await t.test('abort', () => abort(model, api, client(plain[api])));
      });
    }
  }
});

async function converse(model, api, client, stream, native) {
  await model.says(api, turn, { text: verdict });
  const heard = await client.ask(stream);
  let request = await asked(model);
  assert.deepEqual([request.stream, request.system, request.user, request.images], [stream, system, question, [picture]]);
  assert.deepEqual(request.tools, schemas);
  assert.deepEqual([heard.text, heard.reasoning, heard.finish, heard.usage], [looking, reasoning, client.finishes[0], model.usage]);
  assert.deepEqual(heard.calls.map(({ name, arguments: a }) => [name, a]), [['get_tide', tide], ['get_wind', {}]]);
  // Google's models give calls no ids, and their clients need none.
  if (!native) assert.ok(heard.calls[0].id && heard.calls[1].id && heard.calls[0].id !== heard.calls[1].id, JSON.stringify(heard.calls));

  client.answer(heard.calls);
  const last = await client.ask(stream);
  request = await asked(model);
  assert.deepEqual([last.text, last.calls, last.finish], [verdict, [], client.finishes[1]]);
  assert.deepEqual(request.calls.map(({ name, arguments: a }) => [name, JSON.parse(a)]), [['get_tide', tide], ['get_wind', {}]]);
  for (const { id, name } of request.calls) assert.ok(request.results[id]?.replaceAll('\\"', '"').includes(results[name]), JSON.stringify(request.results));
  if (api !== 'chat') assert.deepEqual(request.states, [model.state]);
}

// failure is what a client raises.
const failure = (promise) => promise.then((heard) => assert.fail(`no error: ${JSON.stringify(heard)}`), (error) => error);

async function failures(model, api, client, stream, name) {
  for (const status of [400, 401, 403, 404, 429, 500, 503]) {
    await model.fails(api, status, 'The tide is out.');
    const error = await failure(client.ask(stream));
    const overloaded = name === 'messages' && api !== 'messages' && status === 503; // Anthropic has a status for it
    assert.equal(client.status(error), overloaded ? 529 : status);
    assert.match(error.message, /The tide is out\./);
  }
  await model.asked();
}

// denied holds that a stream which a guard ends is never one that ends well. It is under
// way by then: the text is longer than what the gateway reads at once.
async function denied(model, api, client, stream) {
  await model.says(api, { ...turn, text: looking.repeat(8000), calls: [{ ...calls[0], arguments: `{"harbour":"${'pier '.repeat(30_000)}six"}` }] });
  let text = '';
  const error = await failure(client.ask(stream, { onText: (piece) => { text += piece; } }));
  const status = client.status(error);
  assert.match(error.message, /guard policy denies the response/);
  assert.ok(!error.message.includes('pier'), error.message);
  if (stream) assert.ok(text.startsWith(looking), `the client has ${text.length} characters`);
  else assert.equal(status, 403);
  await asked(model);
}

async function abort(model, api, client) {
  const before = await model.hangs(api, { text: looking + looking });
  const leaving = new AbortController();
  let text = '';
  await failure(client.ask(true, { signal: leaving.signal, onText: (piece) => { text += piece; leaving.abort(); } }));
  assert.notEqual(text, '');
  await model.left(before + 1);
}
