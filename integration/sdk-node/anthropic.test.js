import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { providerKey, sdkKey, site } from './gateway.js';
import { die, json, stream } from './provider.js';

// A provider that has Anthropic's API beside OpenAI's, and the SDK pointed at the gateway.
const serve = async (t) => {
  const s = await site(t, { options: 'api messages /anthropic/v1/messages x-api-key' });
  return { ...s, claude: new Anthropic({ baseURL: s.url, apiKey: sdkKey, maxRetries: 0, timeout: 20_000 }) };
};

const question = { model: 'claude-sonnet-5', max_tokens: 100, messages: [{ role: 'user', content: 'When does the tide turn? 潮水 <&>' }] };

// In the documented shapes.
const message = {
  id: 'msg_013', type: 'message', role: 'assistant', model: 'claude-sonnet-5', content: [{ type: 'text', text: 'At six.' }],
  stop_reason: 'end_turn', stop_sequence: null,
  usage: { input_tokens: 25, cache_creation_input_tokens: 300, cache_read_input_tokens: 1000, output_tokens: 15 },
};
const event = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const streamed = [
  { type: 'message_start', message: { ...message, content: [], stop_reason: null, usage: { ...message.usage, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'At six 潮水.' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 31 } },
  { type: 'message_stop' },
].map(event);

test('messages of Anthropic\'s SDK pass as they are', { timeout: 60_000 }, async (t) => {
  const { provider, claude, gateway } = await serve(t);

  await t.test('a message', async () => {
    provider.answer = (_, response) => json(response, 200, message);
    const got = await claude.messages.create(question);
    assert.deepEqual(JSON.parse(JSON.stringify(got)), message);
    const { path, headers, body } = provider.last();
    assert.equal(path, '/anthropic/v1/messages');
    assert.equal(headers['x-api-key'], providerKey);
    assert.match(headers['anthropic-version'], /^\d{4}-\d\d-\d\d$/); // the SDK's
    assert.equal(headers.authorization, undefined);
    assert.deepEqual(JSON.parse(body), question);
  });

  await t.test('a count of tokens', async () => {
    provider.answer = (_, response) => json(response, 200, { input_tokens: 14 });
    const got = await claude.messages.countTokens({ model: question.model, messages: question.messages });
    assert.equal(got.input_tokens, 14);
    assert.equal(provider.last().path, '/anthropic/v1/messages/count_tokens');
  });

  await t.test('a stream', async () => {
    provider.answer = (_, response) => stream(response, streamed);
    const final = await claude.messages.stream(question).finalMessage();
    assert.equal(final.content[0].text, 'At six 潮水.');
    assert.equal(final.usage.output_tokens, 31);
    assert.equal(final.stop_reason, 'end_turn');
  });

  await t.test('an error of the provider', async () => {
    provider.answer = (_, response) => json(response, 429, { type: 'error', error: { type: 'rate_limit_error', message: 'slow down' } });
    await assert.rejects(claude.messages.create(question), (err) => err instanceof Anthropic.RateLimitError && /slow down/.test(err.message));
  });

  await t.test('an error of the gateway', async () => {
    await assert.rejects(claude.messages.create(question, { headers: { 'content-type': 'text/plain' } }),
      (err) => err instanceof Anthropic.APIError && err.status === 415 && err.error.type === 'error');
  });

  await t.test('a stream that breaks off', async () => {
    provider.answer = (_, response) => { stream(response, streamed.slice(0, 4), { end: false }); die(response); };
    await assert.rejects(claude.messages.stream(question).finalMessage(), Anthropic.APIError);
  });
  assert.ok(!gateway.log().includes(providerKey));
});
