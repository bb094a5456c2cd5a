package translate_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// What of a response its client is told otherwise is reported like what of a request is:
// in the head, unless that of a stream has gone, and in the log.
func TestLossOfResponses(t *testing.T) {
	const whole = `{"choices":[{"message":{"content":"a"},"finish_reason":"%s"}]}`
	for _, test := range []struct {
		stream      bool
		reason      string
		header, log string
	}{
		{false, "stop", "thinking", "thinking"}, {false, "vanished", "stop_reason, thinking", "stop_reason, thinking"},
		{true, "stop", "thinking", "thinking"}, {true, "vanished", "thinking", "stop_reason, thinking"},
	} {
		body := `{"model":"m","max_tokens":5,"thinking":{"type":"between_tools"},"messages":[{"role":"user","content":"x"}]}`
		sent, media := strings.Replace(whole, "%s", test.reason, 1), "application/json"
		if test.stream {
			body = strings.Replace(body, `{`, `{"stream":true,`, 1)
			sent = strings.NewReplacer(`"message"`, `"index":0,"delta"`, "{\"choices", "data: {\"choices").Replace(sent) + "\n\ndata: [DONE]\n\n"
			media = "text/event-stream"
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, llmprovider.DefaultMaxBody)
		}
		out := llmprovider.Outgoing{Model: "m", Stream: in.Stream}
		if refused == nil {
			refused = translate.Request(in, llmprovider.Settings{}, &translate.Target{API: chat.API, URL: new(url.URL)}, &out)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {media}}}
		reader := out.NewReader(res, test.stream)
		head := &llmprovider.Head{Status: http.StatusOK, Header: res.Header, Stream: test.stream}
		reader.Head(head)
		header := ""
		pass := func([]byte) error {
			header = head.Header.Get(translate.HeaderApproximated)
			return nil
		}
		if err := reader.Write([]byte(sent), pass); err != nil {
			t.Fatal(err)
		}
		if err := reader.Finish(pass); err != nil {
			t.Fatal(err)
		}
		if log := strings.Join(out.Translation.Approximated, ", "); header != test.header || log != test.log || !slices.IsSorted(out.Translation.Approximated) {
			t.Errorf("%s, streamed %v: the head says %q and the log %q", test.reason, test.stream, header, log)
		}
	}
}

// A medium of a response is not told: it is reported like what of a request is not sent.
func TestMediaOfAResponse(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(`{"model":"m","max_tokens":5,"top_k":4,"messages":[{"role":"user","content":"x"}]}`))
	r.Header.Set("Content-Type", "application/json")
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	out := llmprovider.Outgoing{Model: "m"}
	if refused == nil {
		refused = translate.Request(in, llmprovider.Settings{}, &translate.Target{API: chat.API, URL: new(url.URL)}, &out)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}}
	reader := out.NewReader(res, false)
	head := &llmprovider.Head{Status: http.StatusOK, Header: res.Header}
	reader.Head(head)
	header := ""
	pass := func([]byte) error {
		header = head.Header.Get(translate.HeaderDropped)
		return nil
	}
	body := `{"choices":[{"message":{"content":"a","images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},"finish_reason":"stop"}]}`
	if err := reader.Write([]byte(body), pass); err != nil {
		t.Fatal(err)
	}
	if err := reader.Finish(pass); err != nil {
		t.Fatal(err)
	}
	if log := strings.Join(out.Translation.Dropped, ", "); header != "content[], top_k" || log != header {
		t.Errorf("the head says %q and the log %q", header, log)
	}
}

// TestMemoryOfOpenStreams bounds what the translation of a stream holds while it is open,
// beside what it keeps of the response: nothing of a prompt.
func TestMemoryOfOpenStreams(t *testing.T) {
	const streams, most = 200, 24 << 10
	prompt := strings.Repeat("x", 64<<10)
	event := []byte("data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"some words\"}}]}\n\n")
	for path, body := range map[string]string{
		"/v1/messages":  `{"model":"m","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"` + prompt + `"}]}`,
		"/v1/responses": `{"model":"m","stream":true,"input":"` + prompt + `"}`,
		"/v1beta/models/m:streamGenerateContent?alt=sse": `{"contents":[{"parts":[{"text":"` + prompt + `"}]}]}`,
	} {
		before := heap()
		open := make([]llmprovider.Reader, streams)
		for i := range open {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			in, refused := llmprovider.NewInbound(r)
			if refused == nil {
				refused = in.Read(r, llmprovider.DefaultMaxBody)
			}
			out := llmprovider.Outgoing{Model: "m", Stream: in.Stream}
			if refused == nil {
				refused = translate.Request(in, llmprovider.Settings{}, &translate.Target{API: chat.API, URL: new(url.URL)}, &out)
			}
			if refused != nil {
				t.Fatal(path, refused)
			}
			res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}}
			open[i] = out.NewReader(res, true)
			open[i].Head(&llmprovider.Head{Status: http.StatusOK, Header: res.Header, Stream: true})
			for range 100 {
				if err := open[i].Write(event, func([]byte) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			in.Release()
		}
		held := int64(heap()) - int64(before)
		if each := held / streams; each > most {
			t.Errorf("%s: an open stream holds %d bytes", path, each)
		} else {
			t.Logf("%s: an open stream holds %d bytes", path, each)
		}
		runtime.KeepAlive(open)
	}
}

// heap returns how much memory is held, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
