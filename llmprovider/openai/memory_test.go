package openai

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// While a response is read, nothing holds the memory of its request: neither that of the
// client's body and of what was read of it, nor that of a translated one.
func TestAnOpenResponseHoldsNoRequest(t *testing.T) {
	const size, little = 16 << 20, 4 << 20
	text := strings.Repeat("x", size)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	number, _ := strconv.Atoi(port)
	p := new(Provider)
	p.Host, p.Scheme, p.Port = "127.0.0.1", "http", number
	moduletest.Provision(t, p)
	for _, test := range []struct{ name, path, body string }{
		{"passed through", "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"` + text + `"}]}`},
		{"translated", "/v1/messages", `{"model":"m","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"` + text + `"}]}`},
	} {
		budget := new(llmprovider.Budget)
		budget.SetLimit(math.MaxInt32)
		before := heap()
		r := post(test.path, "application/json", test.body)
		in, refused := llmprovider.NewInbound(r)
		if refused != nil {
			t.Fatal(refused)
		}
		in.Budget = budget
		if refused = in.Read(r, llmprovider.DefaultMaxBody); refused != nil {
			t.Fatal(refused)
		}
		a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{})
		if refused != nil {
			t.Fatal(refused)
		}
		held := budget.Held()
		if least := int64(size); held < least || test.path == "/v1/messages" && held < 2*least {
			t.Errorf("%s: only %d bytes are taken of the budget", test.name, held)
		}
		res, err := p.RoundTrip(a.Request)
		if err != nil {
			t.Fatal(err)
		}
		reader := tap.NewReader(a, res, true)
		reader.Head(&llmprovider.Head{Status: res.StatusCode, Header: res.Header, Stream: true})
		in.Release()
		for end := time.Now().Add(5 * time.Second); budget.Held() > 0 && time.Now().Before(end); { // the transport may still have to close the body
			time.Sleep(time.Millisecond)
		}
		if held, now := budget.Held(), heap(); held != 0 || now > before+little {
			t.Errorf("%s: while the response is open, %d bytes of the budget and %d of memory are held", test.name, held, int64(now)-int64(before))
		}
		if _, err := res.Request.GetBody(); err == nil {
			t.Errorf("%s: the body is there again after the response", test.name)
		}
		_ = res.Body.Close()
		runtime.KeepAlive(in)
		runtime.KeepAlive(a)
		runtime.KeepAlive(reader)
		runtime.KeepAlive(test.body)
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

// A translated body that the budget has no room for, beside the client's, is refused.
func TestTranslatedBodiesAreWithinTheBudget(t *testing.T) {
	p := new(Provider)
	p.Host = "example.com"
	moduletest.Provision(t, p)
	body := `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"` + strings.Repeat("x", 100<<10) + `"}]}`
	for _, test := range []struct {
		limit, others int64
		status        int
		code          string
	}{{300 << 10, 0, 0, ""}, {150 << 10, 0, 413, "request_too_large"}, {300 << 10, 120 << 10, 503, "overloaded"}} {
		budget := new(llmprovider.Budget)
		budget.SetLimit(test.limit)
		other, _ := llmprovider.NewInbound(post("/v1/chat/completions", "application/json", ""))
		other.Budget = budget
		if test.others > 0 {
			if refused := other.Read(post("/v1/chat/completions", "application/json", `{"x":"`+strings.Repeat("x", int(test.others))+`"}`), llmprovider.DefaultMaxBody); refused != nil {
				t.Fatal(refused)
			}
		}
		taken := budget.Held()
		r := post("/v1/messages", "application/json", body)
		in, _ := llmprovider.NewInbound(r)
		in.Budget = budget
		if refused := in.Read(r, llmprovider.DefaultMaxBody); refused != nil {
			t.Fatal(refused)
		}
		for range 3 { // an attempt lets go of what the one before it sent
			a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{})
			switch {
			case test.status == 0 && refused == nil:
				_, _ = io.Copy(io.Discard, a.Request.Body)
				_ = a.Request.Body.Close()
			case refused == nil || refused.Status != test.status || refused.Code != test.code:
				t.Errorf("with %d of %d taken: %v", test.others, test.limit, refused)
			}
		}
		in.Release()
		if held := budget.Held(); held != taken {
			t.Errorf("with %d of %d taken: %d are held at the end", test.others, test.limit, held-taken)
		}
	}
}
