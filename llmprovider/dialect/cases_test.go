package dialect_test

import (
	"encoding/json"
	"net/http"
	"regexp"
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

// requestCase is a request that other gateways got wrong.
type requestCase struct {
	number  int // in the list of faults
	name    string
	from    *dialect.API
	to      []*dialect.API
	in      string
	refused string   // the field that the refusal names
	has     []string // parts of the provider's request
	lacks   []string
	lost    string // see lost
	profile dialect.Profile
}

const (
	hi   = `"messages":[{"role":"user","content":"hi"}]`
	used = `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"id\": 12345678901234567890}"}}]},{"role":"tool","tool_call_id":"c1","content":"r1"}]`
	tool = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},{"type":"function","function":{"name":"g"}}]`
)

const png = `{"inlineData":{"mimeType":"image/png","data":"AAAA"}}`

// resultWith is a conversation of Google's API with an object as the result of a call, and
// media beside it.
func resultWith(media ...string) string {
	return `"contents":[{"role":"model","parts":[{"functionCall":{"id":"c1","name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"f","response":{"a":1},"parts":[` + strings.Join(media, ",") + `]}}]}]`
}

var (
	toAll       = []*dialect.API{responses.API, messages.API, gemini.API, converse.API}
	toAnthropic = []*dialect.API{messages.API}
	toClaude    = []*dialect.API{messages.API, converse.API}
	toGoogle    = []*dialect.API{gemini.API}
	toAWS       = []*dialect.API{converse.API}
	toChat      = []*dialect.API{chat.API}
	toResponses = []*dialect.API{responses.API}
	toOpenAI    = []*dialect.API{chat.API, responses.API}
)

var requestCases = []requestCase{
	{number: 1, name: "JSON mode", from: chat.API, to: toClaude, in: hi + `,"response_format":{"type":"json_object"}`, refused: "response_format"},
	{number: 2, name: "temperature with top_p", from: chat.API, to: toAnthropic, in: hi + `,"temperature":0.5,"top_p":0.9`, has: []string{`"temperature":0.5`}, lacks: []string{"top_p"}, lost: "-top_p"},
	{number: 2, name: "top_p alone", from: chat.API, to: toAnthropic, in: hi + `,"top_p":0.9`, has: []string{`"top_p":0.9`}},
	{number: 3, name: "an image by URL", from: chat.API, to: toGoogle, in: `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]`, refused: "messages[].content[].image_url.url"},
	{number: 3, name: "an image by URL", from: chat.API, to: toAWS, in: `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]`, refused: "messages[].content[].image_url"},
	{number: 4, name: "sound", from: chat.API, to: append(toResponses, messages.API), in: `"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]`, refused: "messages[].content[].input_audio"},
	{number: 4, name: "sound", from: chat.API, to: toGoogle, in: `"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]`, has: []string{`"inlineData":{"mimeType":"audio/wav","data":"AA=="}`}},
	{number: 5, name: "several choices", from: chat.API, to: []*dialect.API{responses.API, messages.API, converse.API}, in: hi + `,"n":3`, refused: "n"},
	{number: 5, name: "several choices", from: chat.API, to: toGoogle, in: hi + `,"n":3`, has: []string{`"candidateCount":3`}},
	{number: 7, name: "a service tier", from: chat.API, to: toAnthropic, in: hi + `,"service_tier":"flex"`, lacks: []string{"service_tier"}, lost: "-service_tier"},
	{number: 7, name: "the default tier", from: chat.API, to: toAnthropic, in: hi + `,"service_tier":"default"`, has: []string{`"service_tier":"standard_only"`}, lost: "~service_tier"},
	{number: 7, name: "a service tier", from: chat.API, to: toGoogle, in: hi + `,"service_tier":"default"`, has: []string{`"serviceTier":"standard"`}},
	{number: 7, name: "a service tier", from: chat.API, to: toAWS, in: hi + `,"service_tier":"priority"`, has: []string{`"serviceTier":{"type":"priority"}`}},
	{number: 8, name: "the output cap", from: chat.API, to: toAll, in: hi + `,"max_tokens":77`, has: []string{`:77`}},
	{number: 8, name: "the newer output cap", from: chat.API, to: toAll, in: hi + `,"max_tokens":1,"max_completion_tokens":77`, has: []string{`:77`}},
	{number: 9, name: "no tools", from: chat.API, to: toAWS, in: hi + `,"tool_choice":"none",` + tool, lacks: []string{"toolConfig"}},
	{number: 9, name: "no tools after a call", from: chat.API, to: toAWS, in: used + `,"tool_choice":"none",` + tool, has: []string{`"toolConfig":{"tools":[{"toolSpec":{"name":"f"`}, lost: "~tool_choice"},
	{number: 9, name: "a call without tools", from: chat.API, to: toAWS, in: used, has: []string{`"toolConfig":{"tools":[{"toolSpec":{"name":"f"`}, lost: "~tools"},
	{number: 10, name: "some of the tools", from: chat.API, to: toClaude, in: hi + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}},` + tool, refused: "tool_choice.allowed_tools"},
	{number: 10, name: "some of the tools, one required", from: chat.API, to: toGoogle, in: hi + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}},` + tool, has: []string{`"mode":"ANY","allowedFunctionNames":["f"]`}},
	{number: 10, name: "some of the tools, none required", from: chat.API, to: toGoogle, in: hi + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}},` + tool, refused: "tool_choice.allowed_tools"},
	{number: 10, name: "a tool that is none", from: chat.API, to: append(toAll, chat.API), in: hi + `,"tool_choice":{"type":"function","function":{"name":"x"}},` + tool, refused: "tool_choice"},
	{number: 11, name: "stop sequences", from: chat.API, to: toAnthropic, in: hi + `,"stop":["a","b"]`, has: []string{`"stop_sequences":["a","b"]`}},
	{number: 11, name: "stop sequences", from: chat.API, to: toResponses, in: hi + `,"stop":"a"`, refused: "stop"},
	{number: 11, name: "five stop sequences", from: messages.API, to: toChat, in: hi + `,"max_tokens":1,"stop_sequences":["a","b","c","d","e"]`, refused: "stop_sequences"},
	{number: 12, name: "a tool's result", from: chat.API, to: toAnthropic, in: used, has: []string{`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r1"}]}`}},
	{number: 13, name: "a tool's result", from: messages.API, to: toChat, in: `"max_tokens":1,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r1"},{"type":"text","text":"next"}]}]`, has: []string{`{"role":"tool","tool_call_id":"t1","content":"r1"},{"role":"user","content":"next"}`}},
	{number: 13, name: "a tool's result", from: responses.API, to: toGoogle, in: `"input":[{"type":"function_call","call_id":"t1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"t1","output":"r1"}]`, has: []string{`{"functionResponse":{"id":"t1","name":"f","response":{"output":"r1"}}}`}},
	{number: 13, name: "an object beside an image", from: gemini.API, to: toResponses, in: resultWith(png), has: []string{`"output":[{"type":"input_text","text":"{\"a\":1}"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]`}},
	{number: 13, name: "an object beside two images", from: gemini.API, to: toResponses, in: resultWith(png, png), has: []string{`"text":"{\"a\":1}"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]`}},
	{number: 13, name: "an object alone", from: gemini.API, to: toResponses, in: resultWith(), has: []string{`"output":"{\"a\":1}"}`}},
	{number: 13, name: "an object beside images", from: gemini.API, to: toAnthropic, in: resultWith(png, png), has: []string{`"content":[{"type":"text","text":"{\"a\":1}"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"image",`}},
	{number: 13, name: "an object alone", from: gemini.API, to: toAnthropic, in: resultWith(), has: []string{`"content":"{\"a\":1}"}`}},
	{number: 22, name: "the events of a stream, kept as turns", from: gemini.API, to: toChat, in: `"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"model","parts":[{"text":""}]},` +
		`{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"1"}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"2"}}}]}]`,
		has: []string{`{"role":"assistant","content":"b","tool_calls":[{"id":"call_2_0","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"call_3_0","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_2_0","content":"1"},{"role":"tool","tool_call_id":"call_3_0","content":"2"}]`}},
	{number: 22, name: "calls in several turns", from: messages.API, to: toChat, in: `"max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{}}]},{"role":"assistant","content":[{"type":"tool_use","id":"c2","name":"f","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"1"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c2","content":"2"}]}]`,
		has: []string{`{"role":"assistant","content":"b","tool_calls":[{"id":"c1"`, `{"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"1"},{"role":"tool","tool_call_id":"c2","content":"2"}]`}},
	{number: 14, name: "an empty part, as Google's SDKs send back an empty text", from: gemini.API, to: append(toAll, chat.API), in: `"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"},{},{"thought":true},{"text":"","thought":true},{"text":""}]},{"role":"user","parts":[{"text":"c"},{}]}]`, lacks: []string{`""`, `{}`}},
	{number: 14, name: "a turn of an empty part", from: gemini.API, to: append(toAll, chat.API), in: `"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{}]},{"role":"user","parts":[{"text":"c"}]}]`, lacks: []string{`{}`}},
	{number: 14, name: "an empty text beside a call", from: chat.API, to: toAnthropic, in: used, has: []string{`{"role":"assistant","content":[{"type":"tool_use"`}},
	{number: 14, name: "an empty text beside a call", from: chat.API, to: toAWS, in: used, has: []string{`{"role":"assistant","content":[{"toolUse"`}, lost: "~tools"},
	{number: 15, name: "content as parts", from: chat.API, to: toAnthropic, in: `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`, has: []string{`[{"type":"text","text":"a"},{"type":"text","text":"b"}]`}},
	{number: 16, name: "a large integer", from: chat.API, to: []*dialect.API{messages.API, gemini.API, converse.API}, in: used + `,` + tool, has: []string{`{"id": 12345678901234567890}`}},
	{number: 16, name: "a large integer", from: messages.API, to: toOpenAI, in: `"max_tokens":99,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"b":1.0,"a":12345678901234567890}}]}]`, has: []string{`"{\"b\":1.0,\"a\":12345678901234567890}"`}},
	{number: 17, name: "a cache marker", from: chat.API, to: toAnthropic, in: `"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]}]`, has: []string{`{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}`}},
	{number: 17, name: "a cache marker", from: messages.API, to: toChat, in: `"max_tokens":1,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],` + hi, profile: dialect.Profile{CacheControl: true}, has: []string{`"cache_control":{"type":"ephemeral","ttl":"1h"}`}},
	{number: 17, name: "a cache marker that is not taken", from: messages.API, to: append(toOpenAI, gemini.API), in: `"max_tokens":99,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],` + hi, lost: "-cache_control"},
	{number: 18, name: "a marker on a tool's result", from: messages.API, to: toAWS, in: `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r1","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]`, profile: dialect.Profile{CacheControl: true}, has: []string{`"content":[{"text":"r1"}]}},{"cachePoint":{"type":"default","ttl":"1h"}}]`}, lost: "~tools"},
	{number: 19, name: "a marker on a document", from: messages.API, to: toAWS, in: `"max_tokens":1,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"cache_control":{"type":"ephemeral"}},{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`, profile: dialect.Profile{CacheControl: true}, has: []string{`{"text":"a"},{"cachePoint":{"type":"default"}},{"text":"b"}`}, lost: "~cache_control"},
	{number: 20, name: "a lifetime", from: chat.API, to: toAWS, in: `"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]`, profile: dialect.Profile{CacheControl: true}, has: []string{`[{"text":"a"},{"cachePoint":{"type":"default","ttl":"1h"}}]`}},
	{number: 20, name: "a marker for the last block", from: messages.API, to: toAWS, in: `"max_tokens":1,"cache_control":{"type":"ephemeral"},` + hi, profile: dialect.Profile{CacheControl: true}, has: []string{`[{"text":"hi"},{"cachePoint":{"type":"default"}}]`}},
	{number: 21, name: "a schema that Google's own form has not", from: chat.API, to: toGoogle, in: hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","additionalProperties":false,"properties":{"a":{"$ref":"#/$defs/A","description":"d"},"b":{"const":1}},"$defs":{"A":{"type":"string"}}}}}]`, has: []string{`"parametersJsonSchema":{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string","description":"d"},"b":{"const":1}}}`}},
	{number: 21, name: "a schema in a circle", from: chat.API, to: toGoogle, in: hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":{"$ref":"#/$defs/A","$defs":{"A":{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}}}}}}}]`, has: []string{`{"type":"object","properties":{"a":{"type":"object"}}}`}, lost: "~tools[].function.parameters"},
	{number: 22, name: "results of several calls", from: chat.API, to: toGoogle, in: `"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"r1"},{"role":"tool","tool_call_id":"c2","content":"r2"},{"role":"user","content":"next"}]`, has: []string{`{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"f","response":{"output":"r1"}}},{"functionResponse":{"id":"c2","name":"g","response":{"output":"r2"}}},{"text":"next"}]}`}},
	{number: 23, name: "ids of nine characters", from: messages.API, to: toChat, in: `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"r"}]}]`, profile: dialect.Profile{ToolIDLength: 9}, has: []string{`"tool_calls":[{"id":"JA4KBQSS4"`, `"tool_call_id":"JA4KBQSS4"`}},
	{number: 24, name: "the end user", from: messages.API, to: toResponses, in: `"max_tokens":99,"metadata":{"user_id":"u"},` + hi, has: []string{`"safety_identifier":"u"`}, lacks: []string{`"metadata"`}},
	{number: 24, name: "the end user, too long", from: messages.API, to: toResponses, in: `"max_tokens":99,"metadata":{"user_id":"` + strings.Repeat("u", 129) + `"},` + hi, lacks: []string{"uuu"}, lost: "~metadata.user_id"},
	{number: 25, name: "reasoning as an object", from: responses.API, to: toChat, in: `"input":"hi","reasoning":{"effort":"high","summary":"auto"}`, has: []string{`"reasoning_effort":"high"`}, lost: "-reasoning.summary"},
	{number: 26, name: "another vendor's reasoning", from: responses.API, to: toClaude, in: `"input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[{"type":"summary_text","text":"why"}],"encrypted_content":"e"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok"}]}]`, lacks: []string{"why"}, lost: "-input[].reasoning"},
	{number: 26, name: "its own reasoning", from: responses.API, to: toAnthropic, in: `"input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"why"}],"encrypted_content":"llm.anthropic:sig"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok"}]}]`, has: []string{`{"type":"thinking","thinking":"why","signature":"sig"},{"type":"text","text":"ok"}`}},
	{number: 27, name: "reasoning is no text", from: messages.API, to: toResponses, in: `"max_tokens":99,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"why","signature":"llm.openai:e"},{"type":"text","text":"ok"}]}]`, has: []string{`{"type":"reasoning","summary":[{"type":"summary_text","text":"why"}],"encrypted_content":"e"}`}},
	{number: 28, name: "a signature without a text", from: chat.API, to: toAnthropic, in: `"messages":[{"role":"assistant","content":"ok","thinking_blocks":[{"type":"thinking","thinking":"","signature":"sig"}]}]`, has: []string{`{"type":"thinking","thinking":"","signature":"sig"},{"type":"text","text":"ok"}`}},
	{number: 29, name: "a signature of a text", from: messages.API, to: toGoogle, in: `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"text","text":"ok"},{"type":"redacted_thinking","data":"llm.google:sig"}]}]`, has: []string{`{"text":"ok"},{"text":"","thoughtSignature":"sig"}`}},
	{number: 30, name: "the order of reasoning", from: messages.API, to: toAWS, in: `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"s1"},{"type":"redacted_thinking","data":"d"},{"type":"thinking","thinking":"","signature":"s2"},{"type":"text","text":"ok"}]}]`, profile: dialect.Profile{Vendor: "anthropic"}, has: []string{`[{"reasoningContent":{"reasoningText":{"text":"a","signature":"s1"}}},{"reasoningContent":{"redactedContent":"d"}},{"reasoningContent":{"reasoningText":{"text":"","signature":"s2"}}},{"text":"ok"}]`}},
	{number: 31, name: "earlier reasoning", from: messages.API, to: toChat, in: `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"why","signature":""},{"type":"text","text":"ok"}]}]`, profile: dialect.Profile{ReasoningName: "reasoning_content", ReplayReasoning: true}, has: []string{`"reasoning_content":"why"`}},
}

// TestRequestCases holds that requests that other gateways got wrong are right here.
func TestRequestCases(t *testing.T) {
	for _, tc := range requestCases {
		for _, to := range tc.to {
			r, refused := dialect.Read(tc.from, []byte(`{"model":"x",`+tc.in+`}`), dialect.Call{})
			var out *dialect.Translation
			if refused == nil {
				out, refused = dialect.Translate(r, to, dialect.Target{Model: "m", Profile: &tc.profile})
			}
			switch {
			case refused != nil && (tc.refused == "" || refused.Param != tc.refused || refused.Status != 400 || refused.API != tc.from.Errors):
				t.Errorf("%d %s to %s: refused with %+v", tc.number, tc.name, to.Name, refused)
			case refused == nil && tc.refused != "":
				t.Errorf("%d %s to %s: not refused: %s", tc.number, tc.name, to.Name, out.Body)
			}
			if refused != nil {
				continue
			}
			for _, text := range tc.has {
				if !strings.Contains(string(out.Body), text) {
					t.Errorf("%d %s to %s: no %s in %s", tc.number, tc.name, to.Name, text, out.Body)
				}
			}
			for _, text := range tc.lacks {
				if strings.Contains(string(out.Body), text) {
					t.Errorf("%d %s to %s: %s in %s", tc.number, tc.name, to.Name, text, out.Body)
				}
			}
			if got := lost(tc.from, &out.Loss); got != tc.lost {
				t.Errorf("%d %s to %s: lost %q, want %q", tc.number, tc.name, to.Name, got, tc.lost)
			}
			if !json.Valid(out.Body) {
				t.Errorf("%d %s to %s: %s", tc.number, tc.name, to.Name, out.Body)
			}
		}
	}
}

// responseCase is a response that other gateways got wrong.
type responseCase struct {
	number int // in the list of faults
	name   string
	from   *dialect.API
	to     []*dialect.API
	stream bool
	status int // default: 200
	in     string
	want   int      // the status; default: 200
	has    []string // parts of the client's response, in this order
	lacks  []string
	once   string
	count  bool // of tokens
	tools  []dialect.Tool
}

// event is a server-sent event; without a name it has none.
func event(name, data string) string {
	if name == "" {
		return "data: " + data + "\n\n"
	}
	return "event: " + name + "\ndata: " + data + "\n\n"
}

// typed is an event that names its type twice.
func typed(data string) string {
	var e struct{ Type string }
	_ = json.Unmarshal([]byte(data), &e)
	return event(e.Type, data)
}

func chunk(delta, finish string) string {
	if finish != "null" {
		finish = `"` + finish + `"`
	}
	return event("", `{"id":"x","choices":[{"index":0,"delta":{`+delta+`},"finish_reason":`+finish+`}]}`)
}

const done = "data: [DONE]\n\n"

var (
	toEvery      = []*dialect.API{chat.API, responses.API, messages.API, gemini.API}
	startOfOne   = typed(`{"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":43,"output_tokens":1}}}`)
	textOfOne    = typed(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`) + typed(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`) + typed(`{"type":"content_block_stop","index":0}`)
	thoughtOfOne = typed(`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`) + typed(`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"t"}}`) + typed(`{"type":"content_block_stop","index":0}`)
	parallelUse  = typed(`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}`) + typed(`{"type":"content_block_stop","index":1}`) +
		typed(`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t2","name":"g","input":{}}}`) + typed(`{"type":"content_block_stop","index":2}`)
	endOfOne  = typed(`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":61,"output_tokens":9,"cache_read_input_tokens":5,"cache_creation_input_tokens":2}}`) + typed(`{"type":"message_stop"}`)
	itemOfOne = typed(`{"type":"response.created","response":{"id":"resp_1"}}`) + typed(`{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":""}}`)
)

var responseCases = []responseCase{
	{number: 6, name: "no text before the cap", from: messages.API, to: toChat, in: `{"id":"m","content":[{"type":"thinking","thinking":"t","signature":"s"}],"stop_reason":"max_tokens","usage":{"input_tokens":1,"output_tokens":2}}`, has: []string{`"choices":[{"index":0,"message":{"role":"assistant","content":null`, `"finish_reason":"length"`}},
	{number: 6, name: "nothing before the cap", from: messages.API, to: toChat, in: `{"id":"m","content":[],"stop_reason":"max_tokens"}`, has: []string{`"choices":[{"index":0,`, `"finish_reason":"length"`}},
	{number: 33, name: "a call", from: messages.API, to: toChat, in: `{"id":"m","content":[{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}],"stop_reason":"tool_use"}`, has: []string{`"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`, `"finish_reason":"tool_calls"`}},
	{number: 34, name: "a malformed call", from: gemini.API, to: toEvery, in: `{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL"}]}`, want: 502, has: []string{"MALFORMED_FUNCTION_CALL"}},
	{number: 35, name: "a reason without content", from: gemini.API, to: toChat, in: `{"candidates":[{"finishReason":"SAFETY"}]}`, has: []string{`"content":null`, `"finish_reason":"content_filter"`}},
	{number: 35, name: "a prompt that was blocked", from: gemini.API, to: toChat, in: `{"promptFeedback":{"blockReason":"SAFETY"}}`, has: []string{`"finish_reason":"content_filter"`}},
	{number: 36, name: "the cap in a call", from: gemini.API, to: toChat, in: `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]},"finishReason":"MAX_TOKENS"}]}`, has: []string{`"finish_reason":"length"`}},
	{number: 36, name: "the cap in a call", from: chat.API, to: toAnthropic, in: `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"length"}]}`, has: []string{`"stop_reason":"max_tokens"`}},
	{number: 37, name: "the stop sequence", from: chat.API, to: toAnthropic, in: `{"choices":[{"message":{"content":"a"},"finish_reason":"stop","stop_reason":"END"}]}`, has: []string{`"stop_reason":"stop_sequence","stop_sequence":"END"`}},
	{number: 37, name: "SGLang's stop sequence", from: chat.API, to: toAnthropic, in: `{"choices":[{"message":{"content":"a"},"finish_reason":"stop","matched_stop":"END"}]}`, has: []string{`"stop_reason":"stop_sequence","stop_sequence":"END"`}},
	{number: 38, name: "only free-text tools are taken apart", from: messages.API, to: toChat, tools: []dialect.Tool{{Kind: dialect.Custom, Name: "g"}}, in: `{"id":"m","content":[{"type":"tool_use","id":"t1","name":"f","input":{"input":"x"}},{"type":"tool_use","id":"t2","name":"g","input":{"input":"y"}}],"stop_reason":"tool_use"}`, has: []string{`"function":{"name":"f","arguments":"{\"input\":\"x\"}"}`, `"custom":{"name":"g","input":"y"}`}},
	{number: 39, name: "an item of reasoning", from: messages.API, to: toResponses, in: `{"id":"m","content":[{"type":"thinking","thinking":"t","signature":"s"}],"stop_reason":"end_turn"}`, has: []string{`{"id":"rs_m_0","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":"llm.anthropic:s"}`}},
	{number: 40, name: "what the cache took", from: messages.API, to: toChat, in: `{"id":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_read_input_tokens":20,"cache_creation_input_tokens":100,"output_tokens":7}}`, has: []string{`"prompt_tokens":123,"completion_tokens":7,"total_tokens":130,"prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":100}`}},
	{number: 40, name: "what the cache took", from: converse.API, to: toAnthropic, in: `{"output":{"message":{"content":[]}},"stopReason":"end_turn","usage":{"inputTokens":16,"cacheReadInputTokens":2387,"cacheWriteInputTokens":9,"outputTokens":7}}`, has: []string{`"usage":{"input_tokens":16,"cache_creation_input_tokens":9,"cache_read_input_tokens":2387,"output_tokens":7`}},
	{number: 41, name: "counts that grow", from: messages.API, to: toResponses, stream: true, in: startOfOne + textOfOne + endOfOne, has: []string{`"usage":{"input_tokens":68,"input_tokens_details":{"cached_tokens":5,"cache_write_tokens":2},"output_tokens":9,`}},
	{number: 42, name: "what the cache took is not what it gave", from: chat.API, to: toAnthropic, in: `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":123,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":100}}}`, has: []string{`"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":20,"output_tokens":7`}},
	{number: 43, name: "thoughts", from: gemini.API, to: toChat, in: `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":40,"totalTokenCount":47}}`, has: []string{`"prompt_tokens":5,"completion_tokens":42,"total_tokens":47`, `"reasoning_tokens":40`}},
	{number: 43, name: "thoughts", from: chat.API, to: toAnthropic, in: `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":7,"completion_tokens_details":{"reasoning_tokens":5}}}`, has: []string{`"output_tokens":7,"output_tokens_details":{"thinking_tokens":5}}`}},
	{number: 44, name: "Moonshot's counts, in the choice", from: chat.API, to: toAnthropic, stream: true, in: chunk(`"content":"a"`, "null") + event("", `{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":10,"completion_tokens":4}}]}`) + done, has: []string{`"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}`}},
	{number: 44, name: "Groq's counts", from: chat.API, to: toAnthropic, stream: true, in: chunk(`"content":"a"`, "null") + event("", `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"x","usage":{"prompt_tokens":10,"completion_tokens":4}}}`) + done, has: []string{`"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}`}},
	{number: 44, name: "counts at the end", from: chat.API, to: toAnthropic, stream: true, in: chunk(`"content":"a"`, "null") + chunk("", "stop") + event("", `{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}`) + done, has: []string{`"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,"output_tokens":4}`}},
	{number: 45, name: "a whole call", from: gemini.API, to: toAnthropic, stream: true, in: event("", `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}}}]},"finishReason":"STOP"}]}`), has: []string{`"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}`, `"stop_reason":"tool_use"`}},
	{number: 46, name: "arguments at the end of a call", from: responses.API, to: toAnthropic, stream: true, in: itemOfOne + typed(`{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\"a\":1}"}`) + typed(`{"type":"response.completed","response":{"status":"completed"}}`), has: []string{`"partial_json":"{\"a\":1}"`}},
	{number: 46, name: "arguments at the end of an item", from: responses.API, to: toAnthropic, stream: true, in: itemOfOne + typed(`{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"}}`) + typed(`{"type":"response.completed","response":{"status":"completed"}}`), has: []string{`"partial_json":"{\"a\":1}"`}},
	{number: 47, name: "a text and a call at once", from: chat.API, to: toAnthropic, stream: true, in: chunk(`"content":"a","tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]`, "null") + chunk("", "tool_calls") + done, has: []string{`"text":"a"`, `"type":"tool_use","id":"c","name":"f"`}},
	{number: 48, name: "Ollama's call", from: chat.API, to: toAnthropic, stream: true, in: chunk(`"role":"assistant","content":"","tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]`, "stop") + done, has: []string{`"stop_reason":"tool_use"`}, lacks: []string{`"type":"text"`}},
	{number: 49, name: "calls at once", from: messages.API, to: toChat, stream: true, in: startOfOne + textOfOne + parallelUse + endOfOne, has: []string{`"tool_calls":[{"index":0,"id":"t1"`, `"tool_calls":[{"index":1,"id":"t2"`}},
	{number: 50, name: "Ollama's calls at once", from: chat.API, to: append(toAnthropic, responses.API), stream: true, in: chunk(`"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}]`, "null") + chunk(`"tool_calls":[{"index":0,"id":"c2","function":{"name":"f","arguments":"{\"a\":2}"}}]`, "stop") + done, has: []string{`"c1"`, `{\"a\":1}`, `"c2"`, `{\"a\":2}`}, lacks: []string{`}{`}},
	{number: 51, name: "two beginnings", from: messages.API, to: toAnthropic, stream: true, in: startOfOne + startOfOne + textOfOne + endOfOne, once: `msg_1"`},
	{number: 53, name: "the order of events", from: chat.API, to: toResponses, stream: true, in: chunk(`"content":"a"`, "stop") + done, has: []string{"event: response.created", "event: response.in_progress", "event: response.output_item.added", "event: response.content_part.added", "event: response.output_text.delta", "event: response.output_text.done", "event: response.content_part.done", "event: response.output_item.done", "event: response.completed"}},
	{number: 53, name: "the part of raw reasoning", from: messages.API, to: toResponses, stream: true, in: startOfOne + thoughtOfOne + endOfOne, has: []string{
		`{"type":"response.content_part.added","sequence_number":3,"item_id":"rs_1_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":""}}`, `{"type":"response.reasoning_text.delta","sequence_number":4,`,
		`{"type":"response.content_part.done","sequence_number":6,"item_id":"rs_1_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":"t"}}`}},
	{number: 54, name: "the ids at the end", from: chat.API, to: toResponses, stream: true, in: chunk(`"content":"a"`, "null") + chunk(`"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}]`, "tool_calls") + done, has: []string{`"item_id":"msg_x_0"`, `"item_id":"fc_x_1"`, `"output":[{"id":"msg_x_0"`, `,{"id":"fc_x_1"`}},
	{number: 55, name: "the end of a stream", from: chat.API, to: []*dialect.API{messages.API, responses.API, gemini.API}, stream: true, in: chunk(`"content":"a"`, "stop") + done, lacks: []string{"[DONE]"}},
	{number: 56, name: "Azure's first and last chunks", from: chat.API, to: toAnthropic, stream: true, in: event("", `{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}`) + chunk(`"content":"a"`, "stop") + event("", `{"choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{}}]}`) + done, has: []string{`"stop_reason":"end_turn"`, "message_stop"}},
	{number: 59, name: "a stream that breaks off", from: chat.API, to: toResponses, stream: true, in: chunk(`"content":"a"`, "null"), has: []string{"event: error", "event: response.failed"}, lacks: []string{"response.completed"}},
	{number: 60, name: "a response that failed", from: responses.API, to: toAnthropic, stream: true, in: itemOfOne + typed(`{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"no"}}}`), has: []string{"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no\"}}"}, lacks: []string{"message_stop"}},
	{number: 61, name: "an error inside", from: messages.API, to: toEvery, stream: true, in: startOfOne + textOfOne + typed(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), has: []string{"Overloaded"}, lacks: []string{"[DONE]", "message_stop", "response.completed", `"finishReason"`, `"finish_reason":"`}},
	{number: 62, name: "a stream that breaks off", from: messages.API, to: toEvery, stream: true, in: startOfOne + textOfOne, has: []string{"ended before it was complete"}, lacks: []string{"[DONE]", "message_stop", "response.completed", `"finishReason"`, `"finish_reason":"`}},
	{number: 62, name: "a stream that breaks off before its end", from: chat.API, to: toEvery, stream: true, in: chunk(`"content":"a"`, "null") + done, has: []string{"ended before it was complete"}},
	{number: 63, name: "an error after the events", from: chat.API, to: toAnthropic, stream: true, in: chunk(`"content":"a"`, "null") + `{"error":{"message":"too much","code":429}}`, has: []string{`"type":"rate_limit_error","message":"too much"`}},
	{number: 64, name: "a detail", from: chat.API, to: toEvery, status: 400, in: `{"detail":"bad"}`, want: 400, has: []string{`"bad"`}},
	{number: 65, name: "a page", from: chat.API, to: toEvery, status: 503, in: `<html><body>unavailable`, has: []string{"unavailable"}, want: 503},
	{number: 66, name: "a count that failed", from: converse.API, to: toAnthropic, count: true, status: 400, in: `{"message":"The provided model doesn't support counting tokens"}`, want: 400, has: []string{`{"type":"error","error":{"type":"invalid_request_error","message":"The provided model doesn't support counting tokens"}}`}},
	{number: 66, name: "a count", from: converse.API, to: toAnthropic, count: true, in: `{"inputTokens":12}`, has: []string{`{"input_tokens":12}`}},
	{number: 66, name: "a count", from: gemini.API, to: toResponses, count: true, in: `{"totalTokens":12}`, has: []string{`{"object":"response.input_tokens","input_tokens":12}`}},
	{number: 66, name: "a count", from: responses.API, to: toGoogle, count: true, in: `{"object":"response.input_tokens","input_tokens":12}`, has: []string{`{"totalTokens":12}`}},
	{number: 66, name: "no count", from: messages.API, to: toGoogle, count: true, in: `{}`, want: 502, has: []string{"input_tokens"}},
}

// TestResponseCases holds that responses that other gateways got wrong are right here,
// wherever they are cut (52).
func TestResponseCases(t *testing.T) {
	for _, tc := range responseCases {
		for _, to := range tc.to {
			for _, n := range []int{1, 3, 64, len(tc.in)} {
				r := dialect.NewResponse(tc.from, to, dialect.ResponseOptions{Request: &dialect.Request{API: to, StreamUsage: true, Count: tc.count, Tools: tc.tools}, Stream: tc.stream})
				head := llmprovider.Head{Status: max(tc.status, http.StatusOK), Header: make(http.Header), Stream: tc.stream}
				if tc.status == 0 {
					head.Status = http.StatusOK
				}
				r.Head(&head)
				var out strings.Builder
				pass := func(p []byte) error { out.Write(p); return nil }
				for rest := tc.in; rest != ""; rest = rest[min(n, len(rest)):] {
					if err := r.Write([]byte(rest[:min(n, len(rest))]), pass); err != nil {
						t.Fatal(err)
					}
				}
				if err := r.Finish(pass); err != nil {
					t.Fatal(err)
				}
				got := out.String()
				at := 0
				for _, text := range tc.has {
					i := strings.Index(got[at:], text)
					if i < 0 {
						t.Errorf("%d %s to %s: no %s in %s", tc.number, tc.name, to.Name, text, got)
						break
					}
					at += i
				}
				for _, text := range tc.lacks {
					if strings.Contains(got, text) {
						t.Errorf("%d %s to %s: %s in %s", tc.number, tc.name, to.Name, text, got)
					}
				}
				if tc.once != "" && strings.Count(got, tc.once) != 1 {
					t.Errorf("%d %s to %s: not one %s in %s", tc.number, tc.name, to.Name, tc.once, got)
				}
				want := tc.want
				switch {
				case want == 0:
					want = http.StatusOK
				case want == http.StatusServiceUnavailable && to == messages.API:
					want = llmprovider.StatusOverloaded
				}
				if head.Status != want {
					t.Errorf("%d %s to %s: status %d: %s", tc.number, tc.name, to.Name, head.Status, got)
				}
			}
		}
	}
}

// elsewhere are the cases that the tables do not hold, and where they are tested.
var elsewhere = map[int]string{
	32: "headers of a cloud's envelope are the kinds' business; nothing of anthropic-beta is translated",
	52: "TestResponseCases cuts every case, TestCutStreams and FuzzResponses cut at every byte",
	57: "TestKeepAlive", 58: "TestKeepAlive",
}

// Every case of the list has a test.
func TestCasesAreComplete(t *testing.T) {
	have := make(map[int]bool)
	for n := range elsewhere {
		have[n] = true
	}
	for _, tc := range requestCases {
		have[tc.number] = true
	}
	for _, tc := range responseCases {
		have[tc.number] = true
	}
	for n := 1; n <= 66; n++ {
		if !have[n] {
			t.Errorf("case %d has no test", n)
		}
	}
}

// What a provider sends to keep a client waiting reaches it in the form that its SDK
// takes: comments of every API, and the events of Anthropic's.
func TestKeepAlive(t *testing.T) {
	want := map[*dialect.API]string{
		chat.API:      `data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":0,"model":"asked","choices":[{"index":0,"delta":{},"finish_reason":null}]}` + "\n\n",
		responses.API: ": ping\n\n",
		messages.API:  "event: ping\ndata: {\"type\":\"ping\"}\n\n",
		gemini.API:    "",
	}
	for from, in := range wholeStreams(t) {
		pings := []string{": waiting\n\n", ":\n"}
		switch from {
		case converse.API: // of frames
			continue
		case messages.API:
			pings = append(pings, typed(`{"type":"ping"}`))
		}
		for to, text := range want {
			r := dialect.NewResponse(from, to, dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: true, Model: "asked"})
			r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: true})
			got := ""
			pass := func(p []byte) error { got += string(p); return nil }
			write := func(text string) string {
				got = ""
				if err := r.Write([]byte(text), pass); err != nil {
					t.Fatal(err)
				}
				return got
			}
			first, rest, _ := strings.Cut(in, "\n\n")
			write(first + "\n\n")
			id := regexp.MustCompile(`"id":"chatcmpl-[^"]*"`)
			for _, ping := range pings {
				got := id.ReplaceAllString(write(ping), `"id":"chatcmpl-x"`)
				if got = strings.Replace(got, `"role":"assistant"`, "", 1); got != text {
					t.Errorf("%s to %s: %q becomes %q, want %q", from.Name, to.Name, ping, got, text)
				}
			}
			write(rest)
			if got := write(pings[0]); got != "" && from != gemini.API { // whose streams end with the body
				t.Errorf("%s to %s: %q after the end", from.Name, to.Name, got)
			}
		}
	}
}
