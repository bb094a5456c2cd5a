package dialect_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// toolNames are what tools are called at an API, wherever its request names them.
var toolNames = regexp.MustCompile(`"name":"(mcp__[^"]*)"|"allowedFunctionNames":\["(mcp__[^"]*)"\]`)

// TestLongToolNames has tools whose names are longer than a provider's API takes, as those of
// MCP servers can be: it gets short ones, the same for each tool in every place and in every
// request, and the client gets its own back.
func TestLongToolNames(t *testing.T) {
	prefix := "mcp__" + strings.Repeat("server.", 20)
	first, second := prefix+"one", prefix+"two"
	const input = `{\"input\":\"x\"}`
	// Of each client's API: a request for FIRST, which it must call and has called, and
	// whose tools TOOLS are.
	clients := map[*dialect.API]struct{ body, tool string }{
		chat.API: {`{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"FIRST","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}],` +
			`"tools":[TOOLS],"tool_choice":{"type":"function","function":{"name":"FIRST"}}}`, `{"type":"function","function":{"name":"NAME","parameters":{"type":"object"}}}`},
		responses.API: {`{"model":"m","input":[{"role":"user","content":"a"},{"type":"custom_tool_call","call_id":"c","name":"FIRST","input":"x"},{"type":"custom_tool_call_output","call_id":"c","output":"r"}],` +
			`"tools":[TOOLS],"tool_choice":{"type":"custom","name":"FIRST"}}`, `{"type":"custom","name":"NAME"}`},
		messages.API: {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"FIRST","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"r"}]}],` +
			`"tools":[TOOLS],"tool_choice":{"type":"tool","name":"FIRST"}}`, `{"name":"NAME","input_schema":{"type":"object"}}`},
		gemini.API: {`{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"c","name":"FIRST","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"c","name":"FIRST","response":{"output":"r"}}}]}],` +
			`"tools":[{"functionDeclarations":[TOOLS]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["FIRST"]}}}`, `{"name":"NAME","parametersJsonSchema":{"type":"object"}}`},
	}
	// Of each provider's: the length of a name, how often the request names FIRST, and
	// responses that call NAME, whole and streamed.
	providers := map[*dialect.API]struct {
		most, times   int
		whole, stream string
	}{
		chat.API: {64, 3, `{"id":"1","choices":[{"index":0,"message":{"tool_calls":[{"id":"d","type":"function","function":{"name":"NAME","arguments":"` + input + `"}}]},"finish_reason":"tool_calls"}]}`,
			event("", `{"id":"1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"d","type":"function","function":{"name":"NAME","arguments":"`+input+`"}}]},"finish_reason":"tool_calls"}]}`) + "data: [DONE]\n\n"},
		responses.API: {64, 3, `{"id":"1","object":"response","status":"completed","output":[{"type":"function_call","id":"i","call_id":"d","name":"NAME","arguments":"` + input + `","status":"completed"}]}`,
			typed(`{"type":"response.created","response":{"id":"1"}}`) +
				typed(`{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"i","call_id":"d","name":"NAME","arguments":""}}`) +
				typed(`{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"i","call_id":"d","name":"NAME","arguments":"`+input+`"}}`) +
				typed(`{"type":"response.completed","response":{"id":"1","status":"completed"}}`)},
		messages.API: {128, 3, `{"id":"1","type":"message","content":[{"type":"tool_use","id":"d","name":"NAME","input":{"input":"x"}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}`,
			typed(`{"type":"message_start","message":{"id":"1","usage":{"input_tokens":1}}}`) + typed(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"d","name":"NAME","input":{}}}`) +
				typed(`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"`+input+`"}}`) + typed(`{"type":"content_block_stop","index":0}`) +
				typed(`{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}}`) + typed(`{"type":"message_stop"}`)},
		gemini.API: {128, 4, `{"responseId":"1","candidates":[{"content":{"parts":[{"functionCall":{"id":"d","name":"NAME","args":{"input":"x"}}}]},"finishReason":"STOP"}]}`,
			event("", `{"responseId":"1","candidates":[{"content":{"parts":[{"functionCall":{"id":"d","name":"NAME","args":{"input":"x"}}}]},"finishReason":"STOP"}]}`)},
		converse.API: {64, 3, `{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"d","name":"NAME","input":{"input":"x"}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":1}}`, ""},
	}
	for from, client := range clients {
		for to, provider := range providers {
			if from == to {
				continue
			}
			translated := func(names ...string) (*dialect.Request, *dialect.Translation) {
				tools := make([]string, len(names))
				for i, name := range names {
					tools[i] = strings.ReplaceAll(client.tool, "NAME", name)
				}
				r, refused := dialect.Read(from, []byte(strings.NewReplacer("FIRST", first, "TOOLS", strings.Join(tools, ",")).Replace(client.body)), dialect.Call{Model: "m"})
				if refused != nil {
					t.Fatal(from.Name, refused)
				}
				sent, refused := dialect.Translate(r, to, dialect.Target{Model: "m"})
				if refused != nil {
					t.Fatalf("%s to %s: %v", from.Name, to.Name, refused)
				}
				return r, sent
			}
			// times counts the names that a request has, which must not be too long.
			times := func(sent *dialect.Translation) map[string]int {
				found := make(map[string]int)
				for _, m := range toolNames.FindAllStringSubmatch(string(sent.Body), -1) {
					name := m[1] + m[2]
					if found[name]++; len(name) > provider.most {
						t.Errorf("%s to %s: the name %s has %d bytes", from.Name, to.Name, name, len(name))
					}
				}
				return found
			}
			request, sent := translated(first, second, "mcp__short")
			short, other := "", ""
			for name, n := range times(sent) {
				switch {
				case name == "mcp__short":
				case n == 1:
					other = name
				case n == provider.times:
					short = name
				}
			}
			if short == "" || other == "" {
				t.Fatalf("%s to %s: %s", from.Name, to.Name, sent.Body)
			}
			if got := lost(from, &sent.Loss); !strings.Contains(got, "name") {
				t.Errorf("%s to %s: lost %q", from.Name, to.Name, got)
			}
			if _, again := translated(second, "mcp__new", first); times(again)[short] != provider.times || times(again)[other] != 1 {
				t.Errorf("%s to %s: no %s and %s in %s", from.Name, to.Name, short, other, again.Body)
			}
			if _, taken := translated(first, short); times(taken)[short] != 1 || len(times(taken)) != 2 {
				t.Errorf("%s to %s: two tools are %s in %s", from.Name, to.Name, short, taken.Body)
			}
			for _, stream := range []bool{false, true} {
				in := provider.whole
				if stream {
					in = provider.stream
				}
				if in == "" {
					continue
				}
				for called, name := range map[string]string{short: first, other: second, "mcp__short": "mcp__short", "mcp__unknown": "mcp__unknown"} {
					o := dialect.ResponseOptions{Request: request, Model: "m", Stream: stream, ID: "r"}
					out := through(t, to, from, o, strings.ReplaceAll(in, "NAME", called), len(in))
					if !strings.Contains(out, `"name":"`+name+`"`) || called != name && strings.Contains(out, called) {
						t.Errorf("%s to %s, stream %v: %s called, %s", to.Name, from.Name, stream, called, out)
					}
					if from == responses.API && called != "mcp__unknown" && to != chat.API && to != responses.API && !strings.Contains(out, `"custom_tool_call"`) {
						t.Errorf("%s to %s, stream %v: no call of a free-text tool in %s", to.Name, from.Name, stream, out)
					}
				}
			}
		}
	}
}
