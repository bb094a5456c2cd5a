package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// history is the request of a client that sends a response back: as its SDK keeps it,
// which leaves out empty texts in Google's API.
func history(t *testing.T, api *dialect.API, stream bool, response string) string {
	t.Helper()
	documents := []string{response}
	if stream {
		documents = nil
		for line := range strings.SplitSeq(response, "\n") {
			if data, ok := strings.CutPrefix(line, "data: "); ok && data != "[DONE]" {
				documents = append(documents, data)
			}
		}
	}
	var parts []string
	for _, document := range documents {
		var d struct {
			Candidates []struct {
				Content struct{ Parts []map[string]any }
			}
			Output   []json.RawMessage
			Response struct{ Output []json.RawMessage }
			Type     string
			Choices  []struct{ Message json.RawMessage }
		}
		if err := json.Unmarshal([]byte(document), &d); err != nil {
			t.Fatal(err, document)
		}
		if d.Type == "response.completed" {
			d.Output = d.Response.Output
		} else if d.Type != "" {
			d.Output = nil
		}
		for _, item := range d.Output {
			parts = append(parts, string(item))
		}
		for _, choice := range d.Choices {
			parts = append(parts, string(choice.Message))
		}
		for _, candidate := range d.Candidates {
			for _, part := range candidate.Content.Parts {
				if part["text"] == "" {
					delete(part, "text")
				}
				data, _ := json.Marshal(part)
				parts = append(parts, string(data))
			}
		}
	}
	all := strings.Join(parts, ",")
	switch api {
	case gemini.API:
		return `{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[` + all + `]},{"role":"user","parts":[{"text":"on"}]}]}`
	case responses.API:
		return `{"model":"x","input":[{"role":"user","content":"hi"},` + all + `,{"role":"user","content":"on"}]}`
	}
	return `{"model":"x","messages":[{"role":"user","content":"hi"},` + all + `,{"role":"user","content":"on"}]}`
}

// What a model of Anthropic's thought goes back to it as it came, through clients of all
// APIs: text with its signature, a signature alone, and what was redacted.
func TestThoughtsGoRound(t *testing.T) {
	start := func(block string) string {
		return typed(`{"type":"content_block_start","content_block":` + block + `}`)
	}
	delta := func(d string) string { return typed(`{"type":"content_block_delta","delta":` + d + `}`) }
	stop := typed(`{"type":"content_block_stop"}`)
	thinking := start(`{"type":"thinking","thinking":"","signature":""}`)
	signed := delta(`{"type":"signature_delta","signature":"U0lH"}`) + stop
	blocks := map[string]struct{ whole, stream string }{
		"signed":    {`{"type":"thinking","thinking":"why so","signature":"U0lH"}`, thinking + delta(`{"type":"thinking_delta","thinking":"why "}`) + delta(`{"type":"thinking_delta","thinking":"so"}`) + signed},
		"signature": {`{"type":"thinking","thinking":"","signature":"U0lH"}`, thinking + signed},
		"redacted":  {`{"type":"redacted_thinking","data":"REFUQQ=="}`, start(`{"type":"redacted_thinking","data":"REFUQQ=="}`) + stop},
	}
	for _, order := range [][]string{{"signed"}, {"signature"}, {"redacted"}, {"signed", "redacted"}, {"redacted", "signed"}, {"signed", "signed"}, {"signature", "signed"}, {"signed", "signature"}, {"redacted", "redacted"}} {
		var all []string
		stream := typed(`{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1,"output_tokens":1}}}`)
		for _, name := range order {
			all = append(all, blocks[name].whole)
			stream += blocks[name].stream
		}
		stream += start(`{"type":"text","text":""}`) + delta(`{"type":"text_delta","text":"ok"}`) + stop + typed(`{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`) + typed(`{"type":"message_stop"}`)
		content := "[" + strings.Join(all, ",") + `,{"type":"text","text":"ok"}]`
		whole := `{"id":"m","content":` + content + `,"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`
		for _, client := range []*dialect.API{chat.API, responses.API, gemini.API} {
			for _, streamed := range []bool{false, true} {
				if streamed && client == chat.API {
					continue // put together by each program in its own way
				}
				in := map[bool]string{false: whole, true: stream}[streamed]
				o := dialect.ResponseOptions{Request: &dialect.Request{API: client}, Model: "m", Stream: streamed, Vendor: messages.Vendor, ID: "x"}
				body := history(t, client, streamed, through(t, messages.API, client, o, in, 50))
				r, refused := dialect.Read(client, []byte(body), dialect.Call{Model: "m"})
				if refused != nil {
					t.Fatal(refused, body)
				}
				out, refused := dialect.Translate(r, messages.API, dialect.Target{Model: "m", Vendor: messages.Vendor})
				if refused != nil {
					t.Fatal(refused, body)
				}
				if !strings.Contains(string(out.Body), `{"role":"assistant","content":`+content+`}`) {
					t.Errorf("%v through %s, streamed %v, comes back as %s from %s", order, client.Name, streamed, out.Body, body)
				}
			}
		}
	}
}

// A model that thinks with a budget is not asked to where a client sends calls back without
// the reasoning that led to them, which the API rejects; others are.
func TestThinkingAfterALostThought(t *testing.T) {
	const call = `{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]THOUGHT},{"role":"tool","tool_call_id":"c","content":"r"}`
	budget, adaptive := &dialect.Profile{Reasoning: "budget"}, &dialect.Profile{}
	thought := strings.Replace(call, "THOUGHT", `,"thinking_blocks":[{"type":"thinking","thinking":"why","signature":"U0lH"}]`, 1)
	foreign := strings.Replace(call, "THOUGHT", `,"thinking_blocks":[{"type":"thinking","thinking":"why","signature":"llm.openai:U0lH"}]`, 1)
	lost := strings.Replace(call, "THOUGHT", "", 1)
	const text = `{"role":"assistant","content":"done"},{"role":"user","content":"more"}`
	for _, tc := range []struct {
		name    string
		profile *dialect.Profile
		turns   string
		thinks  bool
	}{
		{"lost", budget, lost, false}, {"of another vendor", budget, foreign, false}, {"kept", budget, thought, true}, {"over", budget, lost + "," + text, true},
		{"text alone", budget, text, true}, {"kept, then lost", budget, thought + "," + strings.ReplaceAll(lost, `"c"`, `"d"`), true}, {"kept before another question", budget, thought + `,{"role":"user","content":"more"},` + strings.ReplaceAll(lost, `"c"`, `"d"`), false}, {"lost, adaptive", adaptive, lost, true},
	} {
		r, refused := dialect.Read(chat.API, []byte(`{"model":"x","reasoning_effort":"high","max_tokens":20000,"messages":[{"role":"user","content":"hi"},`+tc.turns+`]}`), dialect.Call{})
		if refused != nil {
			t.Fatal(refused)
		}
		out, refused := dialect.Translate(r, messages.API, dialect.Target{Model: "m", Profile: tc.profile})
		if refused != nil {
			t.Fatal(refused)
		}
		thinks := strings.Contains(string(out.Body), `"thinking":{"type":`)
		if lost := strings.Join(out.Loss.Fields(chat.API, dialect.Dropped), " "); thinks != tc.thinks || strings.Contains(lost, "reasoning_effort") == tc.thinks {
			t.Errorf("%s: thinks %v, dropped %q: %s", tc.name, thinks, lost, out.Body)
		}
	}
}
