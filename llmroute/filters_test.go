package llmroute

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// recorder is a filter that writes down what it sees, marks responses, and refuses
// requests and responses that say so.
type recorder struct {
	name string
	mu   sync.Mutex
	log  *[]string
	ends chan filter.Outcome
}

func (f *recorder) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.log = append(*f.log, f.name+" "+fmt.Sprintf(format, args...))
}

func (f *recorder) Begin(_ context.Context, c *filter.Call) (filter.Step, *llmprovider.Error) {
	f.note("begin %s %s", c.Provider, c.Model)
	c.Header.Set("X-"+f.name, "begun")
	if strings.Contains(string(c.Inbound.Body()), "refuse-"+f.name) {
		return nil, &llmprovider.Error{Status: 403, Code: "refused_by_" + f.name, Message: "no", Header: http.Header{"X-Why": {"it says so"}}}
	}
	return &recording{f: f}, nil
}

type recording struct {
	f     *recorder
	ended bool
}

func (s *recording) Reader(next llmprovider.Reader) llmprovider.Reader {
	return &recordingReader{next, s.f}
}

func (s *recording) End(o *filter.Outcome) {
	if s.ended {
		panic("ended twice")
	}
	s.ended = true
	s.f.note("end")
	s.f.ends <- *o
}

type recordingReader struct {
	llmprovider.Reader
	f *recorder
}

func (r *recordingReader) Head(h *llmprovider.Head) {
	r.Reader.Head(h)
	r.f.note("head %d", h.Status)
	h.Header.Add("X-Order", r.f.name)
}

func (r *recordingReader) Write(p []byte, pass func([]byte) error) error {
	return r.Reader.Write(p, func(p []byte) error {
		if strings.Contains(string(p), "cut-"+r.f.name) {
			return &llmprovider.Error{Status: 403, Code: "cut_by_" + r.f.name, Message: "no more"}
		}
		return pass(p)
	})
}

// addFilter adds a filter of all requests, the last one.
func (g *gateway) addFilter(f filter.Filter) {
	s := g.app.snapshot()
	s.chains.all = append(s.chains.all, f)
}

// filteredGateway returns a gateway with two filters, and what they write down.
func filteredGateway(t *testing.T, config, rules string) (*gateway, [2]*recorder, *[]string) {
	t.Helper()
	g, log := newGateway(t, config, rules), new([]string)
	filters := [2]*recorder{}
	for i, name := range []string{"One", "Two"} {
		filters[i] = &recorder{name: name, log: log, ends: make(chan filter.Outcome, 1)}
		g.addFilter(filters[i])
	}
	return g, filters, log
}

func TestFiltersHaveAnOrder(t *testing.T) {
	u := newUpstream(t, answers("hello"))
	g, filters, log := filteredGateway(t, providers("order", u.provider("")), `{"rules":[{"name":"r","backends":[{"provider":"order"}]}]}`)
	res, body := g.post(t, `{"model":"m","messages":[]}`)
	one, two := <-filters[0].ends, <-filters[1].ends
	if res.StatusCode != 200 || !strings.Contains(body, "hello") || res.Header.Get("X-One") != "begun" {
		t.Errorf("got %d %s with %v", res.StatusCode, body, res.Header)
	}
	// The provider's response comes to the last filter first.
	want := []string{"One begin order m", "Two begin order m", "Two head 200", "One head 200", "Two end", "One end"}
	if !slices.Equal(*log, want) || !slices.Equal(res.Header["X-Order"], []string{"Two", "One"}) {
		t.Errorf("in the order %q, headers %q", *log, res.Header["X-Order"])
	}
	if !one.Complete || one.Usage.PromptTokens != 11 || one.Attempts != 1 || one.Model != "m" || !two.Complete {
		t.Errorf("the outcome is %+v", one)
	}
}

// TestFiltersSeeKeptResponses has the error of one provider sent on after another one
// failed as well.
func TestFiltersSeeKeptResponses(t *testing.T) {
	u := newUpstream(t, fails(429, "X-Other", "y"))
	first, second := unique("kept"), unique("kept")
	g, filters, log := filteredGateway(t, providers(first, u.provider(""), second, unreachable),
		fmt.Sprintf(`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, first, second))
	res, body := g.post(t, chat)
	<-filters[0].ends
	<-filters[1].ends
	if res.StatusCode != 429 || !strings.Contains(body, "provider says") || !slices.Equal(res.Header["X-Order"], []string{"Two", "One"}) || !slices.Contains(*log, "One head 429") {
		t.Errorf("got %d %s with %v; the filters saw %q", res.StatusCode, body, res.Header, *log)
	}
}

// TestEveryEndingEndsTheFilters goes through the ways in which a request can end.
func TestEveryEndingEndsTheFilters(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	content := func(text string) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
	}
	for name, test := range map[string]struct {
		provider http.HandlerFunc
		body     string
		leave    bool // the client leaves while the response is under way
		status   int
		says     string
		want     func(o filter.Outcome) bool
	}{
		"refused by the second": {answers("x"), `{"messages":["refuse-Two"]}`, false, 403, "refused_by_Two", func(o filter.Outcome) bool {
			return o.Attempts == 0 && o.Err != nil && !o.Complete
		}},
		"the provider's error": {fails(400), chat, false, 400, "provider says", func(o filter.Outcome) bool { return o.Attempts == 1 && o.Err == nil }},
		"unreachable":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, chat, false, 502, "", func(o filter.Outcome) bool { return o.Err != nil && o.Attempts == 1 }},
		"cut by the first":     {answers("cut-One"), chat, false, 403, "cut_by_One", func(o filter.Outcome) bool { return o.Err.Code == "cut_by_One" && !o.Complete }},
		"cut in a stream": {func(w http.ResponseWriter, _ *http.Request) {
			send := streams(w)
			send(content("a"))
			time.Sleep(20 * time.Millisecond)
			send(content("cut-Two"))
		}, streamChat, false, 200, "cut_by_Two", func(o filter.Outcome) bool { return o.Err != nil && o.Attempts == 1 && !o.Complete }},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			streams(w)(content("a"))
			panic(http.ErrAbortHandler)
		}, streamChat, false, 200, "", func(o filter.Outcome) bool { return o.Err != nil && o.Attempts == 1 && !o.Complete }},
		"left by the client": {func(w http.ResponseWriter, r *http.Request) {
			streams(w)(content("a"))
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, streamChat, true, 200, "", func(o filter.Outcome) bool { return o.ClientGone && o.Attempts == 1 && !o.Complete }},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, test.provider)
			g, filters, _ := filteredGateway(t, providers("ends", u.provider("")), `{"rules":[{"backends":[{"provider":"ends"}]}]}`)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := g.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if test.leave {
				_, _ = res.Body.Read(make([]byte, 10))
				leave()
			}
			said, _ := io.ReadAll(res.Body) // may break off
			if res.StatusCode != test.status || !strings.Contains(string(said), test.says) {
				t.Errorf("got %d %s", res.StatusCode, said)
			}
			if o := <-filters[0].ends; !test.want(o) {
				t.Errorf("the outcome is %+v", o)
			}
			if test.status == 403 && test.says == "refused_by_Two" {
				if res.Header.Get("X-Why") == "" || len(filters[1].ends) != 0 {
					t.Errorf("headers %v; the filter that refused has ended: %d", res.Header, len(filters[1].ends))
				}
				return
			}
			<-filters[1].ends
		})
	}
}
