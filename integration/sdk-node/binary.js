// Where the gateway to test is: the file LLM_TEST_BINARY names, or one built
// from this checkout, which build.js makes before the tests; and the provider beside it.

import os from 'node:os';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(fileURLToPath(import.meta.url), '../../..');

// Two checkouts must not share a binary.
const name = createHash('sha256').update(root).digest('hex').slice(0, 16);
const folder = path.join(os.tmpdir(), `llm-gateway-test-node-${os.userInfo().uid}`, name);

export const given = process.env.LLM_TEST_BINARY;
export const binary = given ? path.resolve(given) : path.join(folder, 'caddy');

// model is the scripted model of the Go tests, as a program.
export const model = path.join(folder, 'model');
