package dialect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// refusalOf returns why a request cannot be translated, nil if it can.
func refusalOf(from, to *dialect.API, body string) *llmprovider.Error {
	r, refused := dialect.Read(from, []byte(body), dialect.Call{})
	if refused != nil {
		return refused
	}
	_, refused = dialect.Translate(r, to, dialect.Target{Model: "m"})
	return refused
}

// A tool that a vendor runs itself has no counterpart at another: the request is refused,
// with the field that asks for it, whichever tool it is and wherever it stands.
func TestToolsOfAVendor(t *testing.T) {
	for from, tc := range map[*dialect.API]struct {
		body   string // with the tool in place of TOOL
		tools  []string
		fields []string
	}{
		chat.API: {
			`{"model":"x","messages":[{"role":"user","content":"a"}],TOOL}`,
			[]string{`"web_search_options":{}`, `"tools":[{"type":"web_search_preview"}]`, `"tools":[{"type":"function","function":{"name":"f"}},{"type":"retrieval"}]`},
			[]string{"web_search_options", "tools"},
		},
		responses.API: {
			`{"model":"x","input":"a","tools":[{"type":"function","name":"f","parameters":{}},TOOL]}`,
			[]string{
				`{"type":"web_search"}`, `{"type":"web_search_preview"}`, `{"type":"file_search","vector_store_ids":["v"]}`, `{"type":"code_interpreter","container":{"type":"auto"}}`, `{"type":"image_generation"}`,
				`{"type":"mcp","server_label":"s","server_url":"https://example.com"}`, `{"type":"computer_use_preview"}`, `{"type":"local_shell"}`, `{"type":"shell"}`, `{"type":"apply_patch"}`, `{"type":"tool_search"}`, `{"type":"of_tomorrow"}`,
			},
			[]string{"tools[].type"},
		},
		messages.API: {
			`{"model":"x","max_tokens":5,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":{}},TOOL]}`,
			[]string{
				`{"type":"web_search_20260209","name":"web_search"}`, `{"type":"code_execution_20260120","name":"code_execution"}`, `{"type":"bash_20250124","name":"bash"}`, `{"type":"text_editor_20250728","name":"edit"}`,
				`{"type":"memory_20250818","name":"memory"}`, `{"type":"tool_search_tool_regex_20251119","name":"s"}`, `{"type":"of_tomorrow","name":"n"}`,
			},
			[]string{"tools[].type"},
		},
		gemini.API: {
			`{"contents":[{"parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]},TOOL]}`,
			[]string{`{"googleSearch":{}}`, `{"google_search":{}}`, `{"codeExecution":{}}`, `{"urlContext":{}}`, `{"computerUse":{}}`, `{"fileSearch":{}}`, `{"ofTomorrow":{}}`, `{"functionDeclarations":[{"name":"g"}],"googleSearch":{}}`},
			[]string{"tools[]"},
		},
	} {
		for _, tool := range tc.tools {
			for _, to := range providers {
				refused := refusalOf(from, to, strings.Replace(tc.body, "TOOL", tool, 1))
				if refused == nil || refused.Status != 400 || !slices.Contains(tc.fields, refused.Param) {
					t.Errorf("%s to %s: %s: %v", from.Name, to.Name, tool, refused)
				}
			}
		}
	}
}

// What names state that a provider keeps is refused with the field that does, and says
// what to send instead.
func TestStoredState(t *testing.T) {
	for more, field := range map[string]string{
		`"input":"a","previous_response_id":"r"`: "previous_response_id", `"input":"a","conversation":"c"`: "conversation", `"input":"a","prompt":{"id":"p"}`: "prompt", `"input":"a","background":true`: "background",
		`"input":[{"type":"item_reference","id":"i"}]`: "input[].item_reference",
	} {
		refused := refusalOf(responses.API, chat.API, `{"model":"x",`+more+`}`)
		if refused == nil || refused.Param != field || !strings.Contains(refused.Message, "; send the ") {
			t.Errorf("%s: %v", more, refused)
		}
	}
}

// Results whose calls cannot be told, because two calls have the same id or none has it,
// are refused with the field; an id that comes again in a later turn is not.
func TestCallsAndResults(t *testing.T) {
	forms := map[*dialect.API]struct{ body, call, result, field, id string }{
		chat.API: {`{"model":"x","messages":[{"role":"user","content":"a"}%s]}`, `,{"role":"assistant","content":null,"tool_calls":[%s]}`, `,{"role":"tool","tool_call_id":"%s","content":"r"}`,
			"messages[].tool_calls[].id", `{"id":"%s","type":"function","function":{"name":"%s","arguments":"{}"}}`},
		messages.API: {`{"model":"x","max_tokens":9,"messages":[{"role":"user","content":"a"}%s]}`, `,{"role":"assistant","content":[%s]}`, `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"%s","content":"r"}]}`,
			"messages[].content[].id", `{"type":"tool_use","id":"%s","name":"%s","input":{}}`},
		responses.API: {`{"model":"x","input":[{"role":"user","content":"a"}%s]}`, `,%s`, `,{"type":"function_call_output","call_id":"%s","output":"r"}`, "input[].call_id", `{"type":"function_call","call_id":"%s","name":"%s","arguments":"{}"}`},
		gemini.API: {`{"contents":[{"parts":[{"text":"a"}]}%s]}`, `,{"role":"model","parts":[%s]}`, `,{"role":"user","parts":[{"functionResponse":{"id":"%s","name":"f","response":{"output":"r"}}}]}`,
			"contents[].parts[].functionCall.id", `{"functionCall":{"id":"%s","name":"%s","args":{}}}`},
	}
	for api, f := range forms {
		call, result := func(id, name string) string { return fmt.Sprintf(f.id, id, name) }, func(id string) string { return fmt.Sprintf(f.result, id) }
		turn := func(calls ...string) string { return fmt.Sprintf(f.call, strings.Join(calls, ",")) }
		for _, tc := range []struct {
			name, turns string
			refused     bool
		}{
			{"two calls of one id", turn(call("c", "f"), call("c", "g")) + result("c") + result("c"), true},
			{"two calls of one id, in two turns", turn(call("c", "f")) + turn(call("c", "f")) + result("c"), true},
			{"an id again", turn(call("c", "f")) + result("c") + turn(call("c", "f")) + result("c"), false},
			{"two ids", turn(call("c", "f"), call("d", "f")) + result("c") + result("d"), false},
			{"a result without a call", result("c"), true},
		} {
			_, refused := dialect.Read(api, []byte(fmt.Sprintf(f.body, tc.turns)), dialect.Call{Model: "m"})
			if (refused != nil) != tc.refused || refused != nil && (refused.Status != 400 || refused.Param == "" || refused.API != api.Errors) {
				t.Errorf("%s, %s: %v", api.Name, tc.name, refused)
			}
			if strings.HasPrefix(tc.name, "two calls") && (refused == nil || refused.Param != f.field) {
				t.Errorf("%s, %s: %+v", api.Name, tc.name, refused)
			}
		}
	}
}
