package hostile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
)

// A response that breaks off is never passed on as one that is whole.
func TestAnswersThatBreakOff(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up, "first_byte_timeout 1s", "idle_timeout 1s")
	whole := fp.JSON(200, okJSON)
	half := fp.Bytes(200, "application/json", []byte(okJSON[:len(okJSON)/2]))
	stream := fp.SSE("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n", "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"}}]}\n\n", "data: [DONE]\n\n")
	for _, tc := range []struct {
		name   string
		reply  fp.Reply
		stream bool
		code   string // of the error in a stream
	}{
		{"longer length than body", whole.DeclareLength(int64(len(okJSON) + 10)), false, ""},
		{"chunks without the last one", whole.Then(fp.Close()), false, ""},
		{"a reset in the middle", half.Then(fp.Reset()), false, ""},
		{"half a document, ended by the connection", half.CloseDelimited(), false, ""},
		{"half a document of HTTP/1.0", half.HTTP10(), false, ""},
		{"silence in the middle", half.Then(fp.Hang()), false, ""},
		{"stream without its last chunk", stream.CloseAfter(2), true, "provider_unreachable"},
		{"stream cut in an event", stream.CloseMidEvent(1), true, "provider_unreachable"},
		{"stream reset", stream.ResetAfter(1), true, "provider_unreachable"},
		{"stream reset in an event", stream.ResetMidEvent(1), true, "provider_unreachable"},
		{"stream reset at once", stream.ResetAfter(0), true, "provider_unreachable"},
		{"stream ended by the connection without [DONE]", fp.SSE("data: {\"choices\":[]}\n\n").CloseDelimited(), true, "provider_unreachable"},
		{"silence in a stream", stream.HangAfter(1), true, "provider_timeout"},
		{"silence at the start of a stream", stream.HangAfter(0), true, "provider_timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			act(up, tc.reply)
			body := hello
			if tc.stream {
				body = `{"stream":true,"messages":[]}`
			}
			mark := s.LogMark()
			a := s.post(t, body, actHeader, "1")
			if a.err == nil {
				t.Errorf("the client got a whole response: %d %q", a.status, a.body)
			}
			if tc.stream {
				events := fp.Events(a.body)
				var e struct {
					Error struct{ Code, Message string }
				}
				if len(events) == 0 || json.Unmarshal(events[len(events)-1].Data, &e) != nil || e.Error.Code != tc.code || e.Error.Message == "" {
					t.Errorf("the stream ends with no error: %q", a.body)
				}
			}
			line := s.WaitLogSince(mark, "response broke off")
			if line.Level != "error" || line.Fields["provider"] != "up" {
				t.Errorf("the log says %s", line.Raw)
			}
			s.serves(t)
		})
	}
	for name, reply := range map[string]fp.Reply{
		"silence instead of a response": fp.Reply{}.HangBeforeHead(),
		"silence after the head":        whole.HangAfter(0), // nothing was passed on
	} {
		t.Run(name, func(t *testing.T) {
			act(up, reply)
			s.post(t, hello, actHeader, "1").refused(t, http.StatusGatewayTimeout, "provider_timeout")
			s.serves(t)
		})
	}
}

// What comes after the end of a response is no part of it, nor of the next one.
func TestMoreThanAnnounced(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	junk := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"evil\":1}"
	for range 20 { // a race for the connection would show in some of them
		act(up, head(fmt.Sprintf("%s\nContent-Length: %d", okHead, len(okJSON)), okJSON+junk))
		if a := s.post(t, hello, actHeader, "1"); a.err != nil || string(a.body) != okJSON {
			t.Fatalf("got %d %q, %v", a.status, a.body, a.err)
		}
		a := s.post(t, hello)
		if bytes.Contains(a.body, []byte("evil")) {
			t.Fatalf("the next request got the rest: %d %q", a.status, a.body)
		}
	}
	waitFor(t, "an ordinary answer", func() bool { return s.post(t, hello).status == 200 })
	s.serves(t)
}

// Whatever a provider says passes through as it is, right or wrong.
func TestNonsenseWithAProperEnd(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	deep := strings.Repeat("[", 100_000)
	for _, tc := range []struct{ name, contentType, body string }{
		{"truncated JSON", "application/json", okJSON[:50]},
		{"no JSON", "application/json", "this is no JSON"},
		{"two documents", "application/json", okJSON + okJSON},
		{"unbalanced", "application/json", "]]]}}}\"\"\"{{{"},
		{"nothing", "application/json", ""},
		{"null", "application/json", "null"},
		{"binary", "application/json", "\x00\x01\xff\xfe\"usage\":{"},
		{"deep", "application/json", `{"x":` + deep + strings.Repeat("]", len(deep)) + `,"usage":{"prompt_tokens":1,"completion_tokens":1}}`},
		{"deep, never closed", "application/json", `{"usage":` + deep},
		{"strange type", "application/json; charset=utf-16; =;;", okJSON},
		{"no type", "", okJSON},
		{"stream without events", "text/event-stream", "x\n"},
		{"stream of JSON", "text/event-stream", okJSON},
		{"deep event", "text/event-stream", "data: {\"usage\":{\"a\":" + deep + "\n\ndata: [DONE]\n\n"},
		{"binary stream", "text/event-stream", "data: \x00\xff\n\n\x00\x00data:{\"usage\":\xff}\n\n"},
		{"stream with NUL", "text/event-stream", "\x00data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"},
		{"broken usage", "text/event-stream", "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":\n\ndata: {\"usage\":{{{{\n\n"},
		{"many carriage returns", "text/event-stream", strings.Repeat("\r", 10_000) + "data: a\r\r"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply := fp.Bytes(200, tc.contentType, []byte(tc.body))
			if tc.contentType == "" {
				reply.Header = http.Header{}
			}
			act(up, reply)
			for _, request := range []string{hello, `{"stream":true,"stream_options":{"include_usage":true}}`, `{"stream":true}`} {
				a := s.post(t, request, actHeader, "1")
				if a.err != nil || a.status != 200 || string(a.body) != tc.body {
					t.Errorf("%s got %d, %d bytes instead of %d: %.200q, %v", request, a.status, len(a.body), len(tc.body), a.body, a.err)
				}
			}
			s.serves(t)
		})
	}
}

// A provider's own error reaches the client as it is, whatever its form.
func TestErrorPages(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	page := "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr>cloudflare</body></html>"
	for _, status := range []int{400, 402, 403, 408, 418, 421, 429, 451, 500, 502, 503, 504, 520, 529, 599} {
		for _, reply := range []fp.Reply{
			fp.Bytes(status, "text/html; charset=UTF-8", []byte(page)), fp.JSON(status, "no JSON"), fp.JSON(status, ""), fp.Bytes(status, "text/event-stream", []byte(page)).WithHeader("Retry-After", "never"),
			fp.Bytes(status, "text/html", []byte(page)).CloseDelimited(),
		} {
			act(up, reply)
			a := s.post(t, hello, actHeader, "1")
			if a.err != nil || a.status != status || !bytes.Equal(a.body, reply.Body) || a.header.Get("Content-Type") != reply.Header.Get("Content-Type") {
				t.Errorf("%d %s became %d %.100q %v, %v", status, reply.Body, a.status, a.body, a.header, a.err)
			}
		}
	}
	s.serves(t)
}

// Token counts that cannot be are not counted. Those that can be are.
func TestIncredibleUsage(t *testing.T) {
	up := plainProvider(t)
	s := start(t, up)
	const none = "<nil> <nil>"
	for _, tc := range []struct{ name, usage, want string }{ // want: prompt and completion in the access log
		{"negative", `{"prompt_tokens":-1,"completion_tokens":5}`, "0 5"},
		{"huge", `{"prompt_tokens":99999999999999999999999,"completion_tokens":5}`, "0 5"},
		{"beyond every number", `{"prompt_tokens":1e999,"completion_tokens":5}`, "0 5"},
		{"just above 64 bits", `{"prompt_tokens":9223372036854775808,"completion_tokens":1}`, "0 1"},
		{"just below zero", `{"prompt_tokens":-9223372036854775808,"completion_tokens":1}`, "0 1"},
		{"strings", `{"prompt_tokens":"11","completion_tokens":"85"}`, none},
		{"a text", `"11 and 85"`, none},
		{"a list", `[11,85]`, none},
		{"null", `null`, none},
		{"empty", `{}`, none},
		{"other members", `{"tokens":11}`, none},
		{"lists of numbers", `{"prompt_tokens":[11],"completion_tokens":{"n":85}}`, none},
		{"NaN", `{"prompt_tokens":NaN,"completion_tokens":Infinity}`, none},
		{"one of the two", `{"prompt_tokens":11,"completion_tokens":null}`, "11 0"},
		{"zero", `{"prompt_tokens":0,"completion_tokens":0}`, "0 0"},
		{"right", `{"prompt_tokens":11,"completion_tokens":85}`, "11 85"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			document := `{"model":"m","choices":[{"index":0,"finish_reason":"stop"}],"usage":` + tc.usage + `}`
			for _, reply := range []fp.Reply{fp.JSON(200, document), fp.SSE("data: "+document+"\n\n", "data: [DONE]\n\n")} {
				act(up, reply)
				mark := s.LogMark()
				a := s.post(t, `{"stream":true}`, actHeader, "1")
				if a.err != nil || a.status != 200 || !bytes.Contains(a.body, []byte(strings.TrimSuffix(document, `,"usage":null}`))) {
					t.Fatalf("got %d %q, %v", a.status, a.body, a.err)
				}
				line := s.WaitLogSince(mark, actHeader)
				if got := fmt.Sprintf("%v %v", line.Fields["request_prompt_tokens"], line.Fields["request_completion_tokens"]); got != tc.want {
					t.Errorf("the log says %s, want %s", got, tc.want)
				}
				if line.Fields["finish_reason"] != "stop" {
					t.Errorf("finish reason %v", line.Fields["finish_reason"])
				}
			}
		})
	}
	s.serves(t)

	// Nothing else was counted either; "m" is the model of these responses alone.
	text := s.metrics(t)
	for name, want := range map[string]string{"prompt": "44", "completion": "204"} {
		found := regexp.MustCompile(`asm_llm_proxy_` + name + `_tokens\{[^}]*llmproxy_model="m"[^}]*\} (\S+)`).FindStringSubmatch(text)
		if found == nil || found[1] != want {
			t.Errorf("counted %q %s tokens, want %s", found, name, want)
		}
	}
}
