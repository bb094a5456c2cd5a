package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// respond has one guard look at a response that comes in pieces, and returns what the
// client gets.
func respond(t testing.TB, d *Definition, request, contentType string, pieces ...string) (got string, refused *llmprovider.Error, counted []string) {
	t.Helper()
	f, err := New(map[string]*Definition{"g": d}, zap.NewNop(), func(_, direction string, action Action, category string) {
		if direction == "response" {
			counted = append(counted, string(action)+" "+category)
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	call := &filter.Call{Inbound: inbound(t, chatPath, request), Guards: []string{"g"}}
	step, refused := f.Begin(context.Background(), call)
	if refused != nil {
		t.Fatalf("the request is refused: %v", refused)
	}
	reader := tap.Plain()
	if step != nil {
		reader = step.Reader(reader)
	}
	head := &llmprovider.Head{Status: 200, Header: http.Header{"Content-Type": {contentType}}, Stream: contentType == eventStream}
	reader.Head(head)
	var out strings.Builder
	pass := func(p []byte) error { out.Write(p); return nil }
	for _, piece := range pieces {
		if err = reader.Write([]byte(piece), pass); err != nil {
			break
		}
	}
	if err == nil {
		err = reader.Finish(pass)
	}
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if step != nil {
		step.End(nil)
	}
	if length := head.Header.Get("Content-Length"); length != "" && err == nil && length != fmt.Sprint(out.Len()) {
		t.Errorf("Content-Length %s for %d bytes", length, out.Len())
	}
	return out.String(), refused, counted
}

const (
	eventStream = "text/event-stream"
	noRequest   = `{"messages":[]}`
)

// form is a way to write a response: message is a text, the parts of one message, and
// arguments those of a call of a tool.
type form struct {
	name   string
	stream bool
	write  func(w *writing, parts []string, arguments string) string
	read   func(body string) (text, arguments string)
}

// writing writes JSON strings in pieces and with escapes at random.
type writing struct{ rng *rand.Rand }

// quoted is a text as a JSON string.
func (w *writing) quoted(text string) string {
	every := w.rng.IntN(5)
	return `"` + in("X", text, func(int) bool { return every > 0 && w.rng.IntN(every) == 0 }) + `"`
}

// pieces cuts a text into pieces.
func (w *writing) pieces(text string) []string {
	out := []string{}
	most := 1 + w.rng.IntN(12)
	for runes := []rune(text); len(runes) > 0; {
		n := min(len(runes), 1+w.rng.IntN(most))
		out, runes = append(out, string(runes[:n])), runes[n:]
	}
	return out
}

// each writes an event for each piece of a text.
func (w *writing) each(text string, event func(quoted string) string) string {
	var b strings.Builder
	for _, piece := range w.pieces(text) {
		b.WriteString(w.event(event(w.quoted(piece))))
	}
	return b.String()
}

// event writes an event, with one of the line ends there are.
func (w *writing) event(data string) string {
	end := []string{"\n", "\r\n", "\r"}[w.rng.IntN(3)]
	head := []string{"", ": a comment" + end, "event: e" + end, "id: 1" + end}[w.rng.IntN(4)]
	if i := strings.IndexByte(data, ','); i > 0 && w.rng.IntN(6) == 0 {
		data = data[:i+1] + end + "data: " + data[i+1:]
	}
	return head + []string{"data: ", "data:"}[w.rng.IntN(2)] + data + end + end
}

// data returns the data of the events of a stream, read without the code under test.
func data(stream string) (out []map[string]any) {
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	for event := range strings.SplitSeq(stream, "\n\n") {
		var lines []string
		for line := range strings.SplitSeq(event, "\n") {
			if value, ok := strings.CutPrefix(line, "data:"); ok {
				lines = append(lines, value)
			}
		}
		var object map[string]any
		if json.Unmarshal([]byte(strings.Join(lines, "\n")), &object) == nil {
			out = append(out, object)
		}
	}
	return out
}

func decode(body string) map[string]any {
	var object map[string]any
	_ = json.Unmarshal([]byte(body), &object)
	return object
}

// at returns what is at a path, or nil.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func str(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if v != nil {
		out, _ := json.Marshal(v)
		return string(out)
	}
	return ""
}

// joined joins the texts of parts.
func joined(list any, path ...any) (out string) {
	parts, _ := list.([]any)
	for _, part := range parts {
		out += str(at(part, path...))
	}
	return out
}

var forms = []form{
	{name: "chat", write: func(w *writing, parts []string, arguments string) string {
		return `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":` + w.quoted(strings.Join(parts, "")) +
			`,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":` + w.quoted(arguments) + `}}]},"logprobs":null,"finish_reason":"stop"}],"usage":{"total_tokens":3}}`
	}, read: func(body string) (string, string) {
		m := at(decode(body), "choices", 0, "message")
		return str(at(m, "content")), str(at(m, "tool_calls", 0, "function", "arguments"))
	}},
	{name: "chat stream", stream: true, write: func(w *writing, parts []string, arguments string) string {
		chunk := func(choice string) string {
			return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,` + choice + `,"finish_reason":null}]}`
		}
		out := w.event(chunk(`"delta":{"role":"assistant","content":""}`))
		out += w.each(strings.Join(parts, ""), func(q string) string { return chunk(`"delta":{"content":` + q + `}`) })
		out += w.event(chunk(`"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}`))
		out += w.each(arguments, func(q string) string {
			return chunk(`"delta":{"tool_calls":[{"index":0,"function":{"arguments":` + q + `}}]}`)
		})
		return out + w.event(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`) + w.event(`{"choices":[],"usage":{"total_tokens":3}}`) + "data: [DONE]\n\n"
	}, read: func(body string) (text, arguments string) {
		for _, event := range data(body) {
			delta := at(event, "choices", 0, "delta")
			text += str(at(delta, "content"))
			arguments += str(at(delta, "tool_calls", 0, "function", "arguments"))
		}
		return text, arguments
	}},
	{name: "messages", write: func(w *writing, parts []string, arguments string) string {
		content := ""
		for _, part := range parts {
			content += `{"type":"text","text":` + w.quoted(part) + `},`
		}
		return `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[` + content + `{"type":"tool_use","id":"toolu_1","name":"f","input":` + arguments +
			`}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}`
	}, read: func(body string) (string, string) {
		content, _ := at(decode(body), "content").([]any)
		return joined(content, "text"), str(at(content[len(content)-1], "input"))
	}},
	{name: "messages stream", stream: true, write: func(w *writing, parts []string, arguments string) string {
		out := w.event(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}`)
		for i, part := range parts {
			out += w.event(fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}`, i))
			out += w.each(part, func(q string) string {
				return fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%s}}`, i, q)
			})
			out += w.event(fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, i)) + w.event(`{"type":"ping"}`)
		}
		out += w.event(`{"type":"content_block_start","index":9,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}`)
		out += w.each(arguments, func(q string) string {
			return `{"type":"content_block_delta","index":9,"delta":{"type":"input_json_delta","partial_json":` + q + `}}`
		})
		return out + w.event(`{"type":"content_block_stop","index":9}`) + w.event(`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":2}}`) +
			w.event(`{"type":"message_stop"}`)
	}, read: func(body string) (text, arguments string) {
		for _, event := range data(body) {
			text += str(at(event, "delta", "text"))
			arguments += str(at(event, "delta", "partial_json"))
		}
		return text, arguments
	}},
	{name: "responses", write: func(w *writing, parts []string, arguments string) string {
		return responsesDocument(w, parts, arguments)
	}, read: func(body string) (string, string) {
		return joined(at(decode(body), "output", 0, "content"), "text"), str(at(decode(body), "output", 1, "arguments"))
	}},
	{name: "responses stream", stream: true, write: responsesStream, read: func(body string) (text, arguments string) {
		for _, event := range data(body) {
			switch event["type"] {
			case "response.output_text.delta":
				text += str(event["delta"])
			case "response.function_call_arguments.delta":
				arguments += str(event["delta"])
			}
		}
		return text, arguments
	}},
	{name: "responses stream, its last event", stream: true, write: responsesStream, read: func(body string) (text, arguments string) {
		for _, event := range data(body) {
			if event["type"] == "response.completed" {
				return joined(at(event, "response", "output", 0, "content"), "text"), str(at(event, "response", "output", 1, "arguments"))
			}
		}
		return "", ""
	}},
	{name: "gemini", write: func(w *writing, parts []string, arguments string) string {
		content := ""
		for _, part := range parts {
			content += `{"text":` + w.quoted(part) + `},`
		}
		return `{"candidates":[{"content":{"role":"model","parts":[` + content + `{"functionCall":{"name":"f","args":` + arguments + `}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"totalTokenCount":3}}`
	}, read: func(body string) (string, string) {
		parts, _ := at(decode(body), "candidates", 0, "content", "parts").([]any)
		return joined(parts, "text"), str(at(parts[len(parts)-1], "functionCall", "args"))
	}},
	{name: "gemini stream", stream: true, write: func(w *writing, parts []string, arguments string) string {
		out := w.each(strings.Join(parts, ""), func(q string) string {
			return `{"candidates":[{"content":{"role":"model","parts":[{"text":` + q + `}]},"index":0}],"modelVersion":"m"}`
		})
		return out + w.event(`{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":`+arguments+`}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"totalTokenCount":3}}`)
	}, read: func(body string) (text, arguments string) {
		for _, event := range data(body) {
			text += str(at(event, "candidates", 0, "content", "parts", 0, "text"))
			arguments += str(at(event, "candidates", 0, "content", "parts", 0, "functionCall", "args"))
		}
		return text, arguments
	}},
	{name: "gemini array", write: func(w *writing, parts []string, arguments string) string {
		out := "[ "
		for _, piece := range w.pieces(strings.Join(parts, "")) {
			out += `{"candidates":[{"content":{"role":"model","parts":[{"text":` + w.quoted(piece) + "}]},\"index\":0}]}\r\n,\r\n"
		}
		return out + `{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":` + arguments + `}}]},"finishReason":"STOP"}]} ]`
	}, read: func(body string) (text, arguments string) {
		var list []any
		_ = json.Unmarshal([]byte(body), &list)
		return joined(list, "candidates", 0, "content", "parts", 0, "text"), joined(list, "candidates", 0, "content", "parts", 0, "functionCall", "args")
	}},
}

func responsesDocument(w *writing, parts []string, arguments string) string {
	content := ""
	for i, part := range parts {
		if i > 0 {
			content += ","
		}
		content += `{"type":"output_text","text":` + w.quoted(part) + `,"annotations":[],"logprobs":[]}`
	}
	return `{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null,"instructions":null,"model":"m","text":{"format":{"type":"text"}},"output":[` +
		`{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[` + content + `]},` +
		`{"id":"fc_1","type":"function_call","call_id":"call_1","name":"f","arguments":` + w.quoted(arguments) + `}],"usage":{"total_tokens":3}}`
}

func responsesStream(w *writing, parts []string, arguments string) string {
	out := w.event(`{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","output":[],"text":{"format":{"type":"text"}}},"sequence_number":0}`)
	for i, part := range parts {
		out += w.each(part, func(q string) string {
			return fmt.Sprintf(`{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":%d,"delta":%s,"logprobs":[],"obfuscation":"a1b2"}`, i, q)
		})
		out += w.event(fmt.Sprintf(`{"type":"response.output_text.done","item_id":"msg_1","output_index":0,"content_index":%d,"text":%s,"logprobs":[]}`, i, w.quoted(part)))
	}
	out += w.each(arguments, func(q string) string {
		return `{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":` + q + `}`
	})
	out += w.event(`{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":1,"name":"f","arguments":` + w.quoted(arguments) + `}`)
	return out + w.event(`{"type":"response.completed","response":`+responsesDocument(w, parts, arguments)+`}`)
}

// cutUp cuts a body into pieces at random, often at each byte.
func cutUp(rng *rand.Rand, body string) (pieces []string) {
	most := 1
	if rng.IntN(3) > 0 {
		most = 1 + rng.IntN(400)
	}
	for len(body) > 0 {
		n := min(len(body), 1+rng.IntN(most))
		pieces, body = append(pieces, body[:n]), body[n:]
	}
	return pieces
}

// TestSeesSameResponseInAllForms holds that guards deny and mask the same in a response
// in whatever API it is written, as a stream or not, with whatever escapes and pieces.
func TestSeesSameResponseInAllForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	words := []string{"words ", "more, ", "bob@example.com ", "5 > 4 ", "\u00e9t\u00e9 ", "\U0001F600", "\"quoted\" ", "back\\slash\n", "4111 1111 1111 1111; ", "zeb", "ra ", "alice@example.org", "[x] "}
	for round := range 150 {
		var parts []string
		for range 1 + rng.IntN(3) {
			part := ""
			for range rng.IntN(12) {
				part += words[rng.IntN(len(words)-rng.IntN(4))]
			}
			if !strings.HasSuffix(part, "zeb") {
				part += " " // what is found in a part by itself is found in the parts joined
			}
			parts = append(parts, part)
		}
		inner, _ := json.Marshal(map[string]any{"to": strings.Join(parts, ""), "n": 7})
		arguments := string(inner)
		if rng.IntN(4) == 0 {
			arguments = `{"n":4111111111111111}`
		}
		d := &Definition{
			Deny: []Pattern{{Regex: "zebra", As: "names"}}, Mask: []Pattern{{Builtin: "email"}, {Builtin: "card"}},
			OnResponse: &OnResponse{Stream: StreamWhole},
		}
		if rng.IntN(2) == 0 {
			d.OnResponse = &OnResponse{Stream: StreamWindow, Window: 32 + rng.IntN(200)}
		}
		denied := strings.Contains(strings.Join(parts, ""), "zebra") || strings.Contains(arguments, "zebra")
		wantText := masked(t, strings.Join(parts, ""))
		wantArguments := map[string]any{"n": "[CARD]"}
		if !strings.Contains(arguments, "4111111111111111") {
			wantArguments = map[string]any{"n": 7, "to": masked(t, strings.Join(parts, ""))}
		}
		for _, f := range forms {
			body := f.write(&writing{rng}, parts, arguments)
			contentType := "application/json"
			if f.stream {
				contentType = eventStream
			}
			got, refused, counted := respond(t, d, noRequest, contentType, cutUp(rng, body)...)
			if denied != (refused != nil) {
				t.Fatalf("round %d, %s, %+v: denied %v, want %v\n%q\n%s", round, f.name, d.OnResponse, refused, denied, parts, body)
			}
			if denied {
				if strings.Contains(got, "zebra") || refused.Code != "content_policy" || !strings.Contains(strings.Join(counted, ","), "deny names") {
					t.Fatalf("%s: %s (%v, %v)", f.name, got, refused, counted)
				}
				continue
			}
			text, args := f.read(got)
			if text != wantText {
				t.Fatalf("round %d, %s, %+v: the client gets\n%q, want\n%q\nof %q\n%s", round, f.name, d.OnResponse, text, wantText, parts, body)
			}
			if one, other := fmt.Sprint(decode(args)), fmt.Sprint(wantArguments); one != other {
				t.Fatalf("round %d, %s: arguments %s, want %s\n%s", round, f.name, args, other, body)
			}
			if wantText == strings.Join(parts, "") && !strings.Contains(arguments, "4111") && got != body {
				t.Fatalf("%s: other bytes changed:\n%q\n%q", f.name, got, body)
			}
		}
	}
}

// masked is a text as the request side of the guard masks it.
func masked(t *testing.T, text string) string {
	body, _ := json.Marshal(map[string]any{"messages": []any{map[string]any{"role": "user", "content": text}}})
	after, _, _ := guarded(t, &Definition{Mask: []Pattern{{Builtin: "email"}, {Builtin: "card"}}}, chatPath, string(body))
	return str(at(decode(after), "messages", 0, "content"))
}

func chatChunk(content string) string {
	return `data: {"id":"c","choices":[{"index":0,"delta":{"content":` + content + `},"finish_reason":null}]}` + "\n\n"
}

// TestWindowHoldsBack holds that nothing is passed on before what follows was seen, and
// that nothing is held for longer than the window says.
func TestWindowHoldsBack(t *testing.T) {
	const secret = "project-zebra-code-0123456789"
	for _, window := range []int{len(secret), 64, 200} {
		f, err := New(map[string]*Definition{"g": {
			Deny: []Pattern{{Regex: `project-zebra-code-\d{10}`}}, OnResponse: &OnResponse{Stream: StreamWindow, Window: window},
		}}, zap.NewNop(), func(string, string, Action, string) {}, nil)
		if err != nil {
			t.Fatal(err)
		}
		step, _ := f.Begin(context.Background(), &filter.Call{Inbound: inbound(t, chatPath, noRequest), Guards: []string{"g"}})
		reader := step.Reader(tap.Plain())
		reader.Head(&llmprovider.Head{Status: 200, Header: http.Header{}, Stream: true})
		var out strings.Builder
		pass := func(p []byte) error { out.Write(p); return nil }
		sent := 0
		write := func(text string) error {
			for _, c := range text {
				if err := reader.Write([]byte(chatChunk(`"`+string(c)+`"`)), pass); err != nil {
					return err
				}
				sent++
				if behind := sent - strings.Count(out.String(), `"delta"`); sent > window+margin && (behind < window || behind > 2*window+2*margin+256) {
					t.Fatalf("window %d: %d bytes behind", window, behind)
				}
			}
			return nil
		}
		if err := write(strings.Repeat("some words ", 100)); err != nil {
			t.Fatal(err)
		}
		err = write(secret + strings.Repeat(" and more", 100))
		var refused *llmprovider.Error
		if !errors.As(err, &refused) || refused.Status != 403 || !strings.Contains(refused.Message, "denies the response") {
			t.Errorf("window %d: %v", window, err)
		}
		if strings.HasSuffix(out.String(), chatChunk(`"p"`)) || strings.Contains(out.String(), `"p"`) {
			t.Errorf("window %d: the secret has begun", window)
		}
	}
}

// TestMatchesWaitForWhatFollows holds that the end of what has come is not the end of the
// text.
func TestMatchesWaitForWhatFollows(t *testing.T) {
	var pieces []string
	for _, text := range []string{"a number: 123-45-6789", "-1 and 4222222222222", "000 and secret", "ary, the end of which is far away", " and goes on and on and on"} {
		pieces = append(pieces, chatChunk(`"`+text+`"`))
	}
	pieces = append(pieces, "data: [DONE]\n\n")
	d := &Definition{
		Deny:       []Pattern{{Builtin: "ssn"}, {Builtin: "card"}, {Regex: `secret$`}, {Regex: `\bsecret\b`}, {Regex: `^and`}},
		OnResponse: &OnResponse{Stream: StreamWindow, Window: MinWindow},
	}
	if got, refused, _ := respond(t, d, noRequest, eventStream, pieces...); refused != nil || got != strings.Join(pieces, "") {
		t.Errorf("%v\n%s", refused, got)
	}
}

func TestRestore(t *testing.T) {
	const request = `{"messages":[{"role":"user","content":"from bob@example.com and a.\"b\"@example.com to bob@example.com, not [EMAIL_2]"}]}`
	d := &Definition{Mask: []Pattern{{Builtin: "email"}}, Restore: true}
	after, _, _ := guarded(t, d, chatPath, request)
	if want := `{"messages":[{"role":"user","content":"from [EMAIL_1] and a.\"b\"[EMAIL_3] to [EMAIL_1], not [EMAIL_2]"}]}`; after != want {
		// The quote is not a part of an address that is written without quotes.
		if !strings.Contains(after, "from [EMAIL_1]") || !strings.Contains(after, "to [EMAIL_1], not [EMAIL_2]") {
			t.Errorf("masked to %s", after)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for _, onResponse := range []*OnResponse{nil, {Stream: StreamOff}, {Stream: StreamWhole}, {Stream: StreamWindow, Window: 20}} {
		d := &Definition{
			Mask: []Pattern{{Builtin: "email"}, {Regex: `q".\\n`, As: "odd"}, {Builtin: "card"}}, Restore: true, OnRequest: true, OnResponse: onResponse,
		}
		const request = `{"messages":[{"role":"user","content":"bob@example.com, q\"x\\n"},{"role":"assistant","tool_calls":[{"function":{"arguments":"{\"n\":4111111111111111}"}}]}]}`
		for _, f := range forms {
			contentType := "application/json"
			if f.stream {
				contentType = eventStream
			}
			body := f.write(&writing{rng}, []string{"to [EMAIL_1] ", "[ODD_1] [EMAIL_2] [", "odd_1] [CARD_1]"}, `{"a":"[ODD_1] and [EMAIL_1]"}`)
			got, refused, _ := respond(t, d, request, contentType, cutUp(rng, body)...)
			text, arguments := f.read(got)
			if refused != nil || text != `to bob@example.com q"x\n [EMAIL_2] [odd_1] 4111111111111111` || str(decode(arguments)["a"]) != `q"x\n and bob@example.com` {
				t.Errorf("%s, %+v: %q, %s, %v", f.name, onResponse, text, arguments, refused)
			}
		}
	}
	// What is only put back is not held longer than it has to be.
	got, _, _ := respond(t, &Definition{Mask: []Pattern{{Builtin: "email"}}, Restore: true}, `{"messages":[{"role":"user","content":"bob@example.com"}]}`, eventStream,
		chatChunk(`"a [x] word"`), chatChunk(`" [EMA"`), chatChunk(`"IL_1]"`), chatChunk(`" [EM"`))
	if want := chatChunk(`"a [x] word"`) + chatChunk(`" bob@example.com"`) + chatChunk(`""`) + chatChunk(`" [EM"`); got != want {
		t.Errorf("got %s", got)
	}
}

func TestUnreadableResponses(t *testing.T) {
	long := strings.Repeat("x", maxHeld)
	var lanes strings.Builder
	for i := range maxLanes + 10 {
		fmt.Fprintf(&lanes, `data: {"choices":[{"index":%d,"delta":{"content":"a"}}]}`+"\n\n", i)
	}
	whole, window := &OnResponse{Stream: StreamWhole}, &OnResponse{Stream: StreamWindow, Window: 64}
	for _, test := range []struct{ contentType, body, says string }{
		{"application/json", `{"choices":[{"message":{"role":"assistant","content":"a","images":[{"image_url":{"url":"data:image/png;base64,AAAA"}}]}}]}`, "an image"},
		{"application/json", `{"choices":[{"message":{"role":"assistant","content":"a","audio":{"data":"AAAA","transcript":"a"}}}]}`, "a sound"},
		{"application/json", `{"choices":[{"message":{"role":"assistant","content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1}]}}]}`, "log probabilities"},
		{"application/json", `{"choices":[{"message":{"role":"assistant","content":[{"type":"hologram","text":"a"}]}}]}`, "unknown type"},
		{"application/json", `{"created":1,"data":[{"b64_json":"AAAA"}]}`, "an image"},
		{"application/json", `{"output":[{"type":"image_generation_call","result":"AAAA"}]}`, "an image"},
		{"application/json", `{"candidates":[{"content":{"role":"model","parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}`, "a file"},
		{"audio/mpeg", "ID3", "no text"},
		{"text/plain", "\xff\xfe", "no text"},
		{"application/json", `"` + long + `"`, "longer than"},
		{eventStream, chatChunk(`"` + long + `"`), "longer than"},
		{eventStream, "data: not JSON\n\n", "no JSON"},
		{eventStream, lanes.String(), "longer than"},
		{eventStream, `data: {"type":"response.audio.delta","delta":"AAAA"}` + "\n\n", "a sound"},
		{eventStream, `data: {"type":"response.image_generation_call.partial_image","partial_image_b64":"AAAA"}` + "\n\n", "an image"},
	} {
		for _, on := range []*OnResponse{whole, window} {
			got, refused, _ := respond(t, &Definition{Deny: []Pattern{{Regex: "zebra"}}, OnResponse: on}, noRequest, test.contentType, test.body)
			if refused == nil || refused.Status != 403 || !strings.Contains(refused.Message, test.says) || got != "" {
				t.Errorf("%s %.100s: %v, passed %.50s", test.contentType, test.body, refused, got)
			}
			if test.says == "longer than" {
				continue
			}
			got, refused, counted := respond(t, &Definition{Deny: []Pattern{{Regex: "zebra"}}, OnResponse: on, Unreadable: UnreadableOpen}, noRequest, test.contentType, test.body)
			if refused != nil || got != test.body || strings.Join(counted, ",") != "pass unreadable" {
				t.Errorf("open: %s %.100s: %v, %v", test.contentType, test.body, refused, counted)
			}
		}
	}
}

// TestOddResponses has what no API documents, where text could hide.
func TestOddResponses(t *testing.T) {
	for _, test := range []struct{ contentType, body string }{
		{"application/json", `{"error":{"message":"zebra"}}`},
		{"application/json", `{"id":"the zebra"}`},
		{"application/json", `"zebra"`},
		{"application/json", `{"text":"z\u0065bra"}`},
		{"application/json", "\ufeff{\"text\":\"z\\u0065bra\"}"},
		{"application/json", `{"text":"z\u0065bra"`},
		{"application/json", `{"text":"z\u0065bra"}}`},
		{"text/plain", "a zebra"},
		{"", "a zebra"},
		{"application/json", `{"choices":[{"message":{"role":"assistant","content":"a"}},{"message":{"content":"zebra"}}]}`},
		{"application/json", `{"choices":[{"message":{"role":"assistant","reasoning_details":[{"text":"zebra"}]}}]}`},
		{"application/json", `{"choices":[{"text":"zebra"}]}`},
		{"application/json", `{"results":[{"document":{"text":"zebra"}}]}`},
		{eventStream, `data: {"choices":[{"index":1,"delta":{"content":"zeb"}},{"index":0,"delta":{"content":"x"}}]}` + "\n\n" + `data: {"choices":[{"index":1,"delta":{"content":"ra"}}]}` + "\n\n"},
		{eventStream, `data: {"choices":[{"text":"zeb"}]}` + "\n\n" + `data: {"choices":[{"text":"ra"}]}` + "\n\n"},
		{eventStream, `data: {"choices":[{"delta":{"reasoning":"zeb"}}]}` + "\n\n" + `data: {"choices":[{"delta":{"reasoning":"ra"}}]}` + "\n\n"},
		{eventStream, `data: {"choices":[{"delta":{"unheard_of":"zeb"}}]}` + "\n\n" + `data: {"choices":[{"delta":{"unheard_of":"ra"}}]}` + "\n\n"},
		{eventStream, `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"name":"f","input":"zeb"}}]}}]}` + "\n\n" + `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"input":"ra"}}]}}]}` + "\n\n"},
		{eventStream, `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\":\"ze\\u0062"}}]}}]}` + "\n\n" +
			`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ra"}}]}}]}` + "\n\n"},
		{eventStream, `data: {"choices":[{"delta":{"function_call":{"name":"f","arguments":"{\"zeb"}}}]}` + "\n\n" + `data: {"choices":[{"delta":{"function_call":{"arguments":"ra\":1}"}}}]}` + "\n\n"},
		{eventStream, `data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"zeb"}}` + "\n\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"ra"}}` + "\n\n"},
		{eventStream, `data: {"type":"transcript.text.delta","delta":"zeb"}` + "\n\n" + `data: {"type":"transcript.text.delta","delta":"ra"}` + "\n\n"},
		{eventStream, `data: {"error":{"message":"zebra"}}` + "\n\n"},
		{eventStream, `data: {"choices":[{"delta":{"content":"zebra"}}]}`},
		{eventStream, "\ufeff" + `data: {"choices":[{"delta":{"content":"zebra"}}]}` + "\n\n"},
		{eventStream, `data: {"type":"message_start","message":{"content":[{"type":"text","text":"zebra"}]}}` + "\n\n"},
		{eventStream, `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"zeb"}}` + "\n\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ra"}}` + "\n\n"},
		{"application/json", `[{"candidates":[{"content":{"parts":[{"text":"zeb"}]}}]},{"candidates":[{"content":{"parts":[{"text":"ra"}]}}]}]`},
		{"application/json", `["zebra"]`},
	} {
		for _, on := range []*OnResponse{{Stream: StreamWhole}, {Stream: StreamWindow, Window: 64}} {
			d := &Definition{Deny: []Pattern{{Regex: "zebra"}}, OnResponse: on, Unreadable: UnreadableOpen}
			got, refused, _ := respond(t, d, noRequest, test.contentType, test.body)
			if refused == nil || strings.Contains(got, "ra") {
				t.Errorf("%s %s: not denied: %s", test.contentType, test.body, got)
			}
			d.Log = true
			if got, refused, counted := respond(t, d, noRequest, test.contentType, test.body); refused != nil || got != test.body || !strings.Contains(strings.Join(counted, ","), "log regex") {
				t.Errorf("%s %s: logging only: %v, %v, %s", test.contentType, test.body, refused, counted, got)
			}
		}
	}
}

// FuzzStream holds that no stream makes guards fail, and that what is not changed keeps
// its bytes.
func FuzzStream(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, form := range forms {
		f.Add(form.write(&writing{rng}, []string{"bob@example.com and", "more"}, `{"a":1}`), 5)
	}
	f.Fuzz(func(t *testing.T, body string, at int) {
		at = max(0, min(at, len(body)))
		d := &Definition{Mask: []Pattern{{Regex: "a.?b", As: "w"}}, Unreadable: UnreadableOpen, OnResponse: &OnResponse{Stream: StreamWindow, Window: MinWindow}}
		for _, contentType := range []string{eventStream, "application/json"} {
			got, refused, counted := respond(t, d, noRequest, contentType, body[:at], body[at:])
			if refused != nil || !strings.Contains(strings.Join(counted, ","), "mask w") && got != body {
				t.Errorf("%v, %q became %q", refused, body, got)
			}
		}
	})
}

func BenchmarkWindow(b *testing.B) {
	d := &Definition{OnResponse: &OnResponse{Stream: StreamWindow, Window: 1024}}
	for i := range 10 {
		d.Deny = append(d.Deny, Pattern{Regex: fmt.Sprintf(`(?i)secret-%d`, i)})
	}
	f, err := New(map[string]*Definition{"g": d}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if err != nil {
		b.Fatal(err)
	}
	step, _ := f.Begin(context.Background(), &filter.Call{Inbound: inbound(b, chatPath, noRequest), Guards: []string{"g"}})
	reader := step.Reader(tap.Plain())
	reader.Head(&llmprovider.Head{Status: 200, Header: http.Header{}, Stream: true})
	event := []byte(`data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	b.ReportAllocs()
	for b.Loop() {
		if err := reader.Write(event, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
