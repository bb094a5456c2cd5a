// The official SDKs of the APIs that clients speak, each with the same conversation. A
// client remembers its turns, as a program does. The function ask of each returns what
// the SDK made of a response: text, reasoning, calls, finish and usage (prompt, cached,
// completion); onText gets each piece of text as it comes.

import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { ApiError, GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { sdkKey } from './gateway.js';

// What is asked, in all conversations.
export const system = 'You watch the tide.';
export const question = 'When does it turn? 潮水 <&> "then"';
export const picture = 'iVBORw0KGgo=';
export const schemas = {
  get_tide: { type: 'object', required: ['harbour'], properties: { zone: { type: 'integer', default: 1 }, harbour: { type: 'string' } }, additionalProperties: false },
  get_wind: { properties: {}, type: 'object' },
};
export const results = { get_tide: '3.20 "m"', get_wind: 'calm 風' };

const patience = 20_000; // bounds what should take milliseconds, on a busy machine too
const eachTool = (make) => Object.entries(schemas).map(([name, schema]) => make(name, schema));
const classes = { 400: 'BadRequestError', 401: 'AuthenticationError', 403: 'PermissionDeniedError', 404: 'NotFoundError', 429: 'RateLimitError' };

// status is that of an error which is of the class that the SDK has for it.
const status = (SDK) => (error) => {
  const name = error.status >= 500 ? 'InternalServerError' : classes[error.status] ?? 'APIError';
  assert.ok(error instanceof SDK[name], `${error.constructor.name}: ${error}`);
  return error.status;
};

function openai(url) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: sdkKey, maxRetries: 0, timeout: patience });
}

// chat keeps whole messages, with what gateways have of reasoning in them.
function chat(url) {
  const client = openai(url);
  const params = {
    model: 'm', reasoning_effort: 'high',
    messages: [{ role: 'system', content: system }, { role: 'user', content: [{ type: 'text', text: question }, { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } }] }],
    tools: eachTool((name, schema) => ({ type: 'function', function: { name, parameters: schema } })),
  };
  const read = async (options, onText) => {
    const stream = client.chat.completions.stream({ ...params, stream_options: { include_usage: true } }, options);
    let reasoning = '';
    const blocks = [];
    for await (const { choices: [choice] } of stream) {
      reasoning += choice?.delta.reasoning_content ?? '';
      blocks.push(...choice?.delta.thinking_blocks ?? []);
      if (choice?.delta.content) onText(choice.delta.content);
    }
    const whole = await stream.finalChatCompletion();
    // The SDK joins no members that it does not know.
    Object.assign(whole.choices[0].message, { reasoning_content: reasoning, thinking_blocks: blocks, parsed: undefined });
    return whole;
  };
  return {
    finishes: ['tool_calls', 'stop'],
    status: status(OpenAI),
    async ask(stream, { onText = () => {}, ...options } = {}) {
      const { choices: [{ message, finish_reason: finish }], usage } = await (stream ? read(options, onText) : client.chat.completions.create(params, options));
      params.messages.push(message);
      return {
        text: message.content ?? '', reasoning: message.reasoning_content ?? '', finish,
        calls: (message.tool_calls ?? []).map(({ id, function: f }) => ({ id, name: f.name, arguments: JSON.parse(f.arguments) })),
        usage: [usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens],
      };
    },
    answer(calls) {
      for (const { id, name } of calls) params.messages.push({ role: 'tool', tool_call_id: id, content: results[name] });
    },
  };
}

// responses keeps its items itself.
function responses(url) {
  const client = openai(url);
  const params = {
    model: 'm', instructions: system, store: false, include: ['reasoning.encrypted_content'], reasoning: { effort: 'high', summary: 'auto' },
    input: [{ role: 'user', content: [{ type: 'input_text', text: question }, { type: 'input_image', detail: 'auto', image_url: `data:image/png;base64,${picture}` }] }],
    tools: eachTool((name, schema) => ({ type: 'function', name, parameters: schema, strict: false })),
  };
  const read = async (options, onText) => {
    const stream = client.responses.stream(params, options);
    let next = 0, text = '', whole;
    for await (const event of stream) {
      assert.equal(event.sequence_number, next++, event.type);
      if (event.type === 'response.output_text.delta') {
        text += event.delta;
        onText(event.delta);
      }
      if (event.type === 'response.completed') whole = JSON.parse(JSON.stringify(event.response));
    }
    const { output_text: output } = await stream.finalResponse();
    assert.equal(output, text);
    return whole;
  };
  return {
    finishes: ['completed', 'completed'],
    status: status(OpenAI),
    async ask(stream, { onText = () => {}, ...options } = {}) {
      const { output, status: finish, usage } = await (stream ? read(options, onText) : client.responses.create(params, options));
      params.input.push(...output);
      const of = (type) => output.filter((item) => item.type === type);
      const texts = (parts = []) => parts.map(({ text }) => text).join('');
      return {
        text: texts(of('message').flatMap(({ content }) => content)), reasoning: texts(of('reasoning').flatMap(({ summary, content = [] }) => [...summary, ...content])), finish,
        calls: of('function_call').map(({ call_id: id, name, arguments: text }) => ({ id, name, arguments: JSON.parse(text) })),
        usage: [usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens],
      };
    },
    answer(calls) {
      for (const { id, name } of calls) params.input.push({ type: 'function_call_output', call_id: id, output: results[name] });
    },
  };
}

function messages(url) {
  const client = new Anthropic({ baseURL: url, apiKey: sdkKey, maxRetries: 0, timeout: patience });
  const params = {
    model: 'm', max_tokens: 4000, thinking: { type: 'enabled', budget_tokens: 2000 }, system,
    messages: [{ role: 'user', content: [{ type: 'text', text: question }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: picture } }] }],
    tools: eachTool((name, schema) => ({ name, input_schema: schema })),
  };
  return {
    finishes: ['tool_use', 'end_turn'],
    status: status(Anthropic),
    async ask(stream, { onText = () => {}, ...options } = {}) {
      const { content, stop_reason: finish, usage } = await (stream ? client.messages.stream(params, options).on('text', onText).finalMessage() : client.messages.create(params, options));
      params.messages.push({ role: 'assistant', content });
      const of = (type) => content.filter((block) => block.type === type);
      return {
        text: of('text').map(({ text }) => text).join(''), reasoning: of('thinking').map(({ thinking }) => thinking).join(''), finish,
        calls: of('tool_use').map(({ id, name, input }) => ({ id, name, arguments: input })),
        usage: [usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.output_tokens],
      };
    },
    answer(calls) {
      params.messages.push({ role: 'user', content: calls.map(({ id, name }) => ({ type: 'tool_result', tool_use_id: id, content: results[name] })) });
    },
  };
}

function gemini(url) {
  const client = new GoogleGenAI({ apiKey: sdkKey, httpOptions: { baseUrl: url, timeout: patience } });
  const contents = [{ role: 'user', parts: [{ text: question }, { inlineData: { mimeType: 'image/png', data: picture } }] }];
  const config = {
    systemInstruction: system, thinkingConfig: { includeThoughts: true },
    tools: [{ functionDeclarations: eachTool((name, schema) => ({ name, parametersJsonSchema: schema })) }],
  };
  const read = async function* (stream, request) {
    if (stream) yield* await client.models.generateContentStream(request);
    else yield await client.models.generateContent(request);
  };
  return {
    finishes: ['STOP', 'STOP'],
    status(error) {
      assert.ok(error instanceof ApiError, `${error}`);
      return error.status;
    },
    async ask(stream, { onText = () => {}, signal } = {}) {
      const parts = [];
      let finish, counted;
      for await (const { candidates: [candidate] = [], usageMetadata } of read(stream, { model: 'm', contents, config: { ...config, abortSignal: signal } })) {
        for (const part of candidate?.content?.parts ?? []) {
          parts.push(part);
          if (part.text && !part.thought) onText(part.text);
        }
        finish = candidate?.finishReason ?? finish;
        counted = usageMetadata ?? counted;
      }
      contents.push({ role: 'model', parts });
      const texts = (thought) => parts.filter((part) => part.text && Boolean(part.thought) === thought).map(({ text }) => text).join('');
      return {
        text: texts(false), reasoning: texts(true), finish,
        calls: parts.filter((part) => part.functionCall).map(({ functionCall: { id, name, args = {} } }) => ({ id, name, arguments: args })),
        usage: [counted.promptTokenCount, counted.cachedContentTokenCount, counted.candidatesTokenCount + (counted.thoughtsTokenCount ?? 0)],
      };
    },
    answer(calls) {
      contents.push({ role: 'user', parts: calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: results[name] } } })) });
    },
  };
}

export const clients = { chat, responses, messages, gemini };
