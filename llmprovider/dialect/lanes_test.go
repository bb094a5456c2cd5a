package dialect_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// contentType is the header of a response in the API.
func contentType(api *dialect.API, stream bool) http.Header {
	switch {
	case !stream:
		return http.Header{"Content-Type": {"application/json"}}
	case api == converse.API:
		return http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}}
	}
	return http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
}

// through passes a response through a lane in pieces of n bytes.
func through(t *testing.T, from, to *dialect.API, o dialect.ResponseOptions, in string, n int) string {
	t.Helper()
	r := dialect.NewResponse(from, to, o)
	r.Head(&llmprovider.Head{Status: http.StatusOK, Header: contentType(from, o.Stream)})
	var out strings.Builder
	pass := func(p []byte) error { out.Write(p); return nil }
	for len(in) > 0 {
		k := min(n, len(in))
		if err := r.Write([]byte(in[:k]), pass); err != nil {
			t.Fatal(err)
		}
		in = in[k:]
	}
	if err := r.Finish(pass); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRequests(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from, to *dialect.API
		in, out  string
		lost     string
	}{
		{
			"chat to messages: settings", chat.API, messages.API,
			`{"model":"x","messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}],"temperature":1.5,"top_p":0.5,"seed":7,"stop":"a","max_completion_tokens":100,"user":"u","n":1}`,
			`{"model":"m","max_tokens":100,"temperature":1,"stop_sequences":["a"],"metadata":{"user_id":"u"},"system":"s","messages":[{"role":"user","content":"hi"}]}`,
			"dropped seed,top_p approximated temperature",
		},
		{
			"chat to messages: tools", chat.API, messages.API,
			`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"id":"c.1","type":"function","function":{"name":"f","arguments":"{\"n\": 1e3}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},` +
				`{"role":"tool","tool_call_id":"c.1","content":"one"},{"role":"tool","tool_call_id":"c2","content":"two"},{"role":"user","content":"go on"}],` +
				`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"n":{"type":"number"}}}}},{"type":"function","function":{"name":"g","description":"d"}}],"parallel_tool_calls":false}`,
			`{"model":"m","max_tokens":8192,"tools":[{"name":"f","input_schema":{"type":"object","properties":{"n":{"type":"number"}}}},{"name":"g","description":"d","input_schema":{"type":"object","properties":{}}}],` +
				`"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"c_1_255b58d8","name":"f","input":{"n": 1e3}},{"type":"tool_use","id":"c2","name":"g","input":{}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c_1_255b58d8","content":"one"},{"type":"tool_result","tool_use_id":"c2","content":"two"}]},{"role":"user","content":"go on"}]}`,
			"",
		},
		{
			"messages to chat", messages.API, chat.API,
			`{"model":"x","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"stop_sequences":["a"],"top_k":3,"thinking":{"type":"enabled","budget_tokens":4000},"stream":true,` +
				`"messages":[{"role":"user","content":[{"type":"text","text":"h\u00e9"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},` +
				`{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"sig"},{"type":"text","text":"ok"},{"type":"tool_use","id":"t1","name":"f","input":{"a": [1.0]}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"r"}],"is_error":true},{"type":"text","text":"next"}]}],` +
				`"tools":[{"name":"f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral","ttl":"1h"}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}`,
			`{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":5,"stop":["a"],"reasoning_effort":"medium",` +
				`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"parallel_tool_calls":false,"tool_choice":{"type":"function","function":{"name":"f"}},` +
				`"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"h\u00e9"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},` +
				`{"role":"assistant","content":"ok","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": [1.0]}"}}]},` +
				`{"role":"tool","tool_call_id":"t1","content":"Error: r"},{"role":"user","content":"next"}]}`,
			"dropped cache_control,messages[].content[].thinking,top_k approximated messages[].content[].is_error,thinking.budget_tokens",
		},
		{
			"responses to messages", responses.API, messages.API,
			`{"model":"x","instructions":"be kind","input":[{"role":"user","content":[{"type":"input_text","text":"hi"},{"type":"input_image","image_url":"https://x/y.png"}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"enc"},` +
				`{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\": 1.0}"},{"type":"function_call","call_id":"c2","name":"f","arguments":""},{"type":"function_call_output","call_id":"c1","output":"r1"},{"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"r2"}]}],` +
				`"max_output_tokens":99,"reasoning":{"effort":"low","summary":"auto"},"store":false,"tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true},{"type":"custom","name":"g"}],"text":{"format":{"type":"json_schema","name":"n","schema":{"z":1,"a":2}}},"include":["reasoning.encrypted_content"]}`,
			`{"model":"m","max_tokens":99,"thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"z":1,"a":2}}},` +
				`"tools":[{"name":"f","input_schema":{"type":"object","additionalProperties":false},"strict":true},{"name":"g","input_schema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}],"system":"be kind",` +
				`"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{"a": 1.0}},{"type":"tool_use","id":"c2","name":"f","input":{}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r1"},{"type":"tool_result","tool_use_id":"c2","content":"r2"}]}]}`,
			"dropped input[].reasoning,text.format.name approximated tools[].custom,tools[].parameters",
		},
		{
			"chat to gemini", chat.API, gemini.API,
			`{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}}]},` +
				`{"role":"tool","tool_call_id":"c1","content":"r1"},{"role":"user","content":"next"}],"temperature":0,"stop":["x"],"n":2,"reasoning_effort":"high","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required","response_format":{"type":"json_object"}}`,
			`{"generationConfig":{"temperature":0,"candidateCount":2,"stopSequences":["x"],"responseMimeType":"application/json","thinkingConfig":{"thinkingLevel":"HIGH","includeThoughts":true}},"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object"}}]}],` +
				`"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},` +
				`{"role":"model","parts":[{"functionCall":{"id":"c1","name":"f","args":{"a": 1.0}},"thoughtSignature":"skip_thought_signature_validator"}]},{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"f","response":{"output":"r1"}}},{"text":"next"}]}]}`,
			"",
		},
		{
			"gemini to messages", gemini.API, messages.API,
			`{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1e3}},"thoughtSignature":"sig"},{"functionCall":{"name":"f","args":{"a":2}}}]},` +
				`{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"r1"}}},{"functionResponse":{"name":"f","response":{"x":[1]}}}]}],"generation_config":{"max_output_tokens":7,"topK":40.0},` +
				`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"NUMBER"},"b":{"type":"STRING","nullable":true}}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"safetySettings":[]}`,
			`{"model":"m","max_tokens":7,"top_k":40,"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":["string","null"]}}}}],"tool_choice":{"type":"tool","name":"f"},"system":"s",` +
				`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"call_1_0","name":"f","input":{"a":1e3}},{"type":"tool_use","id":"call_1_1","name":"f","input":{"a":2}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1_0","content":"r1"},{"type":"tool_result","tool_use_id":"call_1_1","content":"{\"x\":[1]}"}]}]}`,
			"dropped contents[].parts[].thoughtSignature,safetySettings approximated tools[].functionDeclarations[].parameters",
		},
		{
			"messages to gemini, with a signature that came back", messages.API, gemini.API,
			`{"max_tokens":7,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"llm.google:sig"},{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"no","is_error":true}]}]}`,
			`{"generationConfig":{"maxOutputTokens":7},"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"id":"t1","name":"f","args":{}},"thoughtSignature":"sig"}]},` +
				`{"role":"user","parts":[{"functionResponse":{"id":"t1","name":"f","response":{"error":"no"}}}]}]}`,
			"",
		},
		{
			"messages to responses", messages.API, responses.API,
			`{"model":"x","max_tokens":5,"system":"s","thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"llm.openai:enc"},{"type":"text","text":"ok"},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r","is_error":true}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}`,
			`{"model":"m","store":false,"include":["reasoning.encrypted_content"],"max_output_tokens":16,"reasoning":{"effort":"high","summary":"auto"},"tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}],` +
				`"input":[{"type":"message","role":"system","content":[{"type":"input_text","text":"s"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"enc"},` +
				`{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok"}]},{"type":"function_call","call_id":"t1","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"t1","output":"Error: r"}]}`,
			"approximated max_tokens,messages[].content[].is_error",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := dialect.Read(tc.from, []byte(tc.in), dialect.Call{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the request is not changed by being written
				out, err := dialect.Translate(r, tc.to, dialect.Target{Model: "m", Stream: r.Stream})
				if err != nil {
					t.Fatal(err)
				}
				if string(out.Body) != tc.out {
					t.Errorf("got  %s\nwant %s", out.Body, tc.out)
				}
				if !json.Valid(out.Body) {
					t.Error("not JSON")
				}
				var lost []string
				if names := out.Loss.Fields(tc.from, dialect.Dropped); len(names) > 0 {
					lost = append(lost, "dropped "+strings.Join(names, ","))
				}
				if names := out.Loss.Fields(tc.from, dialect.Approximated); len(names) > 0 {
					lost = append(lost, "approximated "+strings.Join(names, ","))
				}
				if got := strings.Join(lost, " "); got != tc.lost {
					t.Errorf("lost %q, want %q", got, tc.lost)
				}
			}
		})
	}
}

func TestResponses(t *testing.T) {
	const chatStream = `data: {"id":"x","model":"up","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"why"},"finish_reason":null}]}` + "\n\n" +
		`data: {"id":"x","model":"up","choices":[{"index":0,"delta":{"content":"h\u00e9"},"finish_reason":null}]}` + "\n\n" +
		`data: {"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]},"finish_reason":null}]}` + "\n\n" +
		`data: {"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":null}]}` + "\n\n" +
		`data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n" +
		`data: {"id":"x","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}` + "\n\ndata: [DONE]\n\n"
	const messagesStream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_x\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"asked\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"why\"}}\n\n" +
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\\u00e9\"}}\n\n" +
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{}}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}}\n\n" +
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":7,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":3,\"output_tokens\":4}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	const oneCall = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}}\n\n"
	head := `data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":5,"model":"asked","choices":[`
	back := head + `{"index":0,"delta":{"role":"assistant","reasoning_content":"why"},"finish_reason":null}]}` + "\n\n" +
		head + `{"index":0,"delta":{"content":"h\u00e9"},"finish_reason":null}]}` + "\n\n" +
		head + `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}` + "\n\n" +
		head + `{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]},"finish_reason":null}]}` + "\n\n" +
		head + `{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":null}]}` + "\n\n" +
		head + `{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n" +
		head + `],"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":0}}}` + "\n\ndata: [DONE]\n\n"
	whole := `{"id":"msg_x","type":"message","role":"assistant","model":"asked","content":[{"type":"thinking","thinking":"why","signature":"c2ln"},{"type":"text","text":"h\u00e9"},` +
		`{"type":"tool_use","id":"c1","name":"f","input":{"a": 1e3}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,"output_tokens":4}}`
	wholeChat := `{"id":"chatcmpl-x","object":"chat.completion","created":5,"model":"asked","choices":[{"index":0,"message":{"role":"assistant","content":"h\u00e9","refusal":null,"reasoning_content":"why",` +
		`"thinking_blocks":[{"type":"thinking","thinking":"why","signature":"c2ln"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1e3}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],` +
		`"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":0}}}`
	for _, tc := range []struct {
		name     string
		from, to *dialect.API
		stream   bool
		in, out  string
	}{
		{"a stream from chat to messages", chat.API, messages.API, true, chatStream, messagesStream},
		{"a stream from messages to chat", messages.API, chat.API, true, messagesStream, back},
		{"a stream from messages to messages", messages.API, messages.API, true, messagesStream, messagesStream},
		{"a stream from chat to responses and on to messages", chat.API, responses.API, true, chatStream, messagesStream},
		{
			"a stream from chat to gemini and on to messages", chat.API, gemini.API, true, chatStream,
			strings.Replace(messagesStream, oneCall, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\n\n", 1),
		},
		{"a response from messages to chat", messages.API, chat.API, false, whole, wholeChat},
		{"a response from messages to messages", messages.API, messages.API, false, whole, whole},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := dialect.ResponseOptions{Request: &dialect.Request{API: tc.to, StreamUsage: true}, Model: "asked", Stream: tc.stream, Created: 5}
			if tc.to == responses.API || tc.to == gemini.API { // there and on
				first := through(t, tc.from, tc.to, o, tc.in, len(tc.in))
				tc.from, tc.to, tc.in = tc.to, messages.API, first
			}
			for n := 1; n <= len(tc.in); n++ {
				if got := through(t, tc.from, tc.to, o, tc.in, n); got != tc.out {
					t.Fatalf("in pieces of %d: got\n%s\nwant\n%s", n, got, tc.out)
				}
			}
		})
	}
}

// A stream that ends early never ends as if it were complete, wherever it is cut.
func TestCutStreams(t *testing.T) {
	const stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_x\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n"
	o := dialect.ResponseOptions{Request: &dialect.Request{API: chat.API}, Stream: true}
	for n := range len(stream) + 1 {
		for to, end := range map[*dialect.API]string{chat.API: `"code":"incomplete_response"}}` + "\n\n", messages.API: "}}\n\n", responses.API: "}}\n\n"} {
			got := through(t, messages.API, to, o, stream[:n], 50)
			if !strings.HasSuffix(got, end) || strings.Contains(got, "[DONE]") || strings.Contains(got, "message_stop") || strings.Contains(got, "response.completed") || !strings.Contains(got, `"error"`) {
				if !strings.Contains(got, "malformed_response") && !strings.Contains(got, "api_error") {
					t.Fatalf("cut at %d towards %s: %s", n, to.Name, got)
				}
			}
		}
	}
}

// What is known of vendors and models changes what they are sent.
func TestHabits(t *testing.T) {
	const tool = `"tools":[{"name":"f","input_schema":{}}],`
	for _, tc := range []struct {
		host, model string
		to          *dialect.API
		in          string
		has         []string
		lacks       []string
		lost        string
	}{
		{"api.deepseek.com", "deepseek-chat", chat.API, `"max_tokens":5,"thinking":{"type":"disabled"},`, []string{`"max_tokens":5`, `"thinking":{"type":"disabled"}`}, []string{"reasoning_effort"}, ""},
		{"api.deepseek.com", "deepseek-chat", chat.API, `"output_config":{"effort":"medium"},`, []string{`"thinking":{"type":"enabled"},"reasoning_effort":"high"`}, nil, "~output_config.effort"},
		{"api.moonshot.ai", "kimi-k2.6", chat.API, `"temperature":0.5,"output_config":{"effort":"medium"},`, []string{`"thinking":{"type":"enabled"}`}, []string{"temperature", "reasoning_effort"}, "-output_config.effort -temperature"},
		{"api.moonshot.ai", "kimi-k3", chat.API, `"temperature":0.5,"output_config":{"effort":"medium"},`, []string{`"reasoning_effort":"high"`}, []string{"temperature", `"thinking"`}, "-temperature ~output_config.effort"},
		{"api.moonshot.ai", "moonshot-v1-32k", chat.API, `"temperature":0.5,`, []string{`"temperature":0.5`}, []string{"thinking"}, ""},
		{"dashscope-intl.aliyuncs.com", "qwen3", chat.API, `"top_k":3,"thinking":{"type":"enabled","budget_tokens":2000},`, []string{`"top_k":3`, `"enable_thinking":true,"thinking_budget":2000`}, []string{"reasoning_effort"}, ""},
		{"api.mistral.ai", "m", chat.API, tool + `"tool_choice":{"type":"any"},`, []string{`"tool_choice":"any"`}, nil, ""},
		{"api.openai.com", "gpt-5.4", chat.API, tool + `"output_config":{"effort":"low"},`, nil, []string{"reasoning_effort"}, "-output_config.effort"},
		{"api.openai.com", "gpt-5.6-terra", chat.API, tool + `"output_config":{"effort":"low"},`, []string{`"reasoning_effort":"none"`}, []string{`"low"`}, "-output_config.effort"},
		{"api.openai.com", "gpt-5.6-terra", chat.API, tool, []string{`"reasoning_effort":"none"`}, nil, ""},
		{"api.openai.com", "gpt-5.6-terra", chat.API, tool + `"thinking":{"type":"adaptive"},`, []string{`"reasoning_effort":"none"`}, nil, "-thinking"},
		{"api.openai.com", "gpt-5.6-terra", chat.API, tool + `"thinking":{"type":"enabled","budget_tokens":1024},`, []string{`"reasoning_effort":"none"`}, nil, "-output_config.effort ~thinking.budget_tokens"},
		{"api.openai.com", "gpt-5.6-terra", chat.API, tool + `"thinking":{"type":"disabled"},`, []string{`"reasoning_effort":"none"`}, nil, ""},
		{"api.openai.com", "gpt-5.6-terra", chat.API, `"output_config":{"effort":"low"},`, []string{`"reasoning_effort":"low"`}, nil, ""},
		{"api.openai.com", "gpt-4.1", chat.API, `"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"},`, nil, []string{"reasoning"}, "-output_config.effort"},
		{"api.openai.com", "gpt-4.1", chat.API, `"thinking":{"type":"enabled","budget_tokens":2000},`, nil, []string{"reasoning"}, "-thinking.budget_tokens"},
		{"api.openai.com", "gpt-4o", chat.API, `"thinking":{"type":"adaptive"},`, nil, []string{"reasoning"}, "-thinking"},
		{"api.openai.com", "gpt-4o", chat.API, `"thinking":{"type":"disabled"},`, nil, []string{"reasoning"}, ""},
		{"api.openai.com", "gpt-5-chat-latest", responses.API, `"output_config":{"effort":"low"},`, nil, []string{"reasoning"}, "-output_config.effort"},
		{"api.openai.com", "gpt-4.1", responses.API, `"thinking":{"type":"disabled"},`, nil, []string{"reasoning"}, ""},
		{"generativelanguage.googleapis.com", "gemini-2.0-flash", gemini.API, `"thinking":{"type":"disabled"},`, nil, []string{"thinking"}, ""},
		{"api.anthropic.com", "claude-fable-5", messages.API, tool + `"tool_choice":{"type":"any"},"thinking":{"type":"disabled"},`, []string{`"tool_choice":{"type":"any"}`}, []string{`"thinking"`}, "-output_config.effort"},
		{"api.anthropic.com", "claude-opus-5-5", messages.API, tool + `"tool_choice":{"type":"any"},"thinking":{"type":"disabled"},`, []string{`"tool_choice":{"type":"auto"}`}, []string{`"thinking"`}, "-output_config.effort ~tool_choice"},
		{"bedrock-runtime.us-east-1.amazonaws.com", "us.amazon.nova-pro-v1:0", converse.API, `"tools":[{"name":"f","input_schema":{},"cache_control":{"type":"ephemeral"}}],"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],`,
			[]string{`"system":[{"text":"x"},{"cachePoint":{"type":"default"}}]`, `"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}}]`}, nil, "-cache_control"},
		{"api.anthropic.com", "claude-sonnet-4-5", messages.API, `"max_tokens":20000,"output_config":{"effort":"high"},`, []string{`"thinking":{"type":"enabled","budget_tokens":16384}`}, []string{`"output_config"`}, "~output_config.effort"},
		{"generativelanguage.googleapis.com", "gemini-2.5-pro", gemini.API, `"thinking":{"type":"disabled"},`, []string{`"thinkingBudget":128`}, nil, "~output_config.effort"},
		{"generativelanguage.googleapis.com", "gemini-2.5-flash", gemini.API, `"thinking":{"type":"disabled"},`, []string{`"thinkingBudget":0`}, nil, ""},
	} {
		habits, err := dialect.Builtin().Find("", tc.host)
		if err != nil {
			t.Fatal(err)
		}
		r, refused := dialect.Read(messages.API, []byte(`{`+tc.in+`"messages":[{"role":"user","content":"hi"}]}`), dialect.Call{})
		if refused != nil {
			t.Fatal(refused)
		}
		out, refused := dialect.Translate(r, tc.to, dialect.Target{Model: tc.model, Profile: habits.For(tc.model)})
		if refused != nil {
			t.Fatal(refused)
		}
		for _, text := range tc.has {
			if !strings.Contains(string(out.Body), text) {
				t.Errorf("%s: no %s in %s", tc.model, text, out.Body)
			}
		}
		for _, text := range tc.lacks {
			if strings.Contains(string(out.Body), text) {
				t.Errorf("%s: %s in %s", tc.model, text, out.Body)
			}
		}
		if got := lost(messages.API, &out.Loss); got != tc.lost {
			t.Errorf("%s: lost %q, want %q", tc.model, got, tc.lost)
		}
	}
}

// lost is a loss in short: what is dropped after a minus, what is approximated after a
// tilde.
func lost(api *dialect.API, l *dialect.Loss) string {
	var out []string
	for _, name := range l.Fields(api, dialect.Dropped) {
		out = append(out, "-"+name)
	}
	for _, name := range l.Fields(api, dialect.Approximated) {
		out = append(out, "~"+name)
	}
	return strings.Join(out, " ")
}
