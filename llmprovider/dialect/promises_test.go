package dialect_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// What is carried keeps its bytes: order of members, text of numbers, escapes, space
// and members that nobody knows.
func TestCarriedBytes(t *testing.T) {
	const object = `{"z": 1.0,"a":[1e3, 12345678901234567890],"x-new":{"\u00e9":null,"a":1,"a":2},"t":"\/"}`
	const escaped = `{\"z\": 1.0,\"a\":[1e3, 12345678901234567890],\"x-new\":{\"\\u00e9\":null,\"a\":1,\"a\":2},\"t\":\"\\/\"}`
	requests := map[*dialect.API]string{
		chat.API:      `"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"` + escaped + `"}}]},{"role":"tool","tool_call_id":"c","content":"` + escaped + `"}],"tools":[{"type":"function","function":{"name":"f","parameters":` + object + `}}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + object + `}}`,
		responses.API: `"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"` + escaped + `"},{"type":"function_call_output","call_id":"c","output":"` + escaped + `"}],"tools":[{"type":"function","name":"f","parameters":` + object + `}],"text":{"format":{"type":"json_schema","name":"n","schema":` + object + `}}`,
		messages.API:  `"max_tokens":99,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":` + object + `}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"` + escaped + `"}]}],"tools":[{"name":"f","input_schema":` + object + `}],"output_config":{"format":{"type":"json_schema","schema":` + object + `}}`,
		gemini.API:    `"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":` + object + `}}]},{"parts":[{"functionResponse":{"name":"f","response":` + object + `}}]}],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":` + object + `}]}],"generationConfig":{"responseJsonSchema":` + object + `}`,
	}
	for from, in := range requests {
		for _, to := range providers {
			r, refused := dialect.Read(from, []byte("{"+in+"}"), dialect.Call{})
			if refused != nil {
				t.Fatal(from.Name, refused)
			}
			out, refused := dialect.Translate(r, to, dialect.Target{Model: "m"})
			if refused != nil {
				t.Fatal(from.Name, to.Name, refused)
			}
			// The schema twice, the arguments and the result: four times, as an object
			// or as a text.
			if n := bytes.Count(out.Body, []byte(object)) + bytes.Count(out.Body, []byte(escaped)); n != 4 {
				t.Errorf("%s to %s: %d of 4 are the same bytes: %s", from.Name, to.Name, n, out.Body)
			}
		}
	}
}

// A conversation that goes on has the same bytes up to where it went on, so that
// providers' caches of prefixes hold.
func TestPrefixes(t *testing.T) {
	turns := map[*dialect.API][]string{
		chat.API: {
			`{"role":"system","content":"s"}`, `{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}`,
			`{"role":"assistant","content":"ok","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
			`{"role":"tool","tool_call_id":"c1","content":"r1"}`, `{"role":"tool","tool_call_id":"c2","content":"r2"}`, `{"role":"system","content":"be brief"}`,
			`{"role":"user","content":"go"}`, `{"role":"assistant","content":"done"}`, `{"role":"user","content":"thanks"}`,
		},
		messages.API: {
			`{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}`,
			`{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"ok"},{"type":"tool_use","id":"c1","name":"f","input":{}}]}`,
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r1"},{"type":"text","text":"go"}]}`,
			`{"role":"assistant","content":"done"}`, `{"role":"user","content":"thanks"}`,
		},
		gemini.API: {
			`{"parts":[{"text":"hi"}]}`, `{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"s"}]}`,
			`{"parts":[{"functionResponse":{"name":"f","response":{"a":1}}}]}`, `{"role":"model","parts":[{"text":"done"}]}`, `{"parts":[{"text":"thanks"}]}`,
		},
	}
	member := map[*dialect.API]string{chat.API: "messages", messages.API: "messages", gemini.API: "contents"}
	for from, all := range turns {
		for _, to := range providers {
			var last []byte
			for n := 1; n <= len(all); n++ {
				r, refused := dialect.Read(from, fmt.Appendf(nil, `{"model":"x","max_tokens":9,"%s":[%s]}`, member[from], strings.Join(all[:n], ",")), dialect.Call{})
				if refused != nil {
					t.Fatal(from.Name, refused)
				}
				// What the models and tools are told first does not depend on the turns;
				// Converse makes tools of the calls.
				out, refused := dialect.Translate(r, to, dialect.Target{Model: "m", Profile: &dialect.Profile{CacheControl: true}})
				if refused != nil {
					t.Fatal(from.Name, to.Name, refused)
				}
				begin := bytes.Index(out.Body, []byte(`"`+map[*dialect.API]string{chat.API: "messages", responses.API: "input", messages.API: "messages", gemini.API: "contents", converse.API: "messages"}[to]+`":[`))
				conversation := bytes.TrimRight(out.Body[begin:], "]}")
				if !bytes.HasPrefix(conversation, last) {
					t.Fatalf("%s to %s, turn %d: %s does not begin with %s", from.Name, to.Name, n, conversation, last)
				}
				last = conversation
			}
		}
	}
}

// wholeStreams are streams of providers that are complete, with a text, a call and
// counts.
func wholeStreams(t *testing.T) map[*dialect.API]string {
	t.Helper()
	frame := func(name, payload string) string { return frame(t, "event", name, payload) }
	return map[*dialect.API]string{
		chat.API: chunk(`"role":"assistant","content":"a"`, "null") + chunk(`"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]`, "null") + chunk("", "tool_calls") +
			event("", `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}`) + done,
		messages.API: startOfOne + textOfOne + parallelUse + endOfOne,
		responses.API: typed(`{"type":"response.created","response":{"id":"resp_1"}}`) +
			typed(`{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"why"}`) + typed(`{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","encrypted_content":"E"}}`) +
			typed(`{"type":"response.output_text.delta","output_index":1,"delta":"a"}`) +
			typed(`{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"a"}]}}`) +
			typed(`{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","call_id":"c","name":"f","arguments":""}}`) +
			typed(`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{}"}`) + typed(`{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","arguments":"{}"}}`) +
			typed(`{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":1,"output_tokens":2}}}`),
		gemini.API: event("", `{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`) + event("", `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]}}]}`) +
			event("", `{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}`),
		converse.API: frame("messageStart", `{"role":"assistant"}`) + frame("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a"}}`) + frame("contentBlockStop", `{"contentBlockIndex":0}`) +
			frame("contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"c","name":"f"}}}`) + frame("contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}`) +
			frame("contentBlockStop", `{"contentBlockIndex":1}`) + frame("messageStop", `{"stopReason":"tool_use"}`) + frame("metadata", `{"usage":{"inputTokens":1,"outputTokens":2}}`),
	}
}

// A stream that is cut, wherever it is, ends with an error or has all of its content.
func TestCutAnywhere(t *testing.T) {
	for from, in := range wholeStreams(t) {
		for _, to := range clients {
			o := dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: true, ID: "x", Model: "m"}
			whole := through(t, from, to, o, in, len(in))
			if strings.Contains(whole, `"error":{`) {
				t.Fatalf("%s to %s: %s", from.Name, to.Name, whole)
			}
			for n := 1; n <= 7; n++ {
				if got := through(t, from, to, o, in, n); got != whole {
					t.Fatalf("%s to %s in pieces of %d: %s instead of %s", from.Name, to.Name, n, got, whole)
				}
			}
			for n := range len(in) {
				got := through(t, from, to, o, in[:n], 97)
				ends := strings.Contains(got, "[DONE]") || strings.Contains(got, "message_stop") || strings.Contains(got, "response.completed") || strings.Contains(got, `"finishReason"`)
				failed := strings.Contains(got, `"error":{`)
				// Without its counts a response is complete all the same.
				content := strings.Count(got, `"a"`) == strings.Count(whole, `"a"`)
				if ends == failed || ends && !content {
					t.Fatalf("%s to %s cut at %d: ends %v, fails %v: %s", from.Name, to.Name, n, ends, failed, got)
				}
			}
		}
	}
}

// A stream of Google's that is an array is the same as one of events.
func TestArrays(t *testing.T) {
	in := wholeStreams(t)[gemini.API]
	var objects []string
	for e := range strings.SplitSeq(strings.TrimSuffix(in, "\n\n"), "\n\n") {
		objects = append(objects, strings.TrimPrefix(e, "data: "))
	}
	array := "[" + strings.Join(objects, "\n,\r\n") + "]"
	for _, to := range clients {
		o := dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: true, ID: "x", Model: "m"}
		want := through(t, gemini.API, to, o, in, len(in))
		for _, n := range []int{1, 7, len(array)} {
			if got := through(t, gemini.API, to, o, array, n); got != want {
				t.Errorf("%s in pieces of %d: %s", to.Name, n, got)
			}
		}
		for n := range len(array) {
			if got := through(t, gemini.API, to, o, array[:n], 50); !strings.Contains(got, `"error":{`) {
				t.Fatalf("%s cut at %d: %s", to.Name, n, got)
			}
		}
	}
}

// A lifetime of a cache marker that an API does not have is told as approximated, and
// never one that it has.
func TestLifetimesOfCacheMarkers(t *testing.T) {
	for ttl, exact := range map[string]bool{"5m": true, "1h": true, "30m": false, "12h": false} {
		r, refused := dialect.Read(responses.API, []byte(`{"model":"x","input":[{"role":"user","content":[{"type":"input_text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"`+ttl+`"}}]}]}`), dialect.Call{})
		if refused != nil {
			t.Fatal(refused)
		}
		for _, to := range []*dialect.API{chat.API, messages.API, converse.API} {
			out, refused := dialect.Translate(r, to, dialect.Target{Model: "m", Profile: &dialect.Profile{CacheControl: true}})
			if refused != nil {
				t.Fatal(to.Name, refused)
			}
			lost := out.Loss.Fields(responses.API, dialect.Approximated)
			if exact != (len(lost) == 0) || len(out.Loss.Fields(responses.API, dialect.Dropped)) > 0 || !bytes.Contains(out.Body, []byte("ephemeral")) && !bytes.Contains(out.Body, []byte("cachePoint")) {
				t.Errorf("%s to %s: %v is approximated in %s", ttl, to.Name, lost, out.Body)
			}
		}
	}
}
