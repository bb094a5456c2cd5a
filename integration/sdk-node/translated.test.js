// Anthropic's and Google's SDKs before a provider of OpenAI's chat completions.

import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { providerKey, sdkKey, site } from './gateway.js';
import { die, fixture, json, stream } from './provider.js';

const limit = { timeout: 60_000 }; // what hangs fails
const route = 'llm_route {\n\t\trule all {\n\t\t\tto main\n\t\t}\n\t}';
const ask = { model: 'claude-sonnet-5', max_tokens: 1000, messages: [{ role: 'user', content: 'When does it turn? 潮水 <&>' }] };
const schema = { type: 'object', required: ['harbour'], properties: { zone: { type: 'integer' }, harbour: { type: 'string' } } };
const argument = { harbour: 'Cuxhaven', zone: 7 };

const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'q', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const usage = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'q', choices: [], usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120, prompt_tokens_details: { cached_tokens: 64 }, completion_tokens_details: { reasoning_tokens: 7 } } })}\n\n`;
const call = (index, id, name, text) => chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: text } }] });
const more = (index, text) => chunk({ tool_calls: [{ index, function: { arguments: text } }] });
const text = JSON.stringify(argument);
// Reasoning, text, and two calls at once.
const calls = [
  chunk({ role: 'assistant', content: '' }), chunk({ reasoning_content: 'The tide ' }), chunk({ reasoning_content: 'turns.' }), chunk({ content: 'I ' }), chunk({ content: 'look.' }),
  call(0, 'call_1', 'get_tide', ''), more(0, text.slice(0, 9)), more(0, text.slice(9)), call(1, 'call_2', 'get_wind', '{}'), chunk({}, 'tool_calls'), usage, 'data: [DONE]\n\n',
];
const last = [chunk({ role: 'assistant', content: 'At six.' }), chunk({}, 'stop'), usage, 'data: [DONE]\n\n'];

// started is a gateway before a provider that sends one stream after the other, and what
// the provider got.
async function started(t, replies = []) {
  const s = await site(t, { route });
  s.provider.answer = (_, response) => stream(response, replies.shift());
  s.sent = () => {
    const request = s.provider.last();
    assert.equal(request.path, '/v1/chat/completions');
    assert.equal(request.headers.authorization, `Bearer ${providerKey}`);
    assert.ok(!JSON.stringify(request).includes(sdkKey), 'the key of the SDK reached the provider');
    return request.body;
  };
  return s;
}

// extended holds that a request begins as the one before it.
function extended(before, after) {
  assert.ok(after.startsWith(before.slice(0, -2)), `${after}\ndoes not begin as\n${before}`);
}

test('Anthropic: two calls at once and their results', limit, async (t) => {
  const s = await started(t, [calls, last]);
  const client = new Anthropic({ baseURL: s.url, apiKey: sdkKey, maxRetries: 0 });
  const tools = [{ name: 'get_tide', input_schema: schema }, { name: 'get_wind', input_schema: { type: 'object', properties: {} } }];
  const first = await client.messages.stream({ ...ask, tools }).finalMessage();
  assert.deepEqual(first.content.map((block) => block.type), ['thinking', 'text', 'tool_use', 'tool_use']);
  assert.equal(first.content[0].thinking, 'The tide turns.');
  assert.equal(first.content[1].text, 'I look.');
  assert.deepEqual(first.content.slice(2).map(({ id, name, input }) => [id, name, input]), [['call_1', 'get_tide', argument], ['call_2', 'get_wind', {}]]);
  assert.equal(first.stop_reason, 'tool_use');
  assert.deepEqual([first.usage.input_tokens, first.usage.cache_read_input_tokens, first.usage.output_tokens], [36, 64, 20]);
  const before = s.sent();
  assert.deepEqual(JSON.parse(before).tools[0].function.parameters, schema);
  assert.ok(before.includes(JSON.stringify(schema)), 'the schema is not byte for byte');

  const results = [{ type: 'tool_result', tool_use_id: 'call_1', content: '3.20' }, { type: 'tool_result', tool_use_id: 'call_2', content: [{ type: 'text', text: 'calm' }] }];
  const messages = [...ask.messages, { role: 'assistant', content: first.content }, { role: 'user', content: results }];
  const second = await client.messages.stream({ ...ask, tools, messages }).finalMessage();
  assert.equal(second.content[0].text, 'At six.');
  extended(before, s.sent());
  const sent = JSON.parse(s.sent()).messages.slice(1);
  assert.deepEqual(sent.map(({ role, tool_call_id: id }) => [role, id]), [['assistant', undefined], ['tool', 'call_1'], ['tool', 'call_2']]);
  assert.equal(sent[0].tool_calls[0].function.arguments, text);
});

test('Google: two calls at once and their results, in a chat', limit, async (t) => {
  const s = await started(t, [calls, last, last]);
  const client = new GoogleGenAI({ apiKey: sdkKey, httpOptions: { baseUrl: s.url } });
  const chat = client.chats.create({
    model: 'gemini-3-pro',
    config: { tools: [{ functionDeclarations: [{ name: 'get_tide', parametersJsonSchema: schema }, { name: 'get_wind' }] }], thinkingConfig: { includeThoughts: true } },
  });
  const read = async (message) => {
    const whole = { text: '', thought: '', calls: [], finish: undefined, usage: undefined };
    for await (const response of await chat.sendMessageStream({ message })) {
      const candidate = response.candidates?.[0];
      for (const part of candidate?.content?.parts ?? []) {
        if (part.functionCall) whole.calls.push(part.functionCall);
        else whole[part.thought ? 'thought' : 'text'] += part.text;
      }
      whole.finish = candidate?.finishReason ?? whole.finish;
      whole.usage = response.usageMetadata ?? whole.usage;
    }
    return whole;
  };
  const first = await read('When does it turn?');
  assert.deepEqual([first.thought, first.text, first.finish], ['The tide turns.', 'I look.', 'STOP']);
  assert.deepEqual(first.calls.map(({ name, args }) => [name, args]), [['get_tide', argument], ['get_wind', {}]]);
  assert.deepEqual([first.usage.promptTokenCount, first.usage.cachedContentTokenCount, first.usage.candidatesTokenCount, first.usage.thoughtsTokenCount], [100, 64, 13, 7]);
  let before = s.sent();
  const second = await read(first.calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: `of ${name}` } } })));
  assert.equal(second.text, 'At six.');
  extended(before, s.sent());
  before = s.sent();
  const sent = JSON.parse(before).messages.slice(1);
  assert.deepEqual(sent.map(({ role, tool_call_id: id }) => [role, id]), [['assistant', undefined], ['tool', 'call_1'], ['tool', 'call_2']]);
  await read('Sure?'); // the history has what the streams ended with
  extended(before, s.sent());
});

test('errors of the provider', limit, async (t) => {
  const s = await started(t);
  const anthropic = new Anthropic({ baseURL: s.url, apiKey: sdkKey, maxRetries: 0 });
  const google = new GoogleGenAI({ apiKey: sdkKey, httpOptions: { baseUrl: s.url } });
  const contents = 'When?';
  for (const [id, status, type, want] of [
    ['openai/error-400.json', 400, Anthropic.BadRequestError, 400],
    ['openai/error-401.json', 401, Anthropic.AuthenticationError, 401],
    ['openai/error-404.json', 404, Anthropic.NotFoundError, 404],
    ['openai/error-429.json', 429, Anthropic.RateLimitError, 429],
    ['openai/error-500.json', 500, Anthropic.InternalServerError, 500],
    ['openai/error-503.json', 503, Anthropic.InternalServerError, 529],
  ]) {
    s.provider.answer = (_, response) => json(response, status, fixture(id), { 'retry-after': '7' });
    for (const asking of [() => anthropic.messages.create(ask), () => anthropic.messages.stream(ask).finalMessage()]) {
      await assert.rejects(asking, (error) => {
        assert.ok(error instanceof type, `${id}: ${error}`);
        assert.equal(error.status, want);
        assert.equal(error.error.type, 'error');
        assert.equal(error.headers.get('retry-after'), '7');
        return true;
      });
    }
    await assert.rejects(google.models.generateContent({ model: 'm', contents }), { name: 'ApiError', status });
  }

  for (const [name, broken] of [
    ['an error in the stream', (response) => stream(response, [calls[3], `data: ${JSON.stringify({ error: { message: 'overloaded', code: 'overloaded' } })}\n\n`])],
    ['a stream that is cut', (response) => { stream(response, calls.slice(0, 4), { end: false }); die(response); }],
    ['a stream that ends too early', (response) => stream(response, calls.slice(0, 4))],
  ]) {
    s.provider.answer = (_, response) => broken(response);
    await assert.rejects(anthropic.messages.stream(ask).finalMessage(), (error) => error instanceof Anthropic.APIError && error.error.type === 'error', name);
    await assert.rejects(async () => {
      for await (const _ of await google.models.generateContentStream({ model: 'm', contents }));
    }, name);
  }

  s.provider.answer = (_, response) => stream(response, calls.slice(0, 4), { end: false });
  const leaving = anthropic.messages.stream(ask);
  leaving.on('text', () => leaving.abort());
  await assert.rejects(leaving.finalMessage(), Anthropic.APIUserAbortError);
  assert.equal(await s.provider.last().left, true);
});
