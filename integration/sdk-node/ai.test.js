// Vercel's AI SDK, with its own clients of four APIs, before a provider of OpenAI's chat
// completions.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { providerKey, sdkKey, site } from './gateway.js';
import { die, fixture, json, stream } from './provider.js';

const limit = { timeout: 60_000 }; // what hangs fails
const argument = { harbour: 'Cuxhaven', zone: 7 };
const text = JSON.stringify(argument);
const schema = { type: 'object', required: ['harbour'], properties: { zone: { type: 'integer' }, harbour: { type: 'string' } }, additionalProperties: false };

const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'q', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const usage = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'q', choices: [], usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120, prompt_tokens_details: { cached_tokens: 64 }, completion_tokens_details: { reasoning_tokens: 7 } } })}\n\n`;
const call = (index, id, name, text) => chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: text } }] });
const more = (index, text) => chunk({ tool_calls: [{ index, function: { arguments: text } }] });
const calls = [
  chunk({ role: 'assistant', content: '' }), ': waiting\n\n', chunk({ content: 'I ' }), chunk({ content: 'look.' }),
  call(0, 'call_1', 'get_tide', ''), more(0, text.slice(0, 9)), more(0, text.slice(9)), call(1, 'call_2', 'get_wind', '{}'), chunk({}, 'tool_calls'), usage, 'data: [DONE]\n\n',
];
const last = [chunk({ role: 'assistant', content: 'At ' }), chunk({ content: 'six.' }), chunk({}, 'stop'), usage, 'data: [DONE]\n\n'];
const whole = (content) => ({ id: 'c', object: 'chat.completion', created: 1, model: 'q', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }], usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 } });

// models are one for each API that a client of the SDK speaks.
const models = (url) => ({
  chat: createOpenAI({ baseURL: `${url}/v1`, apiKey: sdkKey }).chat('m'),
  responses: createOpenAI({ baseURL: `${url}/v1`, apiKey: sdkKey }).responses('m'),
  messages: createAnthropic({ baseURL: `${url}/v1`, apiKey: sdkKey })('m'),
  gemini: createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: sdkKey })('m'),
});
const apis = ['chat', 'responses', 'messages', 'gemini'];

function sent(s) {
  const request = s.provider.last();
  assert.equal(request.path, '/v1/chat/completions');
  assert.equal(request.headers.authorization, `Bearer ${providerKey}`);
  assert.ok(!JSON.stringify(request).includes(sdkKey), 'the key of the SDK reached the provider');
  return JSON.parse(request.body);
}

for (const api of apis) {
  test(`${api}: two calls at once, their results, and the end, in one loop`, limit, async (t) => {
    const s = await site(t);
    const replies = [calls, last];
    s.provider.answer = (_, response) => stream(response, replies.shift());
    const asked = [];
    const result = streamText({
      model: models(s.url)[api], maxRetries: 0, stopWhen: stepCountIs(3), prompt: 'When does it turn? 潮水 <&>',
      providerOptions: { openai: { store: false } }, // else its Responses client sends references to items in place of them
      tools: {
        get_tide: tool({ inputSchema: jsonSchema(schema), execute: (input) => { asked.push(input); return '3.20'; } }),
        get_wind: tool({ inputSchema: jsonSchema({ type: 'object', properties: {} }), execute: () => ({ wind: 'calm' }) }),
      },
    });
    let told = '';
    for await (const part of result.textStream) told += part;
    assert.equal(told, 'I look.At six.');
    assert.deepEqual(asked, [argument]);
    assert.equal(await result.finishReason, 'stop');
    const steps = await result.steps;
    assert.deepEqual(steps.map(({ finishReason }) => finishReason), ['tool-calls', 'stop']);
    assert.deepEqual([steps[0].usage.inputTokens, steps[0].usage.outputTokens], [100, 20]);
    assert.deepEqual([steps[0].usage.inputTokenDetails.cacheReadTokens], [64]);
    const messages = sent(s).messages;
    assert.deepEqual(messages.slice(-3).map(({ role }) => role), ['assistant', 'tool', 'tool']);
    assert.deepEqual(messages.at(-3).tool_calls.map(({ function: f }) => [f.name, JSON.parse(f.arguments)]), [['get_tide', argument], ['get_wind', {}]]);
    assert.deepEqual(messages.at(-3).tool_calls.map(({ id }) => id), messages.slice(-2).map(({ tool_call_id: id }) => id));
    assert.match(messages.at(-2).content, /3\.20/);
    assert.match(messages.at(-1).content, /calm/);
  });

  test(`${api}: an object by its schema, and a picture`, limit, async (t) => {
    const s = await site(t);
    s.provider.answer = (_, response) => json(response, 200, whole(text));
    const image = Buffer.from('iVBORw0KGgo=', 'base64');
    const { output, usage: counted } = await generateText({
      model: models(s.url)[api], maxRetries: 0, output: Output.object({ schema: jsonSchema(schema) }),
      messages: [{ role: 'user', content: [{ type: 'text', text: 'What is this?' }, { type: 'image', image, mediaType: 'image/png' }] }],
      // Anthropic's client asks for structured output of models that it knows to have it.
      ...(api === 'messages' && { providerOptions: { anthropic: { structuredOutputMode: 'outputFormat' } } }),
    });
    assert.deepEqual(output, argument);
    assert.deepEqual([counted.inputTokens, counted.outputTokens], [5, 3]);
    const body = sent(s);
    assert.equal(body.response_format.type, 'json_schema');
    assert.equal(body.response_format.json_schema.schema.properties.harbour.type, 'string');
    const parts = body.messages.at(-1).content;
    assert.deepEqual(parts.map(({ type }) => type).sort(), ['image_url', 'text']);
    assert.match(parts.find(({ type }) => type === 'image_url').image_url.url, /^data:image\/png;base64,iVBORw0KGgo=$/);
  });

  test(`${api}: errors, and a client that leaves`, limit, async (t) => {
    const s = await site(t);
    const model = models(s.url)[api];
    for (const [id, status, want] of [['openai/error-400.json', 400, 400], ['openai/error-401.json', 401, 401], ['openai/error-429.json', 429, 429], ['openai/error-500.json', 500, 500]]) {
      s.provider.answer = (_, response) => json(response, status, fixture(id));
      await assert.rejects(generateText({ model, maxRetries: 0, prompt: 'x' }), (error) => {
        assert.ok(APICallError.isInstance(error), `${id}: ${error}`);
        assert.equal(error.statusCode, want);
        assert.ok(error.message.length > 10, error.message);
        return true;
      });
    }
    for (const [name, broken] of [
      ['a stream that is cut', (response) => { stream(response, calls.slice(0, 4), { end: false }); die(response); }],
      ['a stream that ends too early', (response) => stream(response, calls.slice(0, 4))],
    ]) {
      s.provider.answer = (_, response) => broken(response);
      await assert.rejects(async () => {
        for await (const part of streamText({ model, maxRetries: 0, prompt: 'x', onError: () => {} }).fullStream) {
          if (part.type === 'error') throw part.error;
          assert.ok(part.type !== 'finish' || part.finishReason === 'error', `${name}: it ends with ${part.finishReason}`);
          if (part.type === 'finish') throw new Error(part.finishReason);
        }
      }, name);
    }
    s.provider.answer = (_, response) => stream(response, calls.slice(0, 4), { end: false });
    const leaving = new AbortController();
    const abandoned = streamText({ model, maxRetries: 0, prompt: 'x', abortSignal: leaving.signal, onError: () => {} });
    for await (const part of abandoned.fullStream) {
      if (part.type === 'text-delta') leaving.abort();
    }
    assert.equal(await s.provider.last().left, true);
  });
}
