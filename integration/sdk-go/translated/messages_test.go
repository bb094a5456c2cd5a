package translated_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

func question() anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: "claude-sonnet-5", MaxTokens: 1000,
		System:   []anthropic.TextBlockParam{{Text: "You watch the tide."}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(`When does it turn? 潮水 <&> "then"`))},
	}
}

// message reads a stream to its end, as the SDK puts it together.
func message(t *testing.T, client *anthropic.Client, params anthropic.MessageNewParams, options ...option.RequestOption) (*anthropic.Message, error) {
	t.Helper()
	stream := client.Messages.NewStreaming(t.Context(), params, options...)
	defer stream.Close()
	var whole anthropic.Message
	stopped := false
	for stream.Next() {
		if stopped {
			t.Errorf("an event after message_stop: %s", stream.Current().RawJSON())
		}
		if err := whole.Accumulate(stream.Current()); err != nil {
			t.Errorf("%v: %s", err, stream.Current().RawJSON())
		}
		stopped = stream.Current().Type == "message_stop"
	}
	if stream.Err() == nil && !stopped {
		t.Error("the stream ended without message_stop and without an error")
	}
	return &whole, stream.Err()
}

func textOf(m *anthropic.Message) string {
	var text strings.Builder
	for _, block := range m.Content {
		if block.Type == "text" {
			text.WriteString(block.Text)
		}
	}
	return text.String()
}

// Completions in the shapes of all vendors are messages for the SDK, whether it asks for
// a stream or not and whatever the provider gives.
func TestMessagesFromAllVendors(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	reasons := map[string]anthropic.StopReason{
		"stop": "end_turn", "eos": "end_turn", "length": "max_tokens", "model_length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use", "content_filter": "refusal",
	}
	for _, f := range completions(t) {
		for _, streamed := range []bool{true, false} {
			t.Run(f.ID+map[bool]string{true: " streamed", false: ""}[streamed], func(t *testing.T) {
				s.Script(fakeprovider.Always(f.Reply()))
				ask := func() (*anthropic.Message, error) { return client.Messages.New(t.Context(), question()) }
				if streamed {
					ask = func() (*anthropic.Message, error) { return message(t, client, question()) }
				}
				m, err := ask()
				if f.Want.StreamError || f.Name == "error-in-200.json" {
					if err == nil {
						t.Errorf("no error: %s", m.RawJSON())
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if f.Want.Content != "" && textOf(m) != f.Want.Content {
					t.Errorf("text %q, want %q", textOf(m), f.Want.Content)
				}
				if want := reasons[f.Want.FinishReason]; f.Want.FinishReason != "" && m.StopReason != want {
					t.Errorf("stop reason %q, want %q for %q", m.StopReason, want, f.Want.FinishReason)
				}
				if m.Model != "claude-sonnet-5" || m.Role != "assistant" || m.Type != "message" || m.ID == "" {
					t.Errorf("%s", m.RawJSON())
				}
				if u := f.Want.Usage; u != nil && (m.Usage.InputTokens+m.Usage.CacheReadInputTokens+m.Usage.CacheCreationInputTokens != u.Prompt || m.Usage.OutputTokens != u.Completion || m.Usage.CacheReadInputTokens != u.Cached) {
					t.Errorf("usage %+v, want %+v", m.Usage, u)
				} else if u != nil && m.Usage.OutputTokensDetails.ThinkingTokens != u.Reasoning {
					t.Errorf("thinking tokens %d, want %d", m.Usage.OutputTokensDetails.ThinkingTokens, u.Reasoning)
				}
				sent(t, s)
			})
		}
	}
}

// Neither schema is what an encoder would write. The SDK itself would write spaces and
// signs of HTML otherwise.
const (
	tideSchema = `{"type":"object","required":["harbour"],"properties":{"zone":{"type":"integer","default":1e3,"minimum":-0.0},"harbour":{"type":"string","description":"caf\u00e9 \/ pier"}},"additionalProperties":false}`
	windSchema = `{"properties":{},"type":"object"}`
)

// A model calls two tools at once, their results and one more question go back; what the
// provider gets is what it gave.
func TestMessagesTools(t *testing.T) {
	const tide, wind = `{"zone":12345678901234567890,"harbour":"caf\u00e9 \/ 潮","x":1.0}`, `{}`
	s, url := serve(t)
	client := claude(url)
	quote := func(text string) string { q, _ := json.Marshal(text); return string(q) }
	call := func(i int, id, name, arguments string) string {
		return `{"index":` + string(rune('0'+i)) + `,"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":` + quote(arguments) + `}}`
	}
	for name, first := range map[string]fakeprovider.Reply{
		"plain": completion("tool_calls", `{"role":"assistant","content":null,"tool_calls":[`+call(0, "call_1", "get_tide", tide)+`,`+call(1, "call_2", "get_wind", wind)+`]}`),
		"streamed": chunks("tool_calls", `{"role":"assistant","content":null}`, `{"tool_calls":[`+call(0, "call_1", "get_tide", "")+`]}`,
			`{"tool_calls":[{"index":0,"function":{"arguments":`+quote(tide[:9])+`}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":`+quote(tide[9:])+`}}]}`,
			`{"tool_calls":[`+call(1, "call_2", "get_wind", "")+`]}`, `{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}`),
		"whole calls in one chunk": chunks("tool_calls", `{"role":"assistant","tool_calls":[`+call(0, "call_1", "get_tide", tide)+`,`+call(1, "call_2", "get_wind", "")+`]}`),
		"index 0 for each":         chunks("stop", `{"role":"assistant","tool_calls":[`+call(0, "call_1", "get_tide", tide)+`]}`, `{"tool_calls":[`+call(0, "call_2", "get_wind", wind)+`]}`),
	} {
		t.Run(name, func(t *testing.T) {
			s.Script(fakeprovider.Sequence(first, completion("stop", `{"role":"assistant","content":"At six."}`)))
			params := question()
			params.Tools = []anthropic.ToolUnionParam{
				{OfTool: &anthropic.ToolParam{Name: "get_tide", Description: anthropic.String("the tide"), InputSchema: schema(tideSchema)}},
				{OfTool: &anthropic.ToolParam{Name: "get_wind", InputSchema: schema(windSchema)}},
			}
			params.ToolChoice = anthropic.ToolChoiceUnionParam{OfAny: &anthropic.ToolChoiceAnyParam{}}
			ask := func() (*anthropic.Message, error) { return client.Messages.New(t.Context(), params) }
			if name != "plain" {
				ask = func() (*anthropic.Message, error) { return message(t, client, params) }
			}
			m, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			if m.StopReason != "tool_use" || len(m.Content) != 2 {
				t.Fatalf("%s: %+v", m.StopReason, m.Content)
			}
			for i, want := range []struct{ id, name, input string }{{"call_1", "get_tide", tide}, {"call_2", "get_wind", wind}} {
				if b := m.Content[i]; b.Type != "tool_use" || b.ID != want.id || b.Name != want.name || string(b.Input) != want.input {
					t.Errorf("block %d: %s %s %s(%s), want %+v", i, b.Type, b.ID, b.Name, b.Input, want)
				}
			}
			before := sent(t, s)
			if got := at(t, before.Body, "tools", 0, "function", "parameters"); got != tideSchema {
				t.Errorf("schema %s", got)
			}
			if got := at(t, before.Body, "tools", 1, "function", "parameters"); got != windSchema {
				t.Errorf("schema %s", got)
			}
			if got := at(t, before.Body, "tool_choice"); got != `"required"` {
				t.Errorf("tool choice %s", got)
			}

			wrong := anthropic.NewToolResultBlock("call_2", "no such station", true)
			params.Messages = append(params.Messages, m.ToParam(), anthropic.NewUserMessage(
				anthropic.NewToolResultBlock("call_1", `{"metres": 3.20}`, false), wrong, anthropic.NewTextBlock("Hurry.")))
			if m, err = client.Messages.New(t.Context(), params); err != nil || textOf(m) != "At six." {
				t.Fatal(err)
			}
			after := sent(t, s)
			if name == "plain" { // stream and stream_options differ else
				extends(t, before, after)
			}
			for i, want := range []string{tide, wind} {
				if got := at(t, after.Body, "messages", 2, "tool_calls", i, "function", "arguments"); got != quote(want) && unquoted(t, got) != want {
					t.Errorf("arguments came back as %s, want %s", got, quote(want))
				}
			}
			for i, want := range []string{`"call_1"`, `"call_2"`} {
				if got := at(t, after.Body, "messages", 3+i, "tool_call_id"); got != want {
					t.Errorf("result %d is of %s", i, got)
				}
			}
			if got := unquoted(t, at(t, after.Body, "messages", 3, "content")); got != `{"metres": 3.20}` {
				t.Errorf("result %s", got)
			}
			if got := at(t, after.Body, "messages", 4, "content"); !strings.Contains(got, "no such station") || !strings.Contains(strings.ToLower(got), "error") {
				t.Errorf("a failed call's result is %s", got)
			}
			if got := at(t, after.Body, "messages", 5); !strings.Contains(got, "Hurry.") || !strings.Contains(got, `"user"`) {
				t.Errorf("then comes %s", got)
			}
		})
	}
}

// schema is a tool's schema whose bytes the SDK sends as they are.
func schema(text string) anthropic.ToolInputSchemaParam {
	return param.Override[anthropic.ToolInputSchemaParam](json.RawMessage(text))
}

func unquoted(t *testing.T, document string) (text string) {
	t.Helper()
	if err := json.Unmarshal([]byte(document), &text); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	return text
}

// Reasoning is thinking for the SDK, and returns to a vendor that reads it.
func TestMessagesReasoning(t *testing.T) {
	for _, vendor := range []string{"none", "deepseek", "moonshot"} {
		t.Run(vendor, func(t *testing.T) { testReasoning(t, vendor) })
	}
}

func testReasoning(t *testing.T, vendor string) {
	s, url := serve(t, "profile "+vendor)
	client := claude(url)
	for _, member := range []string{"reasoning_content", "reasoning"} {
		for name, first := range map[string]fakeprovider.Reply{
			"plain": completion("tool_calls", `{"role":"assistant","`+member+`":"The tide\n\"turns\".","content":"I look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_tide","arguments":"{}"}}]}`),
			"streamed": chunks("tool_calls", `{"role":"assistant","content":""}`, `{"`+member+`":"The tide\n"}`, `{"`+member+`":"\"turns\"."}`, `{"content":"I "}`, `{"content":"look."}`,
				`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_tide","arguments":"{}"}}]}`),
		} {
			t.Run(member+" "+name, func(t *testing.T) {
				s.Script(fakeprovider.Sequence(first, completion("stop", `{"role":"assistant","content":"At six."}`)))
				params := question()
				params.Thinking = anthropic.ThinkingConfigParamOfEnabled(2000)
				params.MaxTokens = 4000
				params.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "get_tide", InputSchema: schema(windSchema)}}}
				m, err := message(t, client, params)
				if err != nil {
					t.Fatal(err)
				}
				if len(m.Content) != 3 || m.Content[0].Type != "thinking" || m.Content[0].Thinking != "The tide\n\"turns\"." || m.Content[1].Text != "I look." || m.Content[2].Name != "get_tide" {
					t.Fatalf("%+v", m.Content)
				}
				if m.Usage.OutputTokensDetails.ThinkingTokens != 7 || m.Usage.OutputTokens != 20 {
					t.Errorf("usage %+v", m.Usage)
				}
				before := sent(t, s)
				if vendor == "none" && len(at(t, before.Body, "reasoning_effort")) < 4 || vendor != "none" && at(t, before.Body, "thinking", "type") != `"enabled"` {
					t.Errorf("the model is not told to think: %s", before.Body)
				}
				params.Messages = append(params.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock("call_1", "six", false)))
				var res *http.Response
				if _, err := message(t, client, params, option.WithResponseInto(&res)); err != nil {
					t.Fatal(err)
				}
				after := sent(t, s)
				extends(t, before, after)
				if vendor != "none" {
					if got := at(t, after.Body, "messages", 2, "reasoning_content"); unquoted(t, got) != "The tide\n\"turns\"." {
						t.Errorf("reasoning came back as %s", got)
					}
					return
				}
				if got := at(t, after.Body, "messages", 2); bytes.Contains(after.Body, []byte("turns")) || !strings.Contains(got, "I look.") {
					t.Errorf("reasoning went to a vendor of whom nothing is known: %s", got)
				}
				if got := res.Header.Get("Llm-Dropped"); !strings.Contains(got, "thinking") {
					t.Errorf("dropped: %q", got)
				}
			})
		}
	}
}

func TestMessagesImagesAndStructure(t *testing.T) {
	s, url := serve(t)
	client := claude(url)
	const png = "iVBORw0KGgoAAAANSUhEUg=="
	params := question()
	params.Model = "qwen-3" // Claude's models take no sampling
	params.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(
		anthropic.NewTextBlock("What is it?"), anthropic.NewImageBlockBase64("image/png", png),
		anthropic.NewImageBlock(anthropic.URLImageSourceParam{URL: "https://example.com/a b?c=1&d=2"}),
	)}
	params.OutputConfig = anthropic.OutputConfigParam{Format: anthropic.JSONOutputFormatParam{Schema: map[string]any{"type": "object", "properties": map[string]any{"a": map[string]any{"type": "string"}}}}}
	params.Temperature, params.TopP, params.TopK = anthropic.Float(0), anthropic.Float(0.5), anthropic.Int(5)
	params.StopSequences = []string{"\n\nEND"}
	var res *http.Response
	s.Script(fakeprovider.Always(completion("stop", `{"role":"assistant","content":"{\"a\":\"b\"}"}`)))
	m, err := client.Messages.New(t.Context(), params, option.WithResponseInto(&res))
	if err != nil || textOf(m) != `{"a":"b"}` {
		t.Fatal(m, err)
	}
	body := sent(t, s).Body
	for _, c := range []struct {
		want string
		path []any
	}{
		{`"data:image/png;base64,` + png + `"`, []any{"messages", 1, "content", 1, "image_url", "url"}},
		{`"https://example.com/a b?c=1\u0026d=2"`, []any{"messages", 1, "content", 2, "image_url", "url"}},
		{`"json_schema"`, []any{"response_format", "type"}},
		{`{"properties":{"a":{"type":"string"}},"type":"object"}`, []any{"response_format", "json_schema", "schema"}},
		{`["\n\nEND"]`, []any{"stop"}},
		{`0`, []any{"temperature"}},
		{`0.5`, []any{"top_p"}},
	} {
		if got := at(t, body, c.path...); got != c.want && !sameJSON(got, c.want) {
			t.Errorf("%v is %s, want %s", c.path, got, c.want)
		}
	}
	if got := res.Header.Get("Llm-Dropped"); got != "top_k" {
		t.Errorf("dropped: %q", got)
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}
