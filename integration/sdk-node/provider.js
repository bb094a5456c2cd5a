// A small provider over TLS, HTTP/1.1 and HTTP/2, that answers what a test says
// and notes what it got.

import http2 from 'node:http2';
import https from 'node:https';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './binary.js';
import { selfSigned } from './certificate.js';

const { key, cert } = selfSigned();

// startProvider serves until the test ends. The function `answer` of what it
// returns, (request, response), can be replaced at any time.
export async function startProvider(t, { protocol = http2 } = {}) {
  const provider = { cert, requests: [], answer: (_, response) => json(response, 200, chat('fake-model')) };
  const server = protocol === http2 ? http2.createSecureServer({ key, cert }) : https.createServer({ key, cert });
  const connections = new Set();
  server.on('secureConnection', (socket) => {
    connections.add(socket);
    socket.on('error', () => {}); // a reset is what some tests are about
    socket.on('close', () => connections.delete(socket));
  });
  server.on('request', async (request, response) => {
    const noted = { method: request.method, path: request.url, headers: request.headers, version: request.httpVersion };
    // Whoever reads `left` learns that the client went before the answer's end.
    noted.left = once(response, 'close').then(() => !response.writableEnded, () => true);
    request.on('error', () => {});
    response.on('error', () => {});
    const parts = [];
    try {
      for await (const part of request) parts.push(part);
    } catch {
      return;
    }
    noted.body = Buffer.concat(parts).toString();
    provider.requests.push(noted);
    await provider.answer(noted, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  provider.url = `https://127.0.0.1:${server.address().port}`;
  provider.last = () => provider.requests.at(-1);
  t.after(() => {
    server.close();
    for (const socket of connections) socket.destroy();
  });
  return provider;
}

// fixture reads an answer in a provider's documented shape.
export const fixture = (id) => readFileSync(path.join(root, 'integration/testdata/providers', id), 'utf8');

// events cuts a stream into events with their blank lines.
export const events = (stream) => stream.split(/(?<=\n\n)/);

export function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

// stream sends events, and ends the answer only if told to.
export function stream(response, list, { end = true, headers = {} } = {}) {
  response.writeHead(200, { 'content-type': 'text/event-stream', ...headers });
  response.flushHeaders();
  for (const event of list) response.write(event);
  if (end) response.end();
}

// die breaks an answer off, after what was written has gone out.
export function die(response) {
  setTimeout(() => (response.stream ? response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR) : response.socket.destroy()), 50);
}

const chat = (model) => ({
  id: 'chatcmpl-fake', object: 'chat.completion', created: 1700000000, model,
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 },
});
