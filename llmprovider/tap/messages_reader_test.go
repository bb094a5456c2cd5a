package tap

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// messagesStream is a stream in the documented shapes:
// https://docs.anthropic.com/en/docs/build-with-claude/streaming.
const messagesStream = `event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"cache_read_input_tokens":1000,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello \"usage\": {"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":1000,"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

`

var messagesUsage = llmprovider.Usage{
	Known: true, PromptTokens: 1325, CompletionTokens: 15, CachedTokens: 1000, CacheWriteTokens: 300, Model: "claude-sonnet-5", FinishReason: "tool_use",
}

func messagesReader(media string) llmprovider.Reader {
	a := &llmprovider.Attempt{Endpoint: llmprovider.Endpoint{Operation: llmprovider.Chat, API: llmprovider.MessagesAPI, Suffix: llmprovider.MessagesSuffix}}
	res := &http.Response{Header: http.Header{"Content-Type": {media}}}
	return NewReader(a, res, llmprovider.IsEvents(res.Header))
}

// read passes the text on in pieces of that size, and returns what came out.
func readAll(t *testing.T, r llmprovider.Reader, text string, size int) string {
	t.Helper()
	var out strings.Builder
	pass := func(p []byte) error { out.Write(p); return nil }
	for len(text) > 0 {
		n := min(size, len(text))
		if err := r.Write([]byte(text[:n]), pass); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	if err := r.Finish(pass); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestMessagesStream cuts a stream at each byte, and in pieces of each size.
func TestMessagesStream(t *testing.T) {
	for size := 1; size <= len(messagesStream); size++ {
		r := messagesReader("text/event-stream")
		if got := readAll(t, r, messagesStream, size); got != messagesStream {
			t.Fatalf("in pieces of %d: passed on\n%s", size, got)
		}
		if got := *r.Usage(); got != messagesUsage {
			t.Fatalf("in pieces of %d: usage %+v, want %+v", size, got, messagesUsage)
		}
		if !r.Ended() || r.Failed() || !r.Content() || !r.Settled() || r.Unfinished() {
			t.Fatalf("in pieces of %d: ended %v, failed %v, content %v, settled %v, unfinished %v", size, r.Ended(), r.Failed(), r.Content(), r.Settled(), r.Unfinished())
		}
	}
	finish := strings.Index(messagesStream, "event: message_delta")
	for cut := range len(messagesStream) {
		r := messagesReader("text/event-stream")
		readAll(t, r, messagesStream[:cut], 64)
		if r.Ended() && cut < strings.LastIndex(messagesStream, "message_stop") {
			t.Errorf("cut after %d bytes, the stream has ended", cut)
		}
		if cut <= finish && cut > 0 && !r.Unfinished() {
			t.Errorf("cut after %d bytes, the stream is complete", cut)
		}
	}
}

func TestMessagesStreamContent(t *testing.T) {
	for event, want := range map[string]bool{
		`{"type":"ping"}`: false,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`:                           false,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`:                            true,
		`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}`:                    true,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{"}}`:              true,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}`: false,
		`{"type":"message_stop"}`: false,
	} {
		r := messagesReader("text/event-stream")
		readAll(t, r, "data: "+event+"\n\n", 1000)
		if r.Content() != want {
			t.Errorf("%s: content %v, want %v", event, r.Content(), want)
		}
	}
}

func TestMessagesStreamError(t *testing.T) {
	r := messagesReader("text/event-stream")
	const failed = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
	readAll(t, r, messagesStream[:strings.Index(messagesStream, "event: content_block_stop")]+failed, 7)
	if !r.Failed() || r.Ended() || !strings.Contains(string(r.Failure()), "overloaded_error") {
		t.Errorf("failed %v, ended %v, failure %s", r.Failed(), r.Ended(), r.Failure())
	}
	const want = "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"gone\"}}\n\n"
	if got := string(r.ErrorEvent(&llmprovider.Error{Status: http.StatusBadGateway, Message: "gone"})); got != want {
		t.Errorf("the gateway's own event is %q, want %q", got, want)
	}
}

func TestMessagesResponse(t *testing.T) {
	const response = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text","text":"hi","stop_reason":"x","usage":{"input_tokens":9}}],` +
		`"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":1000,"output_tokens":15,"service_tier":"standard"}}`
	for size := 1; size <= len(response); size++ {
		r := messagesReader("application/json")
		if got := readAll(t, r, response, size); got != response {
			t.Fatal(got)
		}
		if got := *r.Usage(); got != messagesUsage {
			t.Fatalf("in pieces of %d: usage %+v, want %+v", size, got, messagesUsage)
		}
	}
}

// TestJudgeMessages holds that a message is no answer without choices.
func TestJudgeMessages(t *testing.T) {
	for response, want := range map[string]Verdict{
		`{"type":"message","content":[]}`:                                       "",
		`{"type":"error","error":{"type":"overloaded_error","message":"busy"}}`: IsError,
		`{}`:           IsEmpty,
		messagesStream: "",
		"event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n": IsError,
	} {
		if got, _ := judgeText([]byte(response), true, llmprovider.Endpoint{Operation: llmprovider.Chat, API: llmprovider.MessagesAPI}); got != want {
			t.Errorf("%.40s: %q, want %q", response, got, want)
		}
	}
}
