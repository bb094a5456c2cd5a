import assert from 'node:assert/strict';
import test from 'node:test';
import { RateLimitError } from 'openai';
import { question, site } from './gateway.js';
import { fixture, json } from './provider.js';

// The SDK waits for a rate, and gives up at once for a budget.
test('limits', async (t) => {
  const rule = (name) => `handle_path /${name}/* {\n\t\tllm_route {\n\t\t\trule ${name} {\n\t\t\t\tto main\n\t\t\t}\n\t\t}\n\t}`;
  const { provider, client, url } = await site(t, {
    others: 'limits {\n\t\t\tlimit rate {\n\t\t\t\trules rate\n\t\t\t\trequests 1 per 2s\n\t\t\t}\n\t\t\tlimit budget {\n\t\t\t\trules budget\n\t\t\t\trequests 1 per month\n\t\t\t}\n\t\t}',
    route: [rule('rate'), rule('budget')].join('\n\t'),
  });
  provider.answer = (_, response) => json(response, 200, fixture('openai/chat.json'));
  for (const [name, code, tries] of [['rate', 'rate_limit_exceeded', 2], ['budget', 'insufficient_quota', 1]]) {
    await t.test(name, async () => {
      let sent = 0;
      const c = client({ baseURL: `${url}/${name}/v1`, maxRetries: 2, fetch: (...args) => { sent++; return fetch(...args); } });
      await c.chat.completions.create(question);
      sent = 0;
      const began = Date.now();
      const second = await c.chat.completions.create(question).catch((error) => error);
      const took = Date.now() - began;
      assert.equal(sent, tries);
      if (name === 'rate') {
        assert.ok(second.choices, `${second}`);
        assert.ok(took > 900 && took < 10_000, `${took} ms`);
      } else {
        assert.ok(took < 1000, `${took} ms`);
      }
      const error = await c.chat.completions.create(question, { maxRetries: 0 }).catch((error) => error);
      assert.equal(error.constructor, RateLimitError, `${error}`);
      assert.equal(error.code, code);
      assert.equal(error.headers.get('retry-after') !== null, name === 'rate');
    });
  }
});
