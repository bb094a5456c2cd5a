// Builds the gateway for the tests, unless LLM_TEST_BINARY names one.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { binary, given, root } from './binary.js';

if (!given) {
  mkdirSync(path.dirname(binary), { recursive: true, mode: 0o700 });
  execFileSync('go', ['build', '-o', binary, './cmd/caddy'], { cwd: root, env: { ...process.env, GOWORK: 'off' }, stdio: 'inherit' });
}
