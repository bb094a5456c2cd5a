package llmroute

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/known"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

// strict rejects stream_options for models whose name begins with "strict", and
// anything with "wrong" in it.
func strict(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch asked := strings.Contains(string(body), "stream_options"); {
		case strings.Contains(string(body), "wrong"):
			fails(400)(w, r)
		case asked && strings.Contains(string(body), `"model":"strict`):
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		case asked:
			streams(w)(event("a") + finishChunk + usageChunk + "data: [DONE]\n\n")
		default:
			streams(w)(event("a") + finishChunk + "data: [DONE]\n\n")
		}
	}
}

func TestProviderThatRejectsStreamOptions(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		text   string
	}{
		"pydantic":          {422, `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}`},
		"OpenAI":            {400, `{"error":{"message":"Unrecognized request argument supplied: stream_options"}}`},
		"the member inside": {400, `{"error":{"message":"Unknown parameter: include_usage"}}`},
		"no reason":         {400, `{"error":"bad request"}`},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, strict(test.status, test.text))
			g := one(t, u, "")
			ask := func(body string, want int) (status int) {
				t.Helper()
				before := u.count()
				res, rest := g.stream(t, context.Background(), body)
				got, _ := io.ReadAll(rest)
				if res.StatusCode == 200 && !strings.HasSuffix(string(got), "data: [DONE]\n\n") {
					t.Errorf("the client got %q", got)
				}
				if n := u.count() - before; n != want {
					t.Errorf("%s: the provider was asked %d times, want %d", body, n, want)
				}
				return res.StatusCode
			}
			if status := ask(`{"stream":true,"model":"strict-1"}`, 2); status != 200 {
				t.Errorf("status %d", status)
			}
			<-u.requests
			if got := (<-u.requests).body; got != `{"stream":true,"model":"strict-1"}` {
				t.Errorf("the second time the provider got %s", got)
			}
			ask(`{"stream":true,"model":"strict-1"}`, 1) // remembered
			ask(`{"stream":true,"model":"lenient"}`, 1)  // for that model only
			if prompt, _ := g.counted(t); prompt != 3 {
				t.Errorf("%d tokens are counted of a model that takes it", prompt)
			}
			// What is the client's own is not asked again.
			if status := ask(`{"stream":true,"model":"strict-2","stream_options":{"include_usage":true}}`, 1); status != test.status {
				t.Errorf("status %d for a client's own stream_options", status)
			}
			if status := ask(`{"stream":true,"model":"strict-2","stream_options":{"include_usage":false}}`, 1); status != test.status {
				t.Errorf("status %d for a client's own stream_options", status)
			}
			ask(`{"model":"wrong"}`, 1)
			// Once it is known to take it, a mistake of the client is sent once.
			if status := ask(`{"stream":true,"model":"wrong"}`, 1); status != 400 {
				t.Errorf("status %d", status)
			}
			// It is asked again when that is old.
			for _, p := range g.app.static {
				if options := &p.state.streamOptions; !options.Rejects("strict-1", time.Now()) {
					t.Error("the model is not known to be strict")
				} else {
					options.Reject("another", time.Now().Add(2*known.RejectedExpiry))
				}
			}
			if test.text != `{"error":"bad request"}` { // which says nothing, and others work
				ask(`{"stream":true,"model":"strict-1"}`, 2)
			}
		})
	}
}

func TestAnErrorIsPassedOnAfterALookForStreamOptions(t *testing.T) {
	text := strings.Repeat("x", 3*receive.PeekSize)
	fail := false
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if !fail {
			streams(w)(event("a") + finishChunk + usageChunk + "data: [DONE]\n\n")
			return
		}
		w.WriteHeader(400)
		_, _ = io.WriteString(w, text)
	})
	g := one(t, u, "")
	for range 2 {
		res, body := g.stream(t, context.Background(), streamChat)
		got, err := io.ReadAll(body)
		if fail && (string(got) != text || err != nil || res.StatusCode != 400) {
			t.Errorf("the client got %d, %d bytes, %v", res.StatusCode, len(got), err)
		}
		fail = true
	}
	if n := u.count(); n != 2 {
		t.Errorf("the provider was asked %d times, want 2", n)
	}
}

// stalls sends a part of an error, and then nothing until the client has left.
func stalls(w http.ResponseWriter, r *http.Request, part string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, part)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// A provider that stalls inside of its error is not waited for: it is asked again where
// stream_options may be the reason, and else the error is passed on as it comes.
func TestRejectionsThatStall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		part   string
		before bool // streams have worked with stream_options
		status int
		asked  int
	}{
		"with the reason":                {`{"error":{"message":"unknown: stream_options`, true, 200, 2},
		"with the reason, the first":     {`{"error":{"message":"unknown: stream_options`, false, 200, 2},
		"without a reason, the first":    {`{"error":`, false, 200, 2},
		"without anything, the first":    {``, false, 200, 2},
		"of what is the client's fault":  {`{"error":`, true, 400, 1},
		"of a client's fault, very long": {strings.Repeat("x", 2*receive.PeekSize), true, 400, 1},
	} {
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "strict") && strings.Contains(string(body), "stream_options") {
				stalls(w, r, test.part)
				return
			}
			streams(w)(event("a") + finishChunk + usageChunk + "data: [DONE]\n\n")
		})
		g := one(t, u, `"first_byte_timeout":"2s"`) // less than receive.PeekTime
		if test.before {
			_, body := g.stream(t, context.Background(), streamChat)
			_, _ = io.ReadAll(body)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := u.count()
			res, body := g.stream(t, context.Background(), `{"stream":true,"model":"strict"}`)
			if res.StatusCode != test.status {
				t.Errorf("status %d", res.StatusCode)
			}
			if n := u.count() - before; n != test.asked {
				t.Errorf("the provider was asked %d times", n)
			}
			got := make([]byte, len(test.part))
			if _, err := io.ReadFull(body, got); test.status == 400 && (err != nil || string(got) != test.part) {
				t.Errorf("the client got %q, %v", got, err)
			}
		})
	}
}
