package dialect_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
)

// TestSchemasForClaude holds that a schema which Anthropic's models must keep to has what
// their API demands and nothing that it refuses, and is not touched otherwise.
func TestSchemasForClaude(t *testing.T) {
	chatFormat := func(schema string) string {
		return `{"response_format":{"type":"json_schema","json_schema":{"schema":` + schema + `}},"messages":[{"role":"user","content":"hi"}]}`
	}
	chatTool := func(strict, schema string) string {
		return `{"tools":[{"type":"function","function":{"name":"f","strict":` + strict + `,"parameters":` + schema + `}}],"messages":[{"role":"user","content":"hi"}]}`
	}
	for _, tc := range []struct {
		from       *dialect.API
		in         string
		want, lost string // want is the schema, or the field that is refused
	}{
		{gemini.API, `{"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"OBJECT","properties":{"a":{"type":"ARRAY","items":{"type":"OBJECT","properties":{"b":{"type":"STRING"}}}}}}},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
			`"schema":{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":false}}},"additionalProperties":false}`, ""},
		{chat.API, chatFormat(`{"type":"object","properties":{"minimum":{"type":["integer","null"],"minimum":1,"description":"d"}}}`),
			`"schema":{"type":"object","properties":{"minimum":{"type":["integer","null"],"description":"d"}},"additionalProperties":false}`, "~response_format"},
		{chat.API, chatFormat(`{"$defs":{"x":{"properties":{}}},"anyOf":[{"$ref":"#/$defs/x"},{"type":"array","minItems":2,"maxItems":3,"items":{"type":"string","maxLength":3}}]}`),
			`"schema":{"$defs":{"x":{"properties":{},"additionalProperties":false}},"anyOf":[{"$ref":"#/$defs/x"},{"type":"array","items":{"type":"string"}}]}`, "~response_format"},
		{chat.API, chatFormat(`{"type":"object", "additionalProperties":false, "properties":{"a":{"type":"array","minItems":1, "enum":[{"minimum":1}]}}}`),
			`"schema":{"type":"object", "additionalProperties":false, "properties":{"a":{"type":"array","minItems":1, "enum":[{"minimum":1}]}}}`, ""},
		{chat.API, chatFormat(`{"type":"object","properties":{"a":{"type":"object","additionalProperties":{"type":"string"}}}}`), "response_format", ""},
		{chat.API, chatTool("true", `{"type":"object","properties":{"a":{"type":"number","maximum":2}}}`),
			`"input_schema":{"type":"object","properties":{"a":{"type":"number"}},"additionalProperties":false}`, "~tools[].function.parameters"},
		{chat.API, chatTool("false", `{"type":"object","properties":{"a":{"type":"number","maximum":2}}}`),
			`"input_schema":{"type":"object","properties":{"a":{"type":"number","maximum":2}}}`, ""},
	} {
		r, refused := dialect.Read(tc.from, []byte(tc.in), dialect.Call{})
		if refused != nil {
			t.Fatal(tc.in, refused)
		}
		out, refused := dialect.Translate(r, messages.API, dialect.Target{Model: "claude-opus-4-8"})
		if refused != nil {
			if refused.Param != tc.want {
				t.Errorf("%s: %v", tc.in, refused)
			}
			continue
		}
		if !strings.Contains(string(out.Body), tc.want) {
			t.Errorf("%s: %s, want %s", tc.in, out.Body, tc.want)
		}
		if got := lost(tc.from, &out.Loss); got != tc.lost {
			t.Errorf("%s: lost %q, want %q", tc.in, got, tc.lost)
		}
	}
}
