// Structured output through the official SDKs, by schema and by a tool that must be called,
// with a provider of every API: what each of them parses, and what the headers say is lost.

import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { betaZodOutputFormat } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { GoogleGenAI, Type } from '@google/genai';
import { generateText, Output, streamText } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import * as z from 'zod';
import { sdkKey } from './gateway.js';
import { asked, sites, startModel } from './model.js';

const Form = z.object({
  harbour: z.string(),
  zone: z.number().int(),
  kind: z.enum(['spring', 'neap']),
  times: z.array(z.object({ at: z.string(), metres: z.number() })),
});
const form = { harbour: 'Cuxhaven 潮 <&>', zone: 7, kind: 'neap', times: [{ at: '06:10', metres: 3.2 }] };
const prompt = 'Fill in the form.';

// lost is what a strict client is told of providers of an API: OpenAI's formats have a name,
// for which some have no place, and the bounds of an integer are not for Anthropic's models.
const lost = (name, format) => ({ messages: `not sent: ${name}; approximated: ${format}`, gemini: `not sent: ${name}` });

// kept is a schema as Anthropic's models take it: its objects are closed, and it has no bounds.
const kept = (schema) => JSON.parse(JSON.stringify(schema), (key, value) => {
  if (/^(min|max)imum$/.test(key) && typeof value === 'number') return undefined;
  return value?.type === 'object' && !('additionalProperties' in value) ? { ...value, additionalProperties: false } : value;
});

const openai = (baseURL, defaultHeaders) => new OpenAI({ baseURL: `${baseURL}/v1`, apiKey: sdkKey, maxRetries: 0, timeout: 20_000, defaultHeaders });
const anthropic = (baseURL, defaultHeaders) => new Anthropic({ baseURL, apiKey: sdkKey, maxRetries: 0, timeout: 20_000, defaultHeaders });
const google = (baseUrl, headers) => new GoogleGenAI({ apiKey: sdkKey, httpOptions: { baseUrl, headers, timeout: 20_000 } });

// gemini asks Google's SDK for a form, which it does not parse.
async function gemini(url, headers, stream, config) {
  const request = { model: 'm', contents: prompt, config: { responseMimeType: 'application/json', ...config } };
  const { models } = google(url, headers);
  if (!stream) return JSON.parse((await models.generateContent(request)).text);
  let text = '';
  for await (const piece of await models.generateContentStream(request)) text += piece.text ?? '';
  return JSON.parse(text);
}

// vercel asks Vercel's SDK for a form, with one of its clients.
async function vercel(model, stream, providerOptions) {
  const request = { model, maxRetries: 0, prompt, output: Output.object({ schema: Form }), providerOptions, onError: () => {} };
  return stream ? streamText(request).output : (await generateText(request)).output;
}

const jsonSchema = z.toJSONSchema(Form);
const message = { model: 'm', max_tokens: 4000, messages: [{ role: 'user', content: prompt }] };

// ways are those in which the SDKs ask for a form. Each has the schema that it sends, unless
// that is one of the SDK's own making, what is lost, and a function that returns the form as
// the SDK made it.
const ways = {
  'chat.completions': {
    schema: zodResponseFormat(Form, 'form').json_schema.schema, lost: lost('response_format.json_schema.name', 'response_format'),
    async ask(url, headers, stream) {
      const { completions } = openai(url, headers).chat;
      const params = { model: 'm', messages: message.messages, response_format: zodResponseFormat(Form, 'form') };
      const { choices: [choice] } = await (stream ? completions.stream(params).finalChatCompletion() : completions.parse(params));
      return choice.message.parsed;
    },
  },
  responses: {
    schema: zodTextFormat(Form, 'form').schema, lost: lost('text.format.name', 'text.format'),
    async ask(url, headers, stream) {
      const client = openai(url, headers).responses;
      const params = { model: 'm', input: prompt, store: false, text: { format: zodTextFormat(Form, 'form') } };
      return (await (stream ? client.stream(params).finalResponse() : client.parse(params))).output_parsed;
    },
  },
  messages: {
    schema: zodOutputFormat(Form).schema, lost: {},
    async ask(url, headers, stream) {
      const client = anthropic(url, headers).messages;
      const params = { ...message, output_config: { format: zodOutputFormat(Form) } };
      return (await (stream ? client.stream(params).finalMessage() : client.parse(params))).parsed_output;
    },
  },
  'beta.messages': {
    schema: betaZodOutputFormat(Form).schema, lost: {},
    async ask(url, headers, stream) {
      const client = anthropic(url, headers).beta.messages;
      const params = { ...message, output_format: betaZodOutputFormat(Form) };
      return (await (stream ? client.stream(params).finalMessage() : client.parse(params))).parsed_output;
    },
  },
  'generateContent with responseJsonSchema': {
    schema: jsonSchema, lost: { messages: 'approximated: generationConfig.responseMimeType' },
    ask: (url, headers, stream) => gemini(url, headers, stream, { responseJsonSchema: jsonSchema }),
  },
  'generateContent with responseSchema': {
    schema: {
      type: 'object', required: ['harbour'],
      properties: { harbour: { type: 'string' }, zone: { type: 'integer' } },
    },
    native: 'gemini', // which has the schema in Google's own form
    lost: {},
    ask: (url, headers, stream) => gemini(url, headers, stream, {
      responseSchema: { type: Type.OBJECT, required: ['harbour'], properties: { harbour: { type: Type.STRING }, zone: { type: Type.INTEGER } } },
    }),
  },
  'ai, chat': {
    lost: lost('response_format.json_schema.name', 'response_format'),
    ask: (url, headers, stream) => vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: sdkKey, headers }).chat('m'), stream),
  },
  'ai, responses': {
    lost: lost('text.format.name', 'text.format'),
    ask: (url, headers, stream) => vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: sdkKey, headers }).responses('m'), stream, { openai: { store: false } }),
  },
  'ai, messages': {
    lost: {},
    ask: (url, headers, stream) => vercel(createAnthropic({ baseURL: `${url}/v1`, apiKey: sdkKey, headers })('m'), stream, { anthropic: { structuredOutputMode: 'outputFormat' } }),
  },
  'ai, gemini': {
    native: 'gemini', lost: {},
    ask: (url, headers, stream) => vercel(createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: sdkKey, headers })('m'), stream),
  },
};

test('structured output', { timeout: 300_000 }, async (t) => {
  const model = await startModel(t);
  const [urls] = await sites(t, model);
  for (const [name, way] of Object.entries(ways)) {
    for (const [api, url] of Object.entries(urls)) {
      await t.test(`${name} to ${api}`, async () => {
        await model.says(api, { text: JSON.stringify(form) });
        for (const stream of [false, true]) {
          assert.deepEqual(await way.ask(url, {}, stream), form);
          const { format, raw } = await asked(model);
          // In the order of its keys, too, which is the order in which a model writes.
          if (api === way.native) assert.ok(raw.includes('"responseSchema":{'), raw);
          else if (way.schema) assert.equal(JSON.stringify(format), JSON.stringify(api === 'messages' ? kept(way.schema) : way.schema));
          else assert.deepEqual(Object.keys(format.properties), Object.keys(form));
        }
        // A strict client is told what is lost, and nothing is sent.
        const strict = way.ask(url, { 'Llm-Translation': 'strict' }, false);
        if (way.lost[api]) {
          await assert.rejects(strict, ({ status, statusCode = status, message: text }) => statusCode === 400 && text.includes(`(${way.lost[api]})`));
          assert.deepEqual(await model.asked(), []);
        } else {
          assert.deepEqual(await strict, form);
          await asked(model);
        }
      });
    }
  }
});

// forced is how a request says that the tool must be called, by its name or as any.
const forced = {
  chat: { form: '"tool_choice":{"type":"function","function":{"name":"form"}}', json: '"tool_choice":"required"' },
  responses: { form: '"tool_choice":{"type":"function","name":"form"}', json: '"tool_choice":"required"' },
  messages: { form: '"tool_choice":{"type":"tool","name":"form"', json: '"tool_choice":{"type":"any"' },
  gemini: { form: '"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["form"]}', json: '"functionCallingConfig":{"mode":"ANY"}' },
  converse: { form: '"toolChoice":{"tool":{"name":"form"}}', json: '"toolChoice":{"any":{}}' },
};

test('a form by a tool', { timeout: 120_000 }, async (t) => {
  const model = await startModel(t);
  const [urls] = await sites(t, model);
  const byTool = {
    async form(url, stream) {
      const client = anthropic(url).messages;
      const params = { ...message, tools: [{ name: 'form', input_schema: jsonSchema }], tool_choice: { type: 'tool', name: 'form' } };
      const { content, stop_reason: reason } = await (stream ? client.stream(params).finalMessage() : client.create(params));
      assert.equal(reason, 'tool_use');
      return content[0].input;
    },
    // What Vercel's SDK asks of models that it does not know; the tool's name is its own.
    json: (url, stream) => vercel(createAnthropic({ baseURL: `${url}/v1`, apiKey: sdkKey })('m'), stream, { anthropic: { structuredOutputMode: 'jsonTool' } }),
  };
  for (const [name, ask] of Object.entries(byTool)) {
    for (const [api, url] of Object.entries(urls)) {
      await t.test(`${name} to ${api}`, async () => {
        await model.says(api, { calls: [{ id: 'call_Form01', name, arguments: JSON.stringify(form) }] });
        for (const stream of [false, true]) {
          assert.deepEqual(await ask(url, stream), form);
          const { tools, raw } = await asked(model);
          assert.deepEqual(Object.keys(tools[name].properties), Object.keys(form));
          assert.ok(raw.includes(forced[api][name]), raw);
        }
      });
    }
  }
});

test('JSON without a schema', { timeout: 120_000 }, async (t) => {
  const model = await startModel(t);
  const [urls] = await sites(t, model);
  const without = {
    chat: async (url) => JSON.parse((await openai(url).chat.completions.create({ model: 'm', messages: message.messages, response_format: { type: 'json_object' } })).choices[0].message.content),
    responses: async (url) => JSON.parse((await openai(url).responses.create({ model: 'm', input: prompt, store: false, text: { format: { type: 'json_object' } } })).output_text),
    gemini: (url) => gemini(url, {}, false, {}),
  };
  const kept = { chat: '"response_format":{"type":"json_object"}', responses: '"format":{"type":"json_object"}', gemini: '"responseMimeType":"application/json"' };
  for (const [name, ask] of Object.entries(without)) {
    for (const [api, url] of Object.entries(urls)) {
      await t.test(`${name} to ${api}`, async () => {
        await model.says(api, { text: JSON.stringify(form) });
        if (kept[api]) {
          assert.deepEqual(await ask(url), form);
          assert.ok((await asked(model)).raw.includes(kept[api]));
          return;
        }
        await assert.rejects(ask(url), ({ status, message: text }) => status === 400 && /no JSON mode without a schema/.test(text));
        assert.deepEqual(await model.asked(), []);
      });
    }
  }
});

test('what is lost is in the headers', { timeout: 60_000 }, async (t) => {
  const model = await startModel(t);
  const [urls] = await sites(t, model);
  for (const [api, url] of Object.entries(urls)) {
    await model.says(api, { text: JSON.stringify(form) });
    const { response } = await openai(url).chat.completions.create({ model: 'm', messages: message.messages, response_format: zodResponseFormat(Form, 'form') }).withResponse();
    const told = Object.entries({ 'not sent': 'llm-dropped', approximated: 'llm-approximated' })
      .filter(([, header]) => response.headers.has(header)).map(([what, header]) => `${what}: ${response.headers.get(header)}`).join('; ');
    assert.equal(told, ways['chat.completions'].lost[api] ?? '', api);
  }
});
