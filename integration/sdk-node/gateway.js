// Runs the built gateway as a process.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import { binary } from './binary.js';
import { startProvider } from './provider.js';

// sdkKey is what the SDK sends, providerKey what the provider must get instead.
export const sdkKey = 'sk-of-the-sdk-3f9a17';
export const providerKey = 'sk-of-the-provider-c45d02';

// The SDKs take their settings from the environment otherwise.
for (const name of Object.keys(process.env)) {
  if (/^(OPENAI|ANTHROPIC|GOOGLE|GEMINI|AI_GATEWAY)_/.test(name)) delete process.env[name];
}
globalThis.AI_SDK_LOG_WARNINGS = false; // Vercel's, of models that it does not know

// freePort returns a port below those the kernel gives to outgoing connections,
// and below those of the Go tests.
export async function freePort() {
  for (;;) {
    const port = 12000 + Math.floor(Math.random() * 8000);
    const server = net.createServer().listen(port);
    try {
      await once(server, 'listening'); // or an error
      return port;
    } catch {
      continue;
    } finally {
      server.close();
    }
  }
}

// startGateway runs a Caddyfile until the test ends. Files are put into its
// working directory first, and variables into its environment.
export async function startGateway(t, caddyfile, { files = {}, variables = {} } = {}) {
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run npm test, which builds it, or set LLM_TEST_BINARY`);
  const dir = mkdtempSync(path.join(os.tmpdir(), 'gateway-'));
  mkdirSync(path.join(dir, 'home'));
  for (const [name, content] of Object.entries({ ...files, Caddyfile: caddyfile })) writeFileSync(path.join(dir, name), content);

  const ready = net.createServer().listen(0, '127.0.0.1');
  await once(ready, 'listening');
  const args = ['run', '--pingback', `127.0.0.1:${ready.address().port}`, '--config', 'Caddyfile', '--adapter', 'caddyfile'];
  const env = { PATH: process.env.PATH, HOME: path.join(dir, 'home'), PROVIDER_KEY: providerKey, ...variables };
  const child = spawn(binary, args, { cwd: dir, env, stdio: ['pipe', 'pipe', 'pipe'] });
  const gone = once(child, 'exit');
  let log = '';
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (data) => { log += data; });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  let asked = false;
  t.after(async () => {
    asked = true;
    child.kill('SIGTERM');
    const late = setTimeout(kill, 5000); // it waits for open streams
    await gone;
    clearTimeout(late);
    process.removeListener('exit', kill);
    rmSync(dir, { recursive: true, force: true });
    if (/^panic: |http: panic serving/m.test(log)) throw new Error(`the gateway panicked:\n${log}`);
  });

  child.stdin.end('ready');
  const served = once(ready, 'connection').then(([socket]) => socket.resume());
  const failed = gone.then(() => { if (!asked) throw new Error(`the gateway ended by itself:\n${log}`); });
  await Promise.race([served, failed]);
  failed.catch(() => {}); // later it is seen by what the test does
  ready.close();
  return { log: () => log };
}

// site is a provider, a gateway before it, and the SDK pointed at the gateway.
// The SDK does not retry, so that a test sees the first answer. The options are
// parts of the Caddyfile: what the provider named main has beside its key, other
// providers, and what stands in the site in place of a plain route to main.
export async function site(t, { options = '', others = '', route = 'llm_route {\n\t\tto main\n\t}', files, protocol } = {}) {
  const provider = await startProvider(t, { protocol });
  const port = await freePort();
  const gateway = await startGateway(t, `{
	admin off
	llm {
		status_listen off
		provider main ${provider.url}/v1/chat/completions {
			api_key {env.PROVIDER_KEY}
			tls_trust_pool file ca.pem
			${options}
		}
		${others}
	}
}

http://:${port} {
	${route}
}
`, { files: { 'ca.pem': provider.cert, ...files } });
  const url = `http://127.0.0.1:${port}`;
  const client = (more = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey: sdkKey, maxRetries: 0, timeout: 20_000, ...more });
  return { provider, gateway, url, client };
}

export const question = {
  model: 'gpt-4o',
  messages: [{ role: 'user', content: 'When does the tide turn? 潮水 <&> "then"' }],
};
