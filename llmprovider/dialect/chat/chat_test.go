package chat

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// A request read and written again says the same. (A provider with the client's API
// gets the client's bytes; this holds reader and writer against each other.)
func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct{ name, in, out string }{
		{
			"settings", `{"messages":[{"role":"user","content":"hi"}],"temperature":0,"max_tokens":10,"stop":["a","b"],"n":2,"seed":7,"user":"u","stream":true,
				"stream_options":{"include_usage":true},"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"schema":{"b":1,"a":2},"name":"n","strict":true}}}`,
			`{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":10,"temperature":0,"seed":7,"n":2,"stop":["a","b"],"user":"u",` +
				`"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"b":1,"a":2}}},"messages":[{"role":"user","content":"hi"}]}`,
		},
		{
			"tools", `{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"h\u00e9"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}}]},
				{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"n\": 1e3}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},
				{"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"two"}]}],
				"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}},"strict":false}},{"type":"function","function":{"name":"g"}}],
				"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false}`,
			`{"model":"m","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}},"strict":false}},{"type":"function","function":{"name":"g"}}],` +
				`"parallel_tool_calls":false,"tool_choice":{"type":"function","function":{"name":"f"}},"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"h\u00e9"},` +
				`{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"n\": 1e3}"}},` +
				`{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":"two"}]}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := dialect.Read(API, []byte(tc.in), dialect.Call{})
			if err != nil {
				t.Fatal(err)
			}
			out, err := dialect.Translate(r, API, dialect.Target{Model: "m", Stream: r.Stream})
			if err != nil {
				t.Fatal(err)
			}
			if string(out.Body) != tc.out {
				t.Errorf("got  %s\nwant %s", out.Body, tc.out)
			}
			if out.Loss.Any() {
				t.Errorf("lost %v", out.Loss.Fields(API, dialect.Dropped))
			}
		})
	}
}

const wholeAnswer = `{"id":"x1","object":"chat.completion","created":5,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"h\u00e9","reasoning_content":"why","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}`

func TestWholeResponse(t *testing.T) {
	options := dialect.ResponseOptions{Request: &dialect.Request{API: API}, Model: "asked", Created: 5}
	got := through(t, options, wholeAnswer, len(wholeAnswer))
	want := `{"id":"chatcmpl-x1","object":"chat.completion","created":5,"model":"asked","choices":[{"index":0,"message":{"role":"assistant","content":"h\u00e9","refusal":null,"reasoning_content":"why",` +
		`"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],` +
		`"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
}

// through passes a response through the reader and the writer in pieces of n bytes.
func through(t *testing.T, o dialect.ResponseOptions, in string, n int) string {
	t.Helper()
	r := dialect.NewResponse(API, API, o)
	r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: o.Stream})
	var out strings.Builder
	pass := func(p []byte) error { out.Write(p); return nil }
	for len(in) > 0 {
		if err := r.Write([]byte(in[:min(n, len(in))]), pass); err != nil {
			t.Fatal(err)
		}
		in = in[min(n, len(in)):]
	}
	if err := r.Finish(pass); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// words is a stream's events in short, each with its text.
func words(t *testing.T, stream string) string {
	t.Helper()
	var out []string
	for _, event := range strings.Split(strings.TrimSpace(stream), "\n\n") {
		data := strings.TrimPrefix(event, "data: ")
		if data == "[DONE]" {
			out = append(out, "done")
			continue
		}
		var c struct {
			Error   *struct{ Code string }
			Choices []struct {
				Index int
				Delta struct {
					Content   *string
					Reasoning *string `json:"reasoning_content"`
					ToolCalls []struct {
						Index    int
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				FinishReason string `json:"finish_reason"`
			}
			Usage *struct {
				PromptTokens int `json:"prompt_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if c.Error != nil {
			out = append(out, "error "+c.Error.Code)
		}
		if c.Usage != nil {
			out = append(out, "usage")
		}
		for _, choice := range c.Choices {
			switch d := choice.Delta; {
			case choice.FinishReason != "":
				out = append(out, "finish "+choice.FinishReason)
			case d.Content != nil:
				out = append(out, "text "+*d.Content)
			case d.Reasoning != nil:
				out = append(out, "reasoning "+*d.Reasoning)
			case len(d.ToolCalls) > 0:
				call := d.ToolCalls[0]
				out = append(out, strings.TrimSpace("call"+string(rune('0'+call.Index))+" "+call.ID+" "+call.Function.Name+" "+call.Function.Arguments))
			}
		}
	}
	return strings.Join(out, ", ")
}

func chunk(delta, finish string) string {
	if finish == "" {
		finish = "null"
	} else {
		finish = `"` + finish + `"`
	}
	return `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + "}]}\n\n"
}

// Streams of several providers, cut at every byte, end in the same chunks.
func TestStreams(t *testing.T) {
	const usage = `data: {"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}` + "\n\n"
	call := func(index, id, name, arguments string) string {
		return chunk(`{"tool_calls":[{"index":`+index+`,"id":"`+id+`","type":"function","function":{"name":"`+name+`","arguments":"`+arguments+`"}}]}`, "")
	}
	more := func(index, arguments string) string {
		return chunk(`{"tool_calls":[{"index":`+index+`,"function":{"arguments":"`+arguments+`"}}]}`, "")
	}
	for _, tc := range []struct{ name, in, want string }{
		{
			"text", chunk(`{"role":"assistant","content":""}`, "") + ": ping\n\n" + chunk(`{"content":"a"}`, "") + chunk(`{"content":"\u00e9"}`, "") + chunk(`{}`, "stop") + usage + "data: [DONE]\n\n",
			"text a, text é, finish stop, usage, done",
		},
		{
			"reasoning, then text and a call in one chunk", chunk(`{"reasoning_content":"why"}`, "") +
				chunk(`{"content":"a","tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}]}`, "") + chunk(`{}`, "tool_calls"),
			"reasoning why, text a, call0 c1 f, call0   {}, finish tool_calls, done",
		},
		{
			"calls one after another", call("0", "c1", "f", "") + more("0", `{\"a\":`) + more("0", `1}`) + call("1", "c2", "g", `{`) + more("1", `}`) + chunk(`{}`, "tool_calls"),
			`call0 c1 f, call0   {"a":, call0   1}, call1 c2 g, call1   {, call1   }, finish tool_calls, done`,
		},
		{
			"calls in turn", call("0", "c1", "f", `{`) + call("1", "c2", "g", `{`) + more("0", `}`) + more("1", `}`) + chunk(`{}`, "tool_calls"),
			`call0 c1 f, call0   {, call0   }, call1 c2 g, call1   {}, finish tool_calls, done`,
		},
		{
			"Ollama's calls, all with index 0", call("0", "c1", "f", `{}`) + call("0", "c2", "f", `{}`) + chunk(`{}`, "tool_calls"),
			`call0 c1 f, call0   {}, call1 c2 f, call1   {}, finish tool_calls, done`,
		},
		{
			"DashScope's empty ids and names", call("0", "c1", "f", ``) + call("0", "", "", `{}`) + chunk(`{}`, "tool_calls"),
			`call0 c1 f, call0   {}, finish tool_calls, done`,
		},
		{
			"Azure's first chunk and its late filter results", `data: {"id":"","choices":[],"prompt_filter_results":[]}` + "\n\n" + chunk(`{"content":"a"}`, "") + chunk(`{}`, "stop") +
				`data: {"id":"","choices":[{"index":0,"finish_reason":null,"content_filter_results":{}}]}` + "\n\ndata: [DONE]\n\n",
			"text a, finish stop, done",
		},
		{"OpenRouter's double finish", chunk(`{"content":"a"}`, "") + chunk(`{}`, "stop") + chunk(`{"content":""}`, "stop"), "text a, finish stop, done"},
		{"cut short", chunk(`{"content":"a"}`, ""), "text a, error incomplete_response"},
		{"[DONE] without a reason", chunk(`{"content":"a"}`, "") + "data: [DONE]\n\n", "text a, error incomplete_response"},
		{"an error", chunk(`{"content":"a"}`, "") + `data: {"error":{"message":"x","code":"rate_limit_exceeded"}}` + "\n\n", "text a, error rate_limit_exceeded"},
		{"an error's tail", chunk(`{"content":"a"}`, "") + `{"error":{"message":"x","code":"boom"}}`, "text a, error boom"},
		{"nothing", "", "error incomplete_response"},
		{"no JSON", "data: <html>\n\n", "error malformed_response"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := dialect.ResponseOptions{Request: &dialect.Request{API: API, StreamUsage: true}, Model: "asked", Stream: true}
			for n := 1; n <= len(tc.in)+1; n++ {
				if got := words(t, through(t, o, tc.in, n)); got != tc.want {
					t.Fatalf("in pieces of %d: got  %s\nwant %s", n, got, tc.want)
				}
			}
		})
	}
}
