package dialect_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// emptyCallsOf returns, for each provider's API, a response of two calls without arguments
// as it comes whole and as it is streamed. It ends as the API says of a model that waits
// for results or, if cut is set, of one that came to its cap.
func emptyCallsOf(t *testing.T, cut bool) map[*dialect.API][2]string {
	t.Helper()
	frame := func(name, payload string) string { return frame(t, "event", name, payload) }
	finish, stop, status, incomplete := "tool_calls", "tool_use", "completed", "null"
	if cut {
		finish, stop, status, incomplete = "length", "max_tokens", "incomplete", `{"reason":"max_output_tokens"}`
	}
	block := func(id string) string {
		return typed(`{"type":"content_block_start","content_block":{"type":"tool_use","id":"`+id+`","name":"f","input":{}}}`) +
			typed(`{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":""}}`) + typed(`{"type":"content_block_stop"}`)
	}
	item := func(id string) string {
		return typed(`{"type":"response.output_item.added","item":{"type":"function_call","call_id":"`+id+`","name":"f","arguments":""}}`) +
			typed(`{"type":"response.output_item.done","item":{"type":"function_call","call_id":"`+id+`","name":"f","arguments":""}}`)
	}
	use := func(id string) string {
		return frame("contentBlockStart", `{"start":{"toolUse":{"toolUseId":"`+id+`","name":"f"}}}`) + frame("contentBlockDelta", `{"delta":{"toolUse":{"input":""}}}`) + frame("contentBlockStop", `{}`)
	}
	const calls = `"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}},{"index":1,"id":"c2","function":{"name":"f","arguments":" \n"}}]`
	ends := `{"id":"resp_1","status":"` + status + `","incomplete_details":` + incomplete + `,"output":[{"type":"function_call","call_id":"c1","name":"f","arguments":""},{"type":"function_call","call_id":"c2","name":"f","arguments":""}]}`
	return map[*dialect.API][2]string{
		chat.API: {
			`{"id":"x","choices":[{"message":{` + calls + `},"finish_reason":"` + finish + `"}]}`,
			chunk(calls, "null") + chunk("", finish) + done,
		},
		messages.API: {
			`{"id":"m","content":[{"type":"tool_use","id":"c1","name":"f"},{"type":"tool_use","id":"c2","name":"f"}],"stop_reason":"` + stop + `"}`,
			startOfOne + block("c1") + typed(`{"type":"ping"}`) + block("c2") + typed(`{"type":"ping"}`) + typed(`{"type":"message_delta","delta":{"stop_reason":"`+stop+`"},"usage":{"output_tokens":9}}`) + typed(`{"type":"message_stop"}`),
		},
		responses.API: {
			ends,
			typed(`{"type":"response.created","response":{"id":"resp_1"}}`) + item("c1") + item("c2") + typed(`{"type":"response.`+status+`","response":`+ends+`}`),
		},
		gemini.API: {
			`{"candidates":[{"content":{"parts":[{"functionCall":{"id":"c1","name":"f"}},{"functionCall":{"id":"c2","name":"f"}}]},"finishReason":"STOP"}]}`,
			event("", `{"candidates":[{"content":{"parts":[{"functionCall":{"id":"c1","name":"f"}},{"functionCall":{"id":"c2","name":"f"}}]},"finishReason":"STOP"}]}`),
		},
		converse.API: {
			`{"output":{"message":{"content":[{"toolUse":{"toolUseId":"c1","name":"f"}},{"toolUse":{"toolUseId":"c2","name":"f"}}]}},"stopReason":"` + stop + `"}`,
			frame("messageStart", `{"role":"assistant"}`) + use("c1") + use("c2") + frame("messageStop", `{"stopReason":"`+stop+`"}`) + frame("metadata", `{"usage":{"inputTokens":1,"outputTokens":2}}`),
		},
	}
}

// Clients parse the arguments of a call: those of one without any are an empty object,
// whatever a provider's API has for that, wherever the client's API says them.
func TestCallsWithoutArguments(t *testing.T) {
	for from, forms := range emptyCallsOf(t, false) {
		for i, in := range forms {
			for _, to := range clients {
				o := dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: i == 1, ID: "x", Model: "m"}
				for _, n := range []int{1, len(in)} {
					got := through(t, from, to, o, in, n)
					want := "open 0.4 c1 f false  \n  {} \nopen 0.4 c2 f false  \n  {} \nfinish 0 tool_calls  \n"
					if said := strings.NewReplacer(` \n{}`, "{}", "null", "").Replace(heard(t, to, o.Stream, got)); said != want {
						t.Errorf("%s to %s, stream %v: the client reads\n%s\nnot\n%s\nin %s", from.Name, to.Name, o.Stream, said, want, got)
					}
					if to == responses.API && strings.Count(got, `{}"`) != map[bool]int{false: 2, true: 8}[o.Stream] {
						t.Errorf("%s to %s, stream %v: the deltas, ends, items and response do not say the same: %s", from.Name, to.Name, o.Stream, got)
					}
				}
			}
		}
	}
}

// A call that was cut off before its arguments began is not made a whole one where the
// client's API can tell the two apart.
func TestCallsCutOffBeforeTheirArguments(t *testing.T) {
	for from, forms := range emptyCallsOf(t, true) {
		if from == gemini.API { // its calls are whole
			continue
		}
		for i, in := range forms {
			for _, to := range []*dialect.API{chat.API, responses.API} {
				o := dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: i == 1, ID: "x", Model: "m"}
				got := heard(t, to, o.Stream, through(t, from, to, o, in, len(in)))
				first, last, _ := strings.Cut(got, "c2")
				if !strings.Contains(first, "{}") || strings.Contains(last, "{}") || !strings.Contains(last, "finish 0 length") {
					t.Errorf("%s to %s, stream %v: the client reads %s", from.Name, to.Name, o.Stream, got)
				}
			}
		}
	}
	for _, to := range []*dialect.API{chat.API, responses.API} {
		o := dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: true}
		in := startOfOne + typed(`{"type":"content_block_start","content_block":{"type":"tool_use","id":"c1","name":"f","input":{}}}`) + typed(`{"type":"content_block_stop"}`)
		if got := through(t, messages.API, to, o, in, len(in)); strings.Contains(got, `"{}"`) || !strings.Contains(got, `"c1"`) {
			t.Errorf("%s: a call before the stream breaks off is whole: %s", to.Name, got)
		}
	}
}

// The calls of each choice are told apart, and free text may be empty.
func TestEmptyCallsOfChoices(t *testing.T) {
	of := func(n, delta, finish string) string {
		return event("", `{"choices":[{"index":`+n+`,"delta":{`+delta+`},"finish_reason":`+finish+`}]}`)
	}
	in := of("0", `"tool_calls":[{"index":0,"id":"c0","function":{"name":"f","arguments":""}}]`, "null") + of("1", `"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}}]`, "null") +
		of("0", "", `"length"`) + of("1", "", `"tool_calls"`) + of("2", `"tool_calls":[{"index":0,"id":"c2","custom":{"name":"g","input":""}}]`, "null") + of("2", "", `"tool_calls"`) + done
	o := dialect.ResponseOptions{Request: &dialect.Request{API: chat.API}, Stream: true}
	got := through(t, chat.API, chat.API, o, in, len(in))
	if strings.Count(got, "{}\"") != 1 || !strings.Contains(got, `{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`) {
		t.Error(got)
	}
}
