import assert from 'node:assert/strict';
import http2 from 'node:http2';
import https from 'node:https';
import test from 'node:test';
import { APIError, APIUserAbortError } from 'openai';
import { question, site } from './gateway.js';
import { die, events, fixture, json, stream } from './provider.js';

const chat = fixture('openai/chat.sse');
const text = 'The tide turns at six, 潮水 "then" ebbs.';
const limit = { timeout: 60_000 }; // what hangs fails
const asking = { ...question, stream: true };

// within fails instead of waiting for ever.
async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within 10 s`)), 10_000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

for (const protocol of [https, http2]) {
  test(`streams over ${protocol === http2 ? 'HTTP/2' : 'HTTP/1.1'} to the provider`, limit, async (t) => {
    const { provider, client } = await site(t, { protocol });

    await t.test('usage only if asked', async () => {
      for (const wanted of [true, false, undefined]) {
        provider.answer = (_, response) => stream(response, events(chat));
        const options = wanted === undefined ? {} : { stream_options: { include_usage: wanted } };
        let got = '';
        const usage = [];
        for await (const chunk of await client().chat.completions.create({ ...asking, ...options })) {
          got += chunk.choices[0]?.delta.content ?? '';
          if (chunk.usage) usage.push(chunk.usage.completion_tokens);
        }
        assert.equal(got, text);
        assert.deepEqual(usage, wanted ? [14] : []);
        assert.equal(JSON.parse(provider.last().body).stream_options.include_usage, true);
      }
    });

    await t.test('each event arrives while the stream is open', async () => {
      let response;
      const list = events(chat).slice(0, 4);
      provider.answer = (_, r) => { response = r; stream(r, [], { end: false }); };
      const answer = await within(client().chat.completions.create(asking), 'the head');
      const reader = answer[Symbol.asyncIterator]();
      for (const event of list) {
        response.write(event);
        const { value, done } = await within(reader.next(), 'an event');
        assert.equal(done, false);
        const sent = JSON.parse(event.slice('data: '.length));
        if (sent.usage === null) delete sent.usage; // it is there because the gateway asked
        assert.deepEqual(value, sent);
      }
      response.end('data: [DONE]\n\n');
      assert.equal((await within(reader.next(), 'the end')).done, true);
    });

    await t.test('tool calls are put together', async () => {
      // Cut anywhere, inside characters too.
      const bytes = Buffer.from(fixture('openai/tools.sse'));
      const pieces = [];
      for (let i = 0; i < bytes.length; i += 11) pieces.push(bytes.subarray(i, i + 11));
      provider.answer = (_, response) => stream(response, pieces);
      const whole = await client().chat.completions.stream(question).finalChatCompletion();
      const calls = whole.choices[0].message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
      assert.deepEqual(calls, [['get_tide', { harbour: 'Cuxhaven' }], ['get_wind', { station: 'Elbe 1' }]]);
    });

    await t.test('a provider that dies inside a stream is an error', async () => {
      for (const [name, sent] of [
        ['between events', events(chat).slice(0, 3)],
        ['inside an event', [...events(chat).slice(0, 3), events(chat)[3].slice(0, 40)]],
        ['before the end mark', events(chat).slice(0, -1)],
      ]) {
        provider.answer = (_, response) => { stream(response, sent, { end: false }); die(response); };
        let chunks = 0;
        await assert.rejects(async () => {
          for await (const _ of await client().chat.completions.create(asking)) chunks++;
        }, (error) => error instanceof APIError && error.code === 'provider_unreachable' && error.type === 'server_error', name);
        assert.ok(chunks >= 3, `${name}: ${chunks} chunks`);
      }
    });

    await t.test('a provider that dies after the end mark is none', async () => {
      provider.answer = (_, response) => { stream(response, events(chat), { end: false }); die(response); };
      let got = '';
      for await (const chunk of await client().chat.completions.create(asking)) got += chunk.choices[0]?.delta.content ?? '';
      assert.equal(got, text);
    });

    await t.test('a provider that dies inside a document is an error', async () => {
      provider.answer = (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(fixture('openai/chat.json').slice(0, 200));
        die(response);
      };
      await assert.rejects(client().chat.completions.create(question));
    });

    await t.test('abort before the answer reaches the provider', async () => {
      let arrived;
      const came = new Promise((resolve) => { arrived = resolve; });
      provider.answer = (request) => arrived(request);
      const controller = new AbortController();
      const failed = assert.rejects(client().chat.completions.create(question, { signal: controller.signal }), APIUserAbortError);
      const request = await within(came, 'the request');
      controller.abort();
      await failed;
      assert.equal(await within(request.left, 'the end of the call'), true);
    });

    await t.test('leaving a stream reaches the provider', async () => {
      for (const leave of ['break', 'abort']) {
        provider.answer = (_, response) => stream(response, events(chat).slice(0, 3), { end: false });
        const answer = await client().chat.completions.create(asking);
        let chunks = 0;
        for await (const _ of answer) {
          if (++chunks < 3) continue;
          if (leave === 'break') break;
          answer.controller.abort();
        }
        assert.equal(chunks, 3);
        assert.equal(await within(provider.last().left, `the end after ${leave}`), true);
      }
    });

    await t.test('the provider is well after all that', async () => {
      provider.answer = (_, response) => json(response, 200, fixture('openai/chat.json'));
      await client().chat.completions.create(question);
    });
  });
}

test('a silent provider ends the stream with an error that says so', limit, async (t) => {
  const { provider, client } = await site(t, { options: 'idle_timeout 500ms' });
  provider.answer = (_, response) => stream(response, events(chat).slice(0, 3), { end: false });
  await assert.rejects(async () => {
    for await (const _ of await client().chat.completions.create(asking));
  }, (error) => error instanceof APIError && error.code === 'provider_timeout');
  assert.equal(await within(provider.last().left, 'the end of the call'), true);
});
