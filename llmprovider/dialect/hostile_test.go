package dialect_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// Requests and errors nested a hundred thousand times take no time to speak of.
func TestNesting(t *testing.T) {
	const most = 100_000
	nested := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	read := func(n int) map[string]time.Duration {
		took := make(map[string]time.Duration)
		for name, tc := range map[string]struct {
			api *dialect.API
			in  string
		}{
			"results":   {messages.API, `{"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":` + nested(n, `[{"type":"tool_result","tool_use_id":"t","content":`, `"x"`, `}]`) + `}]}`},
			"documents": {messages.API, `{"max_tokens":1,"messages":[{"role":"user","content":` + nested(n, `[{"type":"document","source":{"type":"content","content":`, `"x"`, `}}]`) + `}]}`},
			"responses": {gemini.API, `{"contents":[{"role":"model","parts":[` + strings.Repeat(`{"functionCall":{"name":"f"}},`, n) + `{"text":"a"}]},{"parts":` + nested(n, `[{"functionResponse":{"name":"f","parts":`, `[]`, `}}]`) + `}]}`},
			"schemas":   {gemini.API, `{"contents":[{"parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":` + nested(n, `{"type":"ARRAY","items":`, `{}`, `}`) + `}]}]}`},
			"arguments": {chat.API, `{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":` + nested(n, `{"a":`, `{"$ref":"#"}`, `}`) + `}}]}`},
		} {
			began := time.Now()
			if r, refused := dialect.Read(tc.api, []byte(tc.in), dialect.Call{}); refused == nil {
				for _, to := range providers {
					_, _ = dialect.Translate(r, to, dialect.Target{Model: "m"})
				}
			}
			took[name] = time.Since(began)
		}
		began := time.Now()
		if dialect.ReadError(0, []byte(nested(n, `{"error":`, `{"message":"x"}`, `}`))) == nil {
			t.Error("an error is none")
		}
		took["errors"] = time.Since(began)
		return took
	}
	var slow []string
	for range 3 { // a busy machine may make one measurement slow, but not each
		slow = nil
		few, all := read(most/16), read(most)
		for name, took := range all {
			if took > 100*(few[name]+time.Millisecond) { // 16 times as much in a line, 256 in a square
				slow = append(slow, name)
			}
		}
		if slow == nil {
			return
		}
	}
	t.Errorf("%q: the time grows with the square of the depth", slow)
}

// A response without an end is cut, whatever has no end in it.
func TestEndless(t *testing.T) {
	text := strings.Repeat("x", 64<<10)
	for name, tc := range map[string]struct {
		from  *dialect.API
		piece string
	}{
		"log probabilities": {chat.API, event("", `{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"`+text+`"}]}}]}`)},
		"signatures":        {chat.API, chunk(`"thinking_blocks":[{"type":"thinking","thinking":"","signature":"`+text+`"}]`, "null")},
		"encrypted":         {chat.API, chunk(`"thinking_blocks":[{"type":"redacted_thinking","data":"`+text+`"}]`, "null")},
		"ids and names":     {gemini.API, event("", `{"candidates":[{"content":{"parts":[{"functionCall":{"id":"`+text+`","name":"`+text+`"}}]}}]}`)},
		"state of parts":    {gemini.API, event("", `{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"`+text+`"}]}}]}`)},
		"items":             {responses.API, "data: {\"type\":\"response.output_text.delta\",\"output_index\":%d,\"delta\":\"a\"}\n\n"},
		"free text":         {messages.API, typed(`{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"` + text + `"}}`)},
	} {
		for _, to := range []*dialect.API{chat.API, responses.API, gemini.API} {
			if tc.from == to {
				continue
			}
			tool := dialect.Request{API: to, Tools: []dialect.Tool{{Kind: dialect.Custom, Name: "free"}}}
			r := dialect.NewResponse(tc.from, to, dialect.ResponseOptions{Request: &tool, Stream: true})
			r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: true})
			pass := func([]byte) error { return nil }
			if name == "free text" {
				_ = r.Write([]byte(typed(`{"type":"content_block_start","content_block":{"type":"tool_use","id":"c","name":"free"}}`)), pass)
			}
			for i := 0; i < 200_000 && !r.Failed(); i++ {
				piece := tc.piece
				if name == "items" {
					piece = fmt.Sprintf(piece, i)
				}
				if err := r.Write([]byte(piece), pass); err != nil {
					t.Fatal(err)
				}
			}
			if !r.Failed() {
				t.Errorf("%s from %s to %s go on", name, tc.from.Name, to.Name)
			}
		}
	}
	for name, piece := range map[string]string{
		"text":  chunk(`"content":"`+text+`"`, "null"),
		"parts": chunk(`"reasoning_content":"a"`, "null") + chunk(`"content":"b"`, "null"),
		"calls": chunk(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}},{"index":1,"id":"b","function":{"name":"f","arguments":"`+text+`"}}]`, "null"),
	} {
		for _, to := range []*dialect.API{messages.API, responses.API} {
			if (name == "parts") != (to == responses.API) { // each where it takes the most memory
				continue
			}
			r := dialect.NewResponse(chat.API, to, dialect.ResponseOptions{Request: &dialect.Request{API: to}, Stream: true})
			r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header), Stream: true})
			pass := func([]byte) error { return nil }
			block := []byte(strings.Repeat(piece, max(1, 64<<10/len(piece))))
			for range 4000 {
				if err := r.Write(block, pass); err != nil {
					t.Fatal(err)
				}
				if r.Failed() {
					break
				}
			}
			if name == "calls" { // they wait for the end, within bounds
				if err := r.Write([]byte(chunk("", "stop")), pass); err != nil {
					t.Fatal(err)
				}
			}
			if !r.Failed() {
				t.Errorf("%s to %s goes on", name, to.Name)
			}
		}
	}
}

// However large the pieces of a page are that comes instead of a response, and whatever
// stands before it, the client gets an error.
func TestLargePages(t *testing.T) {
	blank, page := strings.Repeat(" ", 64<<10), "<html>"+strings.Repeat("x", 200<<10)
	for name, pieces := range map[string][]string{
		"blanks before":           {blank, page, page},
		"many blanks before":      {blank + blank, "\n", page, "x"},
		"one large piece":         {page, "x", page},
		"blanks in the piece":     {blank + page, page},
		"a byte order mark":       {"\ufeff", blank, page, page},
		"just as much as is kept": {page[:64<<10], page},
	} {
		for _, status := range []int{200, 404, 502} {
			for _, from := range providers {
				for _, to := range clients {
					r := dialect.NewResponse(from, to, dialect.ResponseOptions{Request: &dialect.Request{API: to}})
					head := &llmprovider.Head{Status: status, Header: make(http.Header)}
					r.Head(head)
					var out strings.Builder
					pass := func(p []byte) error { out.Write(p); return nil }
					for _, piece := range pieces {
						if err := r.Write([]byte(piece), pass); err != nil {
							t.Fatal(err)
						}
					}
					if err := r.Finish(pass); err != nil || head.Status < 400 || !strings.Contains(out.String(), `"error"`) || out.Len() > 4000 {
						t.Errorf("%s, %d from %s to %s: %v, %d with %.200s", name, status, from.Name, to.Name, err, head.Status, out.String())
					}
				}
			}
		}
	}
}

// A hundred thousand blocks, calls or texts, are a stream that ends once, or one that ends
// with an error, and whole responses are as well; none takes long. In one goroutine there is
// nothing for the race detector, which is slow.
func TestManyBlocks(t *testing.T) {
	most := 40_000
	if raceDetector {
		most = 1000
	}
	repeat := func(piece func(i int) string) string {
		var out strings.Builder
		for i := range most {
			out.WriteString(piece(i))
		}
		return out.String()
	}
	list := func(format string) string {
		return strings.TrimSuffix(repeat(func(i int) string { return fmt.Sprintf(format, i) + "," }), ",")
	}
	for from, in := range map[*dialect.API][]string{ // whole, streams
		chat.API: {
			`{"choices":[{"message":{"content":"a","tool_calls":[` + list(`{"id":"c%d","function":{"name":"f","arguments":"{}"}}`) + `]},"finish_reason":"tool_calls"}]}`,
			repeat(func(i int) string {
				return chunk(fmt.Sprintf(`"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{}"}}]`, i, i), "null")
			}) + chunk("", "tool_calls") + done,
			repeat(func(int) string { return chunk(`"reasoning_content":"a"`, "null") + chunk(`"content":"b"`, "null") }) + chunk("", "stop") + done,
		},
		messages.API: {
			`{"content":[` + list(`{"type":"tool_use","id":"c%d","name":"f","input":{}}`) + `],"stop_reason":"tool_use"}`,
			startOfOne + repeat(func(i int) string {
				return typed(fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":"c%d","name":"f","input":{}}}`, i, i)) + typed(fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, i))
			}) + endOfOne,
		},
		responses.API: {
			`{"status":"completed","output":[` + list(`{"type":"function_call","call_id":"c%d","name":"f","arguments":"{}"}`) + `]}`,
			repeat(func(i int) string {
				return typed(fmt.Sprintf(`{"type":"response.output_item.done","output_index":%d,"item":{"type":"function_call","call_id":"c%d","name":"f","arguments":"{}"}}`, i, i))
			}) + typed(`{"type":"response.completed","response":{"status":"completed"}}`),
		},
		gemini.API: {
			`{"candidates":[{"content":{"parts":[` + list(`{"functionCall":{"name":"f%d","args":{}}}`) + `]},"finishReason":"STOP"}]}`,
			repeat(func(i int) string {
				return event("", fmt.Sprintf(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f%d","args":{}}}]}}]}`, i))
			}) + event("", `{"candidates":[{"finishReason":"STOP"}]}`),
		},
		converse.API: {
			`{"output":{"message":{"content":[` + list(`{"toolUse":{"toolUseId":"c%d","name":"f","input":{}}}`) + `]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":1}}`,
			repeat(func(i int) string {
				return frame(t, "event", "contentBlockStart", fmt.Sprintf(`{"contentBlockIndex":%d,"start":{"toolUse":{"toolUseId":"c%d","name":"f"}}}`, i, i)) + frame(t, "event", "contentBlockStop", fmt.Sprintf(`{"contentBlockIndex":%d}`, i))
			}) + frame(t, "event", "messageStop", `{"stopReason":"tool_use"}`) + frame(t, "event", "metadata", `{"usage":{"inputTokens":1,"outputTokens":1}}`),
		},
	} {
		to := responses.API // which has the most to write
		for i, document := range in {
			began := time.Now()
			o := dialect.ResponseOptions{Request: &dialect.Request{API: to, StreamUsage: true}, Model: "m", Stream: i > 0, ID: "x"}
			out := through(t, from, to, o, document, 32<<10)
			if i > 0 {
				checkStream(t, from, to, []byte(from.Name+" with many blocks"), out)
			} else if !jsonscan.Valid([]byte(out)) {
				t.Errorf("%s to %s gives no JSON: %.300s", from.Name, to.Name, out)
			}
			if took := time.Since(began); took > 20*time.Second { // less than one, but where others work
				t.Errorf("%s to %s takes %v", from.Name, to.Name, took)
			}
		}
	}
}

// TestManyParts has requests whose reading takes minutes if each part costs what all before it
// cost.
func TestManyParts(t *testing.T) {
	most := 40_000
	if raceDetector {
		most = 10_000
	}
	join := func(piece func(i int) string) string {
		var out strings.Builder
		for i := range most {
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteString(piece(i))
		}
		return out.String()
	}
	call := func(i int) string { return fmt.Sprintf(`{"functionCall":{"id":"c%d","name":"f","args":{}}}`, i) }
	for name, contents := range map[string]string{
		"thoughts": `{"role":"model","parts":[` + join(func(int) string { return `{"text":"aaaaaaaaaaaaaaaa","thought":true}` }) + `]}`,
		"results in another order": `{"role":"model","parts":[` + join(call) + `]},{"role":"user","parts":[` +
			join(func(i int) string {
				return fmt.Sprintf(`{"functionResponse":{"id":"c%d","name":"f","response":{}}}`, most-1-i)
			}) + `]}`,
		"results by name": `{"role":"model","parts":[` + join(call) + `]},{"role":"user","parts":[` +
			join(func(int) string { return `{"functionResponse":{"name":"f","response":{}}}` }) + `]}`,
	} {
		began := time.Now()
		r, refused := dialect.Read(gemini.API, []byte(`{"contents":[{"role":"user","parts":[{"text":"x"}]},`+contents+`]}`), dialect.Call{Model: "m"})
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
			continue
		}
		if name == "thoughts" {
			if text := r.Turns[1].Parts[0].Thought.Text; len(text) != 16*most+2 || len(r.Turns[1].Parts) != 1 {
				t.Errorf("%d parts, the first with %d bytes", len(r.Turns[1].Parts), len(text))
			}
		}
		for _, to := range []*dialect.API{chat.API, messages.API, responses.API} {
			_, _ = dialect.Translate(r, to, dialect.Target{Model: "m"})
		}
		t.Logf("%s: %v", name, time.Since(began))
	}
}

// TestManyValues holds that a request of very many small parts is refused in time: what is read of
// it takes a multiple of its size. Commas in texts are none of them.
func TestManyValues(t *testing.T) {
	const n = 300_000
	texts := strings.Repeat("a,b, ", n)
	for name, test := range map[string]struct {
		api     *dialect.API
		body    string
		refused bool
	}{
		"contents": {gemini.API, `{"contents":[` + strings.Repeat("{} , ", n) + `{"parts":[{"text":"a"}]},{}]}`, true},
		"parts":    {gemini.API, `{"contents":[{"parts":[` + strings.Repeat(`{"text":""},`, n) + `{"text":"a"},{}]}]}`, true},
		"messages": {chat.API, `{"messages":[` + strings.Repeat(`{"role":"user","content":"a"},`, n) + `{"role":"user","content":"a"}]}`, true},
		"stop":     {chat.API, `{"messages":[{"role":"user","content":"a"}],"stop":[` + strings.Repeat(`"a",`, n) + `"a"]}`, true},
		"text":     {chat.API, `{"messages":[{"role":"user","content":"` + texts + `"}]}`, false},
		"many":     {chat.API, `{"messages":[` + strings.Repeat(`{"role":"user","content":"a"},`, 100_000) + `{"role":"user","content":"a"}]}`, false},
	} {
		request, refused := dialect.Read(test.api, []byte(test.body), dialect.Call{Model: "m"})
		if test.refused != (refused != nil) || refused != nil && (refused.Status != 413 || refused.Code != "request_too_large" || refused.API != test.api.Errors) {
			t.Errorf("%s: %v", name, refused)
		}
		if request == nil != test.refused {
			t.Errorf("%s: read %v", name, request != nil)
		}
	}
}
