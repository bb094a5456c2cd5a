package tap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/internal/jsontest"
	"github.com/caddy-llm/gateway/llmprovider"
)

// tapped is what comes of passing a stream through an eventTap.
type tapped struct {
	out           string
	usage         llmprovider.Usage
	ended, failed bool
}

// tapEvents passes stream through a tap, cut at the given offsets.
func tapEvents(t testing.TB, stream string, hide bool, cuts ...int) tapped {
	t.Helper()
	var result tapped
	var out strings.Builder
	pass := func(p []byte) error {
		if len(p) == 0 {
			t.Error("an empty slice was passed on")
		}
		out.Write(p)
		return nil
	}
	var usage usageReader
	tap := eventTap{usage: &usage, hide: hide}
	buf := make([]byte, len(stream))
	from := 0
	for _, to := range append(cuts, len(stream)) {
		piece := buf[:copy(buf, stream[from:to])]
		if err := tap.write(piece, pass); err != nil {
			t.Fatal(err)
		}
		for i := range piece { // the next read overwrites it
			piece[i] = '"'
		}
		from = to
	}
	if err := tap.finish(pass); err != nil {
		t.Fatal(err)
	}
	result.out, result.usage, result.ended, result.failed = out.String(), usage.Usage, tap.ended, tap.failed
	return result
}

// everyCut passes a stream through in one piece, byte by byte and in two pieces
// cut at each offset, and expects the same of all. It returns it.
func everyCut(t *testing.T, stream string, hide bool) tapped {
	t.Helper()
	whole := tapEvents(t, stream, hide)
	same := func(how string, got tapped) {
		t.Helper()
		if got != whole {
			t.Fatalf("%s:\n%+v\nin one piece:\n%+v", how, got, whole)
		}
	}
	all := make([]int, 0, len(stream))
	step := 1 + len(stream)/2000
	for at := 1; at < len(stream); at++ {
		all = append(all, at)
		if at%step == 0 {
			same(fmt.Sprintf("cut at %d", at), tapEvents(t, stream, hide, at))
		}
	}
	same("byte by byte", tapEvents(t, stream, hide, all...))
	return whole
}

const (
	chunkContent = `{"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],"usage":null}`
	chunkFinish  = `{"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	chunkUsage   = `{"model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":85}}`
)

func event(data string) string { return "data: " + data + "\n\n" }

func TestHiddenUsageChunk(t *testing.T) {
	content, finish, usage, done := event(chunkContent), event(chunkFinish), event(chunkUsage), event("[DONE]")
	read := llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, Model: "m", FinishReason: "stop"}
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	cr := func(s string) string { return strings.ReplaceAll(s, "\n", "\r") }
	for _, test := range []struct{ name, stream, hidden string }{
		{"LF", content + finish + usage + done, content + finish + done},
		{"CRLF", crlf(content + finish + usage + done), crlf(content + finish + done)},
		{"CR", cr(content + finish + usage + done), cr(content + finish + done)},
		{"a different end for each line", content + crlf(finish) + cr(usage) + done, content + crlf(finish) + done},
		{"CR, then a blank line of CRLF", content + finish + "data: " + chunkUsage + "\r\r\n" + done, content + finish + done},
		{"LF, then a blank line of CR", content + finish + "data: " + chunkUsage + "\n\r" + done, content + finish + done},
		{"blank lines before it stay", content + finish + "\n\n" + usage + done, content + finish + "\n\n" + done},
		{"comments", ": hello\n\n" + content + finish + ": with it\n" + usage + ": \"usage\":{\n\n" + done, ": hello\n\n" + content + finish + ": with it\n: \"usage\":{\n\n" + done},
		{"a comment after its data", content + finish + usage[:len(usage)-1] + ": ping\n\n" + done, content + finish + ": ping\n" + done},
		{"comments after its data, CRLF", content + finish + crlf(usage[:len(usage)-1]+": ping\n: ping\nid: 1\n: ping\n\n") + done, content + finish + crlf(": ping\n: ping\n: ping\n") + done},
		{"comments after its data, CR", content + finish + cr(usage[:len(usage)-1]+": ping\n: ping\n\n") + done, content + finish + cr(": ping\n: ping\n") + done},
		{"no space after the colon", content + finish + "data:" + chunkUsage + "\n\n" + done, content + finish + done},
		{"other fields with it", content + finish + "event: message\nid: 7\nretry: 10\n" + usage + done, content + finish + done},
		{"byte order mark", "\ufeff" + content + finish + usage + done, "\ufeff" + content + finish + done},
		{"several data lines", content + finish + "data: {\"model\":\"m\",\ndata:  \"choices\":[],\"usage\"\ndata: :\ndata: {\"prompt_tokens\":11,\ndata: \"completion_tokens\":85}}\n\n" + done, content + finish + done},
		{"several data lines, CR", content + finish + cr("data: {\"choices\":[],\"usage\":\ndata: {\"prompt_tokens\":11,\ndata: \"completion_tokens\":85}}\n\n") + done, content + finish + done},
		{"several data lines, CRLF", content + finish + crlf("data: {\"choices\":[],\"usage\":\ndata: {\"prompt_tokens\":11,\ndata: \"completion_tokens\":85}}\n\n") + done, content + finish + done},
		{"white space in the JSON", content + finish + event(`{ "choices" : [ ] , "usage" : { "prompt_tokens" : 11 , "completion_tokens" : 85 } }`) + done, content + finish + done},
		{"escaped names", content + finish + event(`{"ch\u006fices":[],"\u0075sage":{"prompt_tokens":11,"completion_tokens":85}}`) + done, content + finish + done},
		{"choices null", content + finish + event(`{"choices":null,"usage":{"prompt_tokens":11,"completion_tokens":85}}`) + done, content + finish + done},
		{"choices absent", content + finish + event(`{"usage":{"prompt_tokens":11,"completion_tokens":85}}`) + done, content + finish + done},
		{"no blank line at the end", content + finish + done + "data: " + chunkUsage + "\n", content + finish + done},
		{"no line end at the end", content + finish + done + "data: " + chunkUsage, content + finish + done},
		{"last event without line end stays", content + finish + usage + "data: [DONE]", content + finish + "data: [DONE]"},
		{"byte order mark before it", "\ufeff" + usage + content + finish + done, content + finish + done},
		{"two of them", content + finish + event(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`) + usage + done, content + finish + done},

		{"with choices it stays", content + event(`{"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":85}}`) + done, ""},
		{"with choices in no list it stays", content + finish + event(`{"choices":{"0":{}},"usage":{"prompt_tokens":11,"completion_tokens":85}}`) + done, ""},
		{"inside a choice it stays", content + event(`{"choices":[{"index":0,"finish_reason":"stop","usage":{"prompt_tokens":11,"completion_tokens":85}}]}`) + done, ""},
		{"with an error it stays", content + finish + event(`{"error":{"message":"x"},"usage":{"prompt_tokens":11,"completion_tokens":85}}`) + done, ""},
		{"with something after it it stays", content + finish + event(chunkUsage+"}") + done, ""},
		{"usage that is null is taken out", event(`{"usage":null}`) + event(`{ "usage" : null , "a":1}`) + event(`{"a":1, "usage":null}`) + event(`{"us\u0061ge":null,"a":{"usage":null}}`) + content + finish + usage + done,
			event(`{}`) + event(`{  "a":1}`) + event(`{"a":1}`) + event(`{"a":{"usage":null}}`) + content + finish + done},
		{"usage that is null elsewhere stays", event(`{"a":{"usage":null},"b":"\"usage\":null"}`) + event(`{"usage":null`) + event(`{"usage":null}x`) + event(`[{"usage":null}]`) + event(`{"usage":nul}`) + "data: {\"usage\":\ndata: null}\n\n" + content + finish + usage + done, event(`{"a":{"usage":null},"b":"\"usage\":null"}`) + event(`{"usage":null`) +
			event(`{"usage":null}x`) + event(`[{"usage":null}]`) + event(`{"usage":nul}`) +
			"data: {\"usage\":\ndata: null}\n\n" + content + finish + done},
		{"empty choices without usage stay", event(`{"choices":[],"prompt_filter_results":[]}`) + content + finish + usage + event(`{"choices":[],"usage":null}`) + done,
			event(`{"choices":[],"prompt_filter_results":[]}`) + content + finish + event(`{"choices":[],"usage":null}`) + done},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := read
			shown := everyCut(t, test.stream, false)
			if shown.out != test.stream {
				t.Errorf("without hiding, the client got\n%q\nof\n%q", shown.out, test.stream)
			}
			if shown.usage != want {
				t.Errorf("read %+v, want %+v", shown.usage, want)
			}
			if test.hidden == "" {
				test.hidden = test.stream
			}
			test.hidden = withoutNulls(test.hidden)
			hidden := everyCut(t, test.stream, true)
			if hidden.out != test.hidden {
				t.Errorf("the client got\n%q\nwant\n%q", hidden.out, test.hidden)
			}
			if hidden.usage != want {
				t.Errorf("read %+v, want %+v", hidden.usage, want)
			}
			if !hidden.ended {
				t.Error("the end was not seen")
			}
		})
	}
}

func TestEventsAreReadAsTheyAre(t *testing.T) {
	usage := func(prompt, completion int64) llmprovider.Usage {
		return llmprovider.Usage{Known: true, PromptTokens: prompt, CompletionTokens: completion}
	}
	for _, test := range []struct {
		name, stream  string
		want          llmprovider.Usage
		ended, failed bool
	}{
		{name: "nothing"},
		{name: "usage in text", stream: event(`{"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}"}}]}`)},
		{name: "usage in tool arguments", stream: event(`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\"usage\":{\"prompt_tokens\":9}}"}}]}}]}`)},
		{name: "usage deeper than it should be", stream: event(`{"choices":[{"delta":{"usage":{"prompt_tokens":9,"completion_tokens":9}}}],"x":{"usage":{"prompt_tokens":9}}}`)},
		{name: "usage in a comment", stream: ": {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}}\n\n"},
		{name: "usage in another field", stream: "id: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}}\n\n"},
		{name: "finish reason in text", stream: event(`{"choices":[{"index":0,"delta":{"content":"\"finish_reason\":\"length\""},"finish_reason":null}]}`)},
		{name: "finish reason of another choice", stream: event(`{"choices":[{"index":0,"finish_reason":"stop"}]}`) + event(`{"choices":[{"index":1,"finish_reason":"length"}]}`), want: llmprovider.Usage{FinishReason: "stop"}},
		{name: "the last usage counts", stream: event(`{"usage":{"prompt_tokens":1,"completion_tokens":1}}`) + event(`{"usage":{"prompt_tokens":2,"completion_tokens":3}}`), want: usage(2, 3)},
		{name: "a null after it", stream: event(`{"usage":{"prompt_tokens":1,"completion_tokens":1}}`) + event(`{"usage":null}`), want: usage(1, 1)},
		{name: "usage in the choice", stream: event(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":19,"completion_tokens":21,"cached_tokens":5}}]}`), want: llmprovider.Usage{Known: true, PromptTokens: 19, CompletionTokens: 21, CachedTokens: 5, FinishReason: "stop"}},
		{name: "details", stream: event(`{"usage":{"prompt_tokens":9,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":7},"completion_tokens_details":{"reasoning_tokens":6}}}`), want: llmprovider.Usage{Known: true, PromptTokens: 9, CompletionTokens: 8, CachedTokens: 7, ReasoningTokens: 6}},
		{name: "numbers nobody can believe", stream: event(`{"usage":{"prompt_tokens":-1,"completion_tokens":5}}`) + event(`{"usage":{"prompt_tokens":1e300,"completion_tokens":5}}`) + event(`{"usage":{"prompt_tokens":"9"}}`) + event(`{"usage":{}}`), want: usage(0, 5)},
		{name: "broken JSON", stream: event(`{"usage":{"prompt_tokens":1,"comple`) + event(`{"model":"m`)},
		{name: "finish reason that is no word", stream: event(`{"choices":[{"finish_reason":"a b"}]}`) + event(`{"choices":[{"finish_reason":""}]}`) + event(`{"choices":[{"finish_reason":"`+strings.Repeat("x", 33)+`"}]}`)},
		{name: "model too long", stream: event(`{"model":"` + strings.Repeat("x", 257) + `"}`)},
		{name: "model", stream: event(`{"model":null}`) + event(`{"model":"gpt-4o\u002dmini"}`) + event(`{"model":"other"}`), want: llmprovider.Usage{Model: "gpt-4o-mini"}},

		{name: "done", stream: event("[DONE]"), ended: true},
		{name: "done with white space", stream: "data:  [DONE] \n\n", ended: true},
		{name: "done without a blank line", stream: "data: [DONE]\n", ended: true},
		{name: "done in text", stream: event(`{"choices":[{"delta":{"content":"[DONE]"}}]}`)},
		{name: "done in a comment", stream: ": [DONE]\n\n"},
		{name: "finish reason is no end", stream: event(chunkFinish), want: llmprovider.Usage{Model: "m", FinishReason: "stop"}},

		{name: "error object", stream: event(chunkContent) + event(`{"error":{"message":"overloaded","code":503}}`), want: llmprovider.Usage{Model: "m"}, failed: true},
		{name: "error text", stream: event(`{"error":"overloaded"}`), failed: true},
		{name: "error null", stream: event(`{"choices":[],"error":null}`)},
		{name: "error in text", stream: event(`{"choices":[{"delta":{"content":"\"error\":{"}}]}`)},
		{name: "error deeper", stream: event(`{"choices":[{"error":{"message":"x"}}]}`)},
		{name: "error of the Responses API", stream: "event: error\n" + event(`{"type":"error","code":"server_error","message":"x"}`), failed: true},

		{name: "response completed", stream: "event: response.created\n" + event(`{"type":"response.created","response":{"model":"gpt-4.1","status":"in_progress","usage":null}}`) +
			"event: response.output_text.delta\n" + event(`{"type":"response.output_text.delta","delta":"\"usage\":{}"}`) +
			"event: response.completed\n" + event(`{"type":"response.completed","response":{"model":"gpt-4.1","status":"completed","usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":2}}}}`),
			want: llmprovider.Usage{Known: true, PromptTokens: 36, CompletionTokens: 87, CachedTokens: 4, ReasoningTokens: 2, Model: "gpt-4.1", FinishReason: "completed"}, ended: true},
		{name: "response completed, kind last", stream: event(`{"response":{"usage":{"input_tokens":1,"output_tokens":2}},"type":"response.completed"}`), want: llmprovider.Usage{Known: true, PromptTokens: 1, CompletionTokens: 2, FinishReason: "completed"}, ended: true},
		{name: "response incomplete", stream: event(`{"type":"response.incomplete","response":{}}`), want: llmprovider.Usage{FinishReason: "incomplete"}, ended: true},
		{name: "response cancelled", stream: event(`{"type":"response.cancelled","response":{}}`), want: llmprovider.Usage{FinishReason: "cancelled"}, ended: true},
		{name: "response failed", stream: event(`{"type":"response.failed","response":{"error":{"code":"x"}}}`), want: llmprovider.Usage{FinishReason: "failed"}, ended: true, failed: true},
		{name: "a part of a response", stream: event(`{"type":"response.content_part.done"}`) + event(`{"type":"response.function_call_arguments.delta"}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, hide := range []bool{false, true} {
				got := everyCut(t, test.stream, hide)
				if got.usage != test.want {
					t.Errorf("hide %v: read %+v, want %+v", hide, got.usage, test.want)
				}
				if got.ended != test.ended || got.failed != test.failed {
					t.Errorf("hide %v: ended %v, failed %v; want %v, %v", hide, got.ended, got.failed, test.ended, test.failed)
				}
				if !hide && got.out != test.stream {
					t.Errorf("the client got %q of %q", got.out, test.stream)
				}
			}
		})
	}
}

func TestEventsReachTheClientAtOnce(t *testing.T) {
	content, usage := event(chunkContent), event(chunkUsage)
	var got string
	pass := func(p []byte) error { got += string(p); return nil }
	for _, test := range []struct {
		name string
		hide bool
		// what is written and what the client has after it
		steps []string
	}{
		{"a part of an event when nothing is to be hidden", false, []string{"data: {\"a", "data: {\"a", "\":1}", "data: {\"a\":1}"}},
		{"whole events when something is", true, []string{content + "data: ", content, "{}\n", content, "\n", content + "data: {}\n\n"}},
		{"before the chunk that is hidden", true, []string{content + usage[:20], content, usage[20:], content, content[:5], content, content[5:], content + content}},
		{"a comment", true, []string{": keep-alive", ": keep-alive", "\n", ": keep-alive\n", "data: {\"a", ": keep-alive\n", "\":1}\n\n", ": keep-alive\ndata: {\"a\":1}\n\n"}},
		{"a comment inside an event", true, []string{"data: {\"a\":1}\n", "", ": x\n", "data: {\"a\":1}\n: x\n", "id: 1", "data: {\"a\":1}\n: x\nid: 1", "\n\n", "data: {\"a\":1}\n: x\nid: 1\n\n"}},
		{"a comment inside the chunk that is hidden", true, []string{usage[:len(usage)-1], "", ": x\n", ": x\n", ": y\r", ": x\n: y\r", "\n", ": x\n: y\r\n", "id: 1\n\n" + content, ": x\n: y\r\n" + content}},
		{"a comment after it", true, []string{usage + ": x\n", ": x\n", "\n", ": x\n\n"}},
		{"a CRLF in two pieces, shown", true, []string{"data: {}\r\n\r", "data: {}\r\n\r", "\ndata: x", "data: {}\r\n\r\n"}},
		{"a CRLF in two pieces, hidden", true, []string{"data: " + chunkUsage + "\r\n\r", "", "\ndata: x\r\n\r\n", "data: x\r\n\r\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got = ""
			tap := eventTap{usage: new(usageReader), hide: test.hide}
			for i := 0; i < len(test.steps); i += 2 {
				if err := tap.write([]byte(test.steps[i]), pass); err != nil {
					t.Fatal(err)
				}
				if test.hide {
					test.steps[i+1] = withoutNulls(test.steps[i+1])
				}
				if got != test.steps[i+1] {
					t.Fatalf("after step %d the client has %q, want %q", i/2, got, test.steps[i+1])
				}
			}
		})
	}
}

func TestLongEvents(t *testing.T) {
	filler := strings.Repeat("x", maxHeld)
	content := event(chunkContent)
	response := "event: response.completed\n" + event(`{"type":"response.completed","response":{"model":"m","tools":"`+filler+`","output":[{"usage":{"input_tokens":9}}],"usage":{"input_tokens":3,"output_tokens":4}}}`)
	for _, test := range []struct {
		name, stream, hidden string
		want                 llmprovider.Usage
		ended                bool
	}{
		{"long text, then usage", event(`{"choices":[{"index":0,"delta":{"content":"`+filler+`"}}]}`) + event(chunkUsage), event(`{"choices":[{"index":0,"delta":{"content":"` + filler + `"}}]}`),
			llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, Model: "m"}, false},
		{"usage at the end of a long event", content + response + content, "", llmprovider.Usage{Known: true, PromptTokens: 3, CompletionTokens: 4, Model: "m", FinishReason: "completed"}, true},
		{"unfinished", content + response[:len(response)-1], "", llmprovider.Usage{Known: true, PromptTokens: 3, CompletionTokens: 4, Model: "m", FinishReason: "completed"}, true},
		{"CRLF", strings.ReplaceAll(response+content, "\n", "\r\n"), "", llmprovider.Usage{Known: true, PromptTokens: 3, CompletionTokens: 4, Model: "m", FinishReason: "completed"}, true},
		{"CR", strings.ReplaceAll(response+content, "\n", "\r"), "", llmprovider.Usage{Known: true, PromptTokens: 3, CompletionTokens: 4, Model: "m", FinishReason: "completed"}, true},
		{"no JSON", event(filler+"{{[[\"") + event(chunkUsage), event(filler + "{{[[\""), llmprovider.Usage{Known: true, PromptTokens: 11, CompletionTokens: 85, Model: "m"}, false},
		{"a long usage chunk is not hidden", event(`{"choices":[],"x":"` + filler + `","usage":{"prompt_tokens":1,"completion_tokens":2}}`), "", llmprovider.Usage{Known: true, PromptTokens: 1, CompletionTokens: 2}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.hidden == "" {
				test.hidden = test.stream
			}
			n := len(test.stream)
			ends := []int{n - 1, n - 2, n - 3, n - 4, n - len(content), n - len(content) + 1, n - len(content) - 1, n - len(content) - 2, n - len(content) - 3}
			for at := 4096; at < n; at += 4093 {
				ends = append(ends, at)
			}
			for _, hide := range []bool{false, true} {
				want := tapped{test.stream, test.want, test.ended, false}
				if hide {
					want.out = withoutNulls(test.hidden)
				}
				check := func(how string, got tapped) {
					t.Helper()
					if got != want {
						got.out, want.out = fmt.Sprintf("%d bytes", len(got.out)), fmt.Sprintf("%d bytes", len(want.out))
						t.Fatalf("hide %v, %s:\ngot  %+v\nwant %+v", hide, how, got, want)
					}
				}
				check("in one piece", tapEvents(t, test.stream, hide))
				for _, at := range ends {
					if at > 0 && at < n {
						check(fmt.Sprintf("cut at %d of %d", at, n), tapEvents(t, test.stream, hide, at))
					}
				}
				for _, size := range []int{1, 1000, 8 << 10} {
					var cuts []int
					for at := size; at < n; at += size {
						cuts = append(cuts, at)
					}
					check(fmt.Sprintf("in pieces of %d", size), tapEvents(t, test.stream, hide, cuts...))
				}
			}
		})
	}
}

func TestAnEndlessEventHoldsLittleMemory(t *testing.T) {
	for _, test := range []struct{ name, unit string }{
		{"line", "data and more of it "}, {"lines", "data: x\n"}, {"comments", ": keep-alive\r\n"}, {"text", `"`}, {"nesting", `{"usage":{`},
		{"backslashes", `"\\\\\\`}, {"members", `{"usage":"xxxxxxxxxx`}, {"carriage returns", "data:\r"},
	} {
		for _, hide := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, hide %v", test.name, hide), func(t *testing.T) {
				tap := eventTap{usage: new(usageReader), hide: hide}
				piece := []byte(strings.Repeat(test.unit, 8<<10/len(test.unit)))
				written, passed := 0, 0
				for range 100 {
					written += len(piece)
					if err := tap.write(piece, func(p []byte) error { passed += len(p); return nil }); err != nil {
						t.Fatal(err)
					}
					held := cap(tap.held)
					if tap.long != nil {
						held += cap(tap.long.kept) + cap(tap.long.name)
					}
					if held > 3*maxHeld {
						t.Fatalf("%d bytes are held", held)
					}
					if written-passed > maxHeld {
						t.Fatalf("%d bytes are held back", written-passed)
					}
				}
				if err := tap.finish(func(p []byte) error { passed += len(p); return nil }); err != nil {
					t.Fatal(err)
				}
				if passed != written {
					t.Errorf("%d of %d bytes were passed on", passed, written)
				}
			})
		}
	}
}

func TestAQuietStreamHoldsLittleMemory(t *testing.T) {
	tap := eventTap{usage: new(usageReader), hide: true}
	stream := event(`{"x":"`+strings.Repeat("x", 60_000)+`"}`) + event("{}")
	for i := range len(stream) {
		_ = tap.write([]byte(stream[i:i+1]), discard)
	}
	if n := cap(tap.held); n > maxIdle {
		t.Errorf("%d bytes are held between events", n)
	}
}

func TestAFailingClientEndsTheStream(t *testing.T) {
	gone := errors.New("gone")
	for _, stream := range []string{event(chunkContent) + event(chunkUsage), event(chunkContent), "data: " + strings.Repeat("x", 2*maxHeld)} {
		tap := eventTap{usage: new(usageReader), hide: true}
		if err := tap.write([]byte(stream), func([]byte) error { return gone }); !errors.Is(err, gone) {
			t.Errorf("%.20q: the error is %v", stream, err)
		}
	}
}

func TestPlainEventsDoNotAllocate(t *testing.T) {
	tap := eventTap{usage: &usageReader{Usage: llmprovider.Usage{Model: "m"}}, hide: true}
	for _, stream := range []string{
		event(chunkContent), strings.ReplaceAll(event(chunkContent), "\n", "\r\n"),
		"event: response.output_text.delta\n" + event(`{"type":"response.output_text.delta","delta":"x"}`),
	} {
		p := []byte(stream)
		if n := testing.AllocsPerRun(100, func() { _ = tap.write(p, discard) }); n != 0 {
			t.Errorf("%v allocations for %q, want none", n, stream)
		}
	}
}

// Each piece costs a client's connection a write of its own.
func TestWhatIsLeftOfAReadIsPassedOnInOnePiece(t *testing.T) {
	null := event(strings.TrimSuffix(chunkContent, "}") + `,"usage":null}`)
	tap := eventTap{usage: &usageReader{Usage: llmprovider.Usage{Model: "m"}}, hide: true}
	var got []string
	pass := func(p []byte) error {
		got = append(got, string(p))
		return nil
	}
	for _, read := range []string{null + null + ": ping\n\n" + null[:len(null)-3], null[len(null)-3:] + event(chunkUsage) + event("[DONE]")} {
		if err := tap.write([]byte(read), pass); err != nil {
			t.Fatal(err)
		}
	}
	content := event(chunkContent)
	if want := []string{content + content + ": ping\n\n", content + event("[DONE]")}; !slices.Equal(got, want) {
		t.Errorf("passed on\n%q\nwant\n%q", got, want)
	}
}

func TestErrorEventsAreReadWhereverTheStreamBroke(t *testing.T) {
	failure := &llmprovider.Error{Type: llmprovider.TypeServer, Message: "broke off"}
	for _, before := range []string{"", event(chunkContent), "data: " + chunkContent, "data: " + chunkContent + "\n", "data: {\"choi", "data: x\r\n", ": c"} {
		if got := tapEvents(t, before+string(failure.Event()), false); !got.failed {
			t.Errorf("after %q the error is not seen", before)
		}
	}
}

// FuzzEvents holds the tap against fakeprovider.Events, which is given the whole
// stream at once, and encoding/json.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		event(chunkContent) + event(chunkFinish) + event(chunkUsage) + event("[DONE]"),
		strings.ReplaceAll(event(chunkContent)+event(chunkUsage), "\n", "\r\n"),
		strings.ReplaceAll(event(chunkContent)+event(chunkUsage), "\n", "\r"),
		"\ufeff: c\r\ndata:" + chunkUsage + "\n\r\ndata: {\"usage\"\ndata: :{\"prompt_tokens\":1}}\r\n\r\n\n\ndata",
		event(`{"us\u0061ge":{"prompt_tokens":1},"choices":[]}`) + event(`{"error":{"x":1},"usage":{}}`),
		"event: response.completed\n" + event(`{"type":"response.completed","response":{"usage":{"input_tokens":1,"output_tokens":2}}}`),
		"data: \r\r\n\ndata:[DONE]\r\r\r\n\r\n",
	} {
		f.Add([]byte(seed), uint16(3), true)
		f.Add([]byte(seed), uint16(1), false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint16, hide bool) {
		whole := tapEvents(t, string(stream), hide)
		var cuts []int
		for at, next := 0, int(step%31)+1; ; next = next*5%37 + 1 {
			if at += next; at >= len(stream) {
				break
			}
			cuts = append(cuts, at)
		}
		if cut := tapEvents(t, string(stream), hide, cuts...); cut != whole {
			t.Fatalf("in pieces:\n%+v\nin one:\n%+v", cut, whole)
		}
		var want []byte
		events := fakeprovider.Events(stream)
		if plain, ok := plainRead(events); ok && (plain.usage != whole.usage || plain.ended != whole.ended || plain.failed != whole.failed) {
			t.Fatalf("read\n%+v\nwant\n%+v\nof %q", whole, plain, stream)
		}
		for _, event := range events {
			if !hide || len(event.Raw) > maxHeld {
				want = append(want, event.Raw...)
			} else {
				want = append(want, shownEvent(event)...)
			}
			if hide && hasDuplicates(event.Data) {
				return // decoders differ on which one counts
			}
			if hide && len(event.Data) > 0 && !json.Valid(event.Data) && bytes.Contains(event.Raw, []byte("usage")) {
				return // nobody can read it
			}
		}
		if whole.out != string(want) {
			t.Fatalf("the client got\n%q\nwant\n%q\nof\n%q", whole.out, want, stream)
		}
	})
}

// plainRead is what is found in the events by a look into each of them. ok tells
// whether all are plain JSON, of which any reader makes the same.
func plainRead(events []fakeprovider.Event) (want tapped, ok bool) {
	tap := eventTap{usage: new(usageReader)}
	for _, event := range events {
		data := event.Data
		if string(bytes.TrimSpace(data)) == "[DONE]" {
			tap.ended = tap.ended || len(event.Raw) <= maxDone
			continue
		}
		if len(data) > 0 && (!json.Valid(data) || hasDuplicates(data)) {
			return want, false
		}
		if tap.usage.Model == "" {
			tap.readModel(data)
		}
		tap.readFinish(data)
		tap.readKind(gjson.GetBytes(data, "type").Str)
		tap.failed = tap.failed || carriesError(data)
		tap.readUsage(data)
	}
	want.usage, want.ended, want.failed = tap.usage.Usage, tap.ended, tap.failed
	return want, true
}

// hasDuplicates reports whether two members of the document have names that some
// decoder takes for one.
func hasDuplicates(doc []byte) bool {
	pairs, _ := jsontest.Members(doc)
	seen := make(map[string]bool)
	for _, p := range pairs {
		if name := strings.ToLower(p.Name); seen[name] || name != p.Name {
			return true
		}
		seen[p.Name] = true
	}
	return false
}
