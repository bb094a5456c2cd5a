package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// TestFreeTextTools holds that grammars have the form of the provider's API, and that
// providers of chat completions without tools for free text get functions.
func TestFreeTextTools(t *testing.T) {
	const (
		flat     = `"format":{"type":"grammar","syntax":"lark","definition":"start: x"}`
		wrapped  = `"format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}`
		codex    = `{"input":"hi","tools":[{"type":"custom","name":"p","description":"d",%s}],"tool_choice":{"type":"custom","name":"p"}}`
		client   = `{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"custom","custom":{"name":"p","description":"d",` + wrapped + `}}]}`
		history  = `{"input":[{"type":"custom_tool_call","call_id":"c","name":"p","input":"a \"b\"\n"},{"type":"custom_tool_call_output","call_id":"c","output":"ok"}],"tools":[{"type":"custom","name":"p"}]}`
		function = `{"type":"function","function":{"name":"p","description":"d","parameters":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}}`
	)
	empty := strings.Replace(history, `,"input":"a \"b\"\n"`, "", 1)
	for name, tc := range map[string]struct {
		from, to *dialect.API
		host     string
		in       string
		refused  string
		has      []string
		lost     string
	}{
		"a grammar to OpenAI's chat": {responses.API, chat.API, "api.openai.com", strings.Replace(codex, "%s", flat, 1), "", []string{`{"type":"custom","custom":{"name":"p","description":"d",` + wrapped + `}}`, `{"type":"custom","custom":{"name":"p"}}`}, ""},
		"a grammar from chat":        {chat.API, responses.API, "api.openai.com", client, "", []string{`{"type":"custom","name":"p","description":"d",` + flat + `}`}, ""},
		"a grammar to DeepSeek":      {responses.API, chat.API, "api.deepseek.com", strings.Replace(codex, "%s", flat, 1), "tools[].format", nil, ""},
		"text to DeepSeek":           {responses.API, chat.API, "api.deepseek.com", strings.Replace(codex, "%s", `"format":{"type":"text"}`, 1), "", []string{function, `"tool_choice":{"type":"function","function":{"name":"p"}}`}, "~tools[].custom"},
		"text to any other server":   {responses.API, chat.API, "llm.example", strings.Replace(codex, "%s", `"format":{"type":"text"}`, 1), "", []string{function}, "~tools[].custom"},
		"text to Azure":              {responses.API, chat.API, "a.openai.azure.com", strings.Replace(codex, "%s", `"format":{"type":"text"}`, 1), "", []string{`{"type":"custom","custom":{"name":"p","description":"d"}}`}, ""},
		"earlier calls to DeepSeek":  {responses.API, chat.API, "api.deepseek.com", history, "", []string{`"type":"function","function":{"name":"p","arguments":"{\"input\":\"a \\\"b\\\"\\n\"}"}`, `{"role":"tool","tool_call_id":"c","content":"ok"}`}, "~tools[].custom"},
		"an empty call to DeepSeek":  {responses.API, chat.API, "api.deepseek.com", empty, "", []string{`"arguments":"{\"input\":\"\"}"`}, "~tools[].custom"},
		"an empty call to Anthropic": {responses.API, messages.API, "api.anthropic.com", empty, "", []string{`"input":{"input":""}`}, "~tools[].custom"},
		"earlier calls to OpenAI":    {responses.API, chat.API, "api.openai.com", history, "", []string{`"type":"custom","custom":{"name":"p","input":"a \"b\"\n"}`}, ""},
	} {
		habits, err := dialect.Builtin().Find("", tc.host)
		if err != nil {
			t.Fatal(err)
		}
		r, refused := dialect.Read(tc.from, []byte(tc.in), dialect.Call{})
		if refused != nil {
			t.Fatalf("%s: %v", name, refused)
		}
		out, refused := dialect.Translate(r, tc.to, dialect.Target{Model: "m", Profile: habits.For("m")})
		if refused != nil || tc.refused != "" {
			if refused == nil || refused.Param != tc.refused {
				t.Errorf("%s: refused with %+v", name, refused)
			}
			continue
		}
		for _, text := range tc.has {
			if !strings.Contains(string(out.Body), text) {
				t.Errorf("%s: no %s in %s", name, text, out.Body)
			}
		}
		if got := lost(tc.from, &out.Loss); got != tc.lost || !json.Valid(out.Body) {
			t.Errorf("%s: lost %q, want %q: %s", name, got, tc.lost, out.Body)
		}
	}
}

// Calls of the function that stands for a free-text tool reach the client as calls of that
// tool, whole and streamed, wherever the stream is cut.
func TestFreeTextCalls(t *testing.T) {
	const call = `"type":"function","function":{"name":"p","arguments":`
	piece := func(index, arguments string) string {
		return chunk(`"tool_calls":[{"index":`+index+`,"function":{"arguments":`+arguments+`}}]`, "null")
	}
	begin := func(index, name string) string {
		return chunk(`"tool_calls":[{"index":`+index+`,"id":"c`+index+`","type":"function","function":{"name":"`+name+`","arguments":""}}]`, "null")
	}
	end := chunk("", "tool_calls") + done
	whole := func(arguments string) string {
		return `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c0",` + call + arguments + `}}]},"finish_reason":"tool_calls"}]}`
	}
	for name, tc := range map[string]struct {
		stream bool
		in     string
		has    []string
	}{
		"whole":             {false, whole(`"{\"input\":\"a \\\"b\\\"\\n\"}"`), []string{`"call_id":"c0","name":"p","input":"a \"b\"\n"`}},
		"an object":         {false, whole(`{"input":"x"}`), []string{`"call_id":"c0","name":"p","input":"x"`}},
		"no object":         {false, whole(`"*** Begin"`), []string{`"call_id":"c0","name":"p","input":"*** Begin"`}},
		"a custom one":      {false, `{"choices":[{"message":{"tool_calls":[{"id":"c0","type":"custom","custom":{"name":"p","input":"{\"input\":1}"}}]},"finish_reason":"tool_calls"}]}`, []string{`"name":"p","input":"{\"input\":1}"`}},
		"streamed":          {true, begin("0", "p") + piece("0", `"{\"inp"`) + piece("0", `"ut\": \"a \\\"b\\\"\\n\"}"`) + end, []string{`"type":"response.custom_tool_call_input.delta"`, `"delta":"a \"b\"\n"`, `"call_id":"c0","name":"p","input":"a \"b\"\n"`}},
		"streamed, no JSON": {true, begin("0", "p") + piece("0", `"*** "`) + piece("0", `"Begin"`) + end, []string{`"call_id":"c0","name":"p","input":"*** Begin"`}},
		"two at once": {true, begin("0", "p") + begin("1", "p") + piece("0", `"{\"input\":"`) + piece("1", `"{\"input\":\"y\"}"`) + piece("0", `"\"x\"}"`) + end,
			[]string{`"call_id":"c0","name":"p","input":"x"`, `"call_id":"c1","name":"p","input":"y"`}},
		"a function after it": {true, begin("0", "p") + piece("0", `"{\"input\":\"x\"}"`) + begin("1", "f") + piece("1", `"{\"input\":\"y\"}"`) + end,
			[]string{`"call_id":"c0","name":"p","input":"x"`, `"arguments":"{\"input\":\"y\"}"`}},
	} {
		for _, n := range []int{1, 7, len(tc.in)} {
			o := dialect.ResponseOptions{Request: &dialect.Request{API: responses.API, Source: []byte(`{}`), Tools: []dialect.Tool{{Kind: dialect.Custom, Name: "p"}, {Kind: dialect.Function, Name: "f"}}}, Stream: tc.stream}
			out := through(t, chat.API, responses.API, o, tc.in, n)
			at := 0
			for _, text := range tc.has {
				i := strings.Index(out[at:], text)
				if i < 0 {
					t.Errorf("%s by %d: no %s in %s", name, n, text, out)
					break
				}
				at += i
			}
		}
	}
}
