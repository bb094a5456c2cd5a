import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import OpenAI from 'openai';
import { providerKey, question, sdkKey, site } from './gateway.js';

const examples = new URL('../../examples/', import.meta.url);
const read = (name) => readFileSync(new URL(name, examples), 'utf8').trim();
const alice = read('authorization/alice.jwt');
const bob = read('authorization/bob.jwt');
const forged = alice.slice(0, alice.lastIndexOf('.')) + bob.slice(bob.lastIndexOf('.'));
const virtualKey = 'sk-llm-example-key-for-alice-only'; // in keys.txt
const files = { 'jwks.json': read('authorization/jwks.json'), 'keys.txt': read('virtual-keys/keys.txt') };

// authz lets tokens of the example's issuer pass.
const authz = (options, policy = '') => `llm_authz {
		jwt https://issuer.example.com {
			audiences llm-gateway
			jwks {file.jwks.json}
			${options}
		}
		${policy}
	}`;
const researchers = 'allow researchers {\n\t\t\twhen request.auth.claims[groups] research\n\t\t}';
const route = 'llm_route {\n\t\tto main\n\t}';
const ask = { ...question, model: 'mock-small' };

test('a token as the api key of the SDK', async (t) => {
  const { provider, client, gateway } = await site(t, { files, route: `${authz('', researchers)}\n\t${route}` });
  const answer = await client({ apiKey: alice }).chat.completions.create(ask);
  assert.ok(answer.choices.length > 0);
  assert.equal(provider.last().headers.authorization, `Bearer ${providerKey}`);
  assert.ok(!JSON.stringify(provider.last()).includes(alice), 'the token reached the provider');

  for (const [apiKey, type, text] of [
    [bob, OpenAI.PermissionDeniedError, 'RBAC: access denied'],
    [forged, OpenAI.AuthenticationError, 'Jwt verification fails'],
    [sdkKey, OpenAI.AuthenticationError, 'Jwt is not in the form'],
  ]) {
    await assert.rejects(client({ apiKey }).chat.completions.create(ask), (err) => {
      assert.ok(err instanceof type, `${err}`);
      assert.match(err.message, new RegExp(text));
      return true;
    });
  }
  for (const secret of [alice, bob, forged]) assert.ok(!gateway.log().includes(secret), 'the log shows a token');
});

test('a token or a virtual key', async (t) => {
  const keys = 'llm_keys keys.txt {\n\t\tor_token\n\t}';
  const { client } = await site(t, { files, route: `${authz('ignore_other_tokens')}\n\t${keys}\n\t${route}` });
  for (const apiKey of [alice, virtualKey]) {
    const answer = await client({ apiKey }).chat.completions.create(ask);
    assert.ok(answer.choices.length > 0);
  }
  await assert.rejects(client().chat.completions.create(ask), { code: 'invalid_api_key', status: 401 });
  await assert.rejects(client({ apiKey: forged }).chat.completions.create(ask), { status: 401 });
});
