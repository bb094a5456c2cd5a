// Builds the provider of the tests, and the gateway, unless LLM_TEST_BINARY names one.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { binary, given, model, root } from './binary.js';

const build = (output, folder) => execFileSync('go', ['build', '-o', output, folder], { cwd: root, env: { ...process.env, GOWORK: 'off' }, stdio: 'inherit' });

mkdirSync(path.dirname(model), { recursive: true, mode: 0o700 });
build(model, './integration/fakemodel/serve');
if (!given) build(binary, './cmd/caddy');
