import assert from 'node:assert/strict';
import http2 from 'node:http2';
import https from 'node:https';
import test from 'node:test';
import { providerKey, question, sdkKey, site } from './gateway.js';
import { fixture, json, stream } from './provider.js';

for (const protocol of [https, http2]) {
  test(`a chat over ${protocol === http2 ? 'HTTP/2' : 'HTTP/1.1'} to the provider`, async (t) => {
    const { provider, client } = await site(t, { protocol });
    provider.answer = (_, response) => json(response, 200, fixture('openai/chat.json'), { 'x-request-id': 'req_1' });
    const answer = await client().chat.completions.create(question);
    const want = JSON.parse(fixture('openai/chat.json'));
    assert.equal(answer._request_id, 'req_1');
    assert.deepEqual(JSON.parse(JSON.stringify(answer)), want);

    const got = provider.last();
    assert.equal(got.version, protocol === http2 ? '2.0' : '1.1');
    assert.equal(got.method, 'POST');
    assert.equal(got.path, '/v1/chat/completions');
    assert.equal(got.body, JSON.stringify(question)); // byte for byte
    assert.equal(got.headers.authorization, `Bearer ${providerKey}`);
    assert.ok(!JSON.stringify(got).includes(sdkKey), 'the key of the SDK reached the provider');
  });
}

test('the configured model, with and without /v1 in the base URL', async (t) => {
  const { provider, client, url } = await site(t, { options: 'model qwen-turbo' });
  for (const baseURL of [`${url}/v1`, `${url}/v1/`, url]) {
    await client({ baseURL }).chat.completions.create(question);
    assert.equal(provider.last().path, '/v1/chat/completions');
    assert.equal(JSON.parse(provider.last().body).model, 'qwen-turbo');
  }
});

test('a tool call and its result', async (t) => {
  const { provider, client } = await site(t);
  const replies = ['openai/tools.json', 'openai/chat.json'];
  provider.answer = (_, response) => json(response, 200, fixture(replies.shift()));
  const tools = [{ type: 'function', function: { name: 'get_tide', parameters: { type: 'object', properties: { harbour: { type: 'string' } } } } }];
  const first = await client().chat.completions.create({ ...question, tools });
  assert.equal(first.choices[0].finish_reason, 'tool_calls');
  const [call] = first.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'get_tide');
  assert.deepEqual(JSON.parse(call.function.arguments), { harbour: 'Cuxhaven', unit: 'm' });

  const messages = [...question.messages, first.choices[0].message, { role: 'tool', tool_call_id: call.id, content: '3.2' }];
  const second = await client().chat.completions.create({ ...question, messages, tools });
  assert.match(second.choices[0].message.content, /lighthouse/);
  assert.deepEqual(JSON.parse(provider.last().body).messages, messages);
});

test('embeddings', async (t) => {
  const { provider, client } = await site(t, { options: 'model the-chat-model' });
  provider.answer = (_, response) => json(response, 200, fixture('openai/embeddings.json'));
  const ask = { model: 'text-embedding-3-small', input: ['ebb', 'flood'], encoding_format: 'float' };
  const answer = await client().embeddings.create(ask);
  assert.deepEqual(answer.data, JSON.parse(fixture('openai/embeddings.json')).data);
  assert.equal(provider.last().path, '/v1/embeddings');
  assert.deepEqual(JSON.parse(provider.last().body), ask); // the chat model is not for them
});

test('models', async (t) => {
  const { provider, client } = await site(t, {
    options: 'model qwen/qwen-turbo\n\t\t\tfor large {\n\t\t\t\tmodel qwen/qwen-max\n\t\t\t}',
    route: 'llm_route {\n\t\trule large {\n\t\t\tmatch llm_model large\n\t\t\tto main\n\t\t}\n\t\trule {\n\t\t\tto main\n\t\t}\n\t}',
  });
  const names = [];
  for await (const model of client().models.list()) names.push(model.id);
  assert.deepEqual(names.sort(), ['large', 'qwen/qwen-turbo']);
  const one = await client().models.retrieve('qwen/qwen-turbo');
  assert.equal(one.id, 'qwen/qwen-turbo');
  assert.equal(one.object, 'model');
  assert.equal(provider.requests.length, 0);
});

test('the Responses API', async (t) => {
  const { provider, client } = await site(t, { options: 'api responses' });
  provider.answer = (_, response) => json(response, 200, fixture('openai/responses.json'));
  const ask = { model: 'gpt-4.1', input: 'Will the fog lift?' };
  const answer = await client().responses.create(ask);
  assert.equal(answer.status, 'completed');
  assert.ok(answer.output_text.length > 0);
  assert.equal(provider.last().path, '/v1/responses');

  provider.answer = (_, response) => stream(response, [fixture('openai/responses.sse')]);
  let text = '';
  let last;
  for await (const event of await client().responses.create({ ...ask, stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta;
    last = event;
  }
  assert.equal(text, 'Fog lifts slowly over the estuary.');
  assert.equal(last.type, 'response.completed');
  assert.equal(last.response.usage.output_tokens, 11);
});
