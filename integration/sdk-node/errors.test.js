import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import {
  APIError, AuthenticationError, BadRequestError, InternalServerError, NotFoundError, PermissionDeniedError, RateLimitError, UnprocessableEntityError,
} from 'openai';
import { freePort, providerKey, question, sdkKey, site } from './gateway.js';
import { fixture, json } from './provider.js';

// failure is what a promise is rejected with.
const failure = (promise) => promise.then(() => assert.fail('no error'), (error) => error);

test('errors of the gateway', async (t) => {
  const hash = (key) => createHash('sha256').update(key).digest('hex');
  const routes = {
    small: 'llm_route {\n\t\t\tto main\n\t\t\tmax_body 100KB\n\t\t}',
    keys: 'llm_keys keys.txt\n\t\tllm_route {\n\t\t\tto main\n\t\t}',
    vip: 'llm_route {\n\t\t\trule vip {\n\t\t\t\tmatch header user-type subscriber\n\t\t\t\tto main\n\t\t\t}\n\t\t}',
    nobody: 'llm_route {\n\t\t\tto nobody\n\t\t}',
    keyless: 'llm_route {\n\t\t\tto keyless\n\t\t}',
  };
  const handles = Object.entries(routes).map(([name, route]) => `handle_path /${name}/* {\n\t\t${route}\n\t}`);
  const { provider, client, url, gateway } = await site(t, {
    options: 'model the-model\n\t\t\tfirst_byte_timeout 500ms',
    others: `provider nobody https://127.0.0.1:${await freePort()}/v1/chat/completions
		provider keyless https://127.0.0.1/v1/chat/completions {
			api_key {env.KEY_NOBODY_SET}
		}`,
    route: [...handles, 'handle {\n\t\tllm_route {\n\t\t\tto main\n\t\t}\n\t}'].join('\n\t'),
    files: { 'keys.txt': `alice sha256:${hash('gw-key-1')}\nbob sha256:${hash('gw-key-2')} other\n` },
  });
  const at = (path, options) => client({ baseURL: `${url}${path}/v1`, ...options });
  const ask = (c, body = question, options = {}) => c.chat.completions.create(body, options);

  for (const [name, type, status, code, run] of [
    ['an array', BadRequestError, 400, 'invalid_json', () => ask(at(''), [])],
    ['unknown key', AuthenticationError, 401, 'invalid_api_key', () => ask(at('/keys'))],
    ['another\'s model', PermissionDeniedError, 403, 'model_not_allowed', () => ask(at('/keys', { apiKey: 'gw-key-2' }))],
    ['no rule', NotFoundError, 404, 'no_route', () => ask(at('/vip'))],
    ['no such model', NotFoundError, 404, 'model_not_found', () => at('').models.retrieve('gpt-0')],
    ['an API that keeps state', NotFoundError, 404, 'unsupported_endpoint', () => at('').files.list()],
    ['a list of chats', APIError, 405, 'method_not_allowed', () => at('').chat.completions.list()],
    ['a long body', APIError, 413, 'request_too_large', async () => {
      const messages = [{ role: 'user', content: 'the tide '.repeat(1_000_000) }];
      for (let i = 0; i < 10; i++) {
        const error = await failure(ask(at('/small'), { ...question, messages }));
        if (error.status !== 413) throw error;
      }
      await ask(at('/small'), { ...question, messages });
    }],
    ['a form', APIError, 415, 'unsupported_media_type', () => ask(at(''), question, { headers: { 'content-type': 'application/x-www-form-urlencoded' } })],
    ['nobody listens', InternalServerError, 502, 'provider_unreachable', () => ask(at('/nobody'))],
    ['no key for the provider', InternalServerError, 503, 'provider_key_missing', () => ask(at('/keyless'))],
    ['no answer in time', InternalServerError, 504, 'provider_timeout', () => { provider.answer = () => {}; return ask(at('')); }],
  ]) {
    await t.test(`${status} ${name}`, async () => {
      const error = await failure(run());
      assert.equal(error.constructor, type, `${error}`);
      assert.equal(error.status, status);
      assert.equal(error.code, code);
      assert.ok(error.type && error.error.message.length > 20, JSON.stringify(error.error));
      for (const key of [sdkKey, providerKey]) assert.ok(!JSON.stringify(error).includes(key));
    });
  }

  provider.answer = (_, response) => json(response, 200, fixture('openai/chat.json'));
  await ask(at('/keys', { apiKey: 'gw-key-1' }));
  assert.equal(provider.last().headers.authorization, `Bearer ${providerKey}`);
  for (const secret of [sdkKey, providerKey, 'gw-key-1', 'the tide']) assert.ok(!gateway.log().includes(secret), `${secret} is in the log`);
});

test('errors of the provider', async (t) => {
  const { provider, client } = await site(t);
  for (const [id, status, type] of [
    ['openai/error-400.json', 400, BadRequestError],
    ['openai/error-401.json', 401, AuthenticationError],
    ['openai/error-404.json', 404, NotFoundError],
    ['deepseek/error-422.json', 422, UnprocessableEntityError],
    ['openai/error-429.json', 429, RateLimitError],
    ['openai/error-429-quota.json', 429, RateLimitError],
    ['openai/error-500.json', 500, InternalServerError],
    ['openai/error-503.json', 503, InternalServerError],
  ]) {
    await t.test(id, async () => {
      provider.answer = (_, response) => json(response, status, fixture(id), { 'x-request-id': 'req_of_the_provider', 'retry-after': '7' });
      for (const body of [question, { ...question, stream: true }]) {
        const error = await failure(client().chat.completions.create(body));
        assert.equal(error.constructor, type, `${error}`);
        assert.equal(error.status, status);
        assert.deepEqual(error.error, JSON.parse(fixture(id)).error);
        assert.equal(error.requestID, 'req_of_the_provider');
        assert.equal(error.headers.get('retry-after'), '7');
      }
    });
  }
});

test('the retries of the SDK', async (t) => {
  const { provider, client } = await site(t);
  provider.answer = (_, response) => (provider.requests.length < 3
    ? json(response, 429, fixture('openai/error-429.json'), { 'retry-after-ms': '10' })
    : json(response, 200, fixture('openai/chat.json')));
  await client({ maxRetries: 2 }).chat.completions.create(question);
  assert.equal(provider.requests.length, 3);
});
