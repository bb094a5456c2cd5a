package llmroute

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLimitsSoak sends many requests at once that end in every way there is, and holds that in the end nothing is
// reserved. LLM_SOAK is how many: there are few in CI.
func TestLimitsSoak(t *testing.T) {
	requests := 1500
	if n, err := strconv.Atoi(os.Getenv("LLM_SOAK")); err == nil {
		requests = n
	}
	const content = `data: {"choices":[{"index":0,"delta":{"content":"some words are said"}}]}` + "\n\n"
	const usage = `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}` + "\n\n"
	endings := []http.HandlerFunc{
		answers("x"), fails(400), fails(429), fails(503),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"choices":[]}`) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `not JSON`) },
		func(w http.ResponseWriter, _ *http.Request) { streams(w)(content + usage + "data: [DONE]\n\n") },
		func(w http.ResponseWriter, _ *http.Request) {
			streams(w)(strings.Repeat(content, 200) + "data: [DONE]\n\n")
		},
		func(w http.ResponseWriter, _ *http.Request) {
			streams(w)(content)
			panic(http.ErrAbortHandler)
		},
		func(w http.ResponseWriter, r *http.Request) {
			streams(w)(content)
			select {
			case <-r.Context().Done():
			case <-time.After(50 * time.Millisecond):
			}
		},
	}
	begin := func() *fakeProvider {
		u := new(fakeProvider)
		u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			endings[rand.IntN(len(endings))](w, r)
		}))
		t.Cleanup(u.Close)
		return u
	}
	first, second := unique("p"), unique("p")
	names := []string{unique("limit"), unique("limit"), unique("limit")}
	g := newGateway(t, priced(t, limited(t, fmt.Sprintf(`{"name":%q,"key":["header X-Team"],"amounts":[{"unit":"tokens","amount":200000,"window":"1m"},{"unit":"requests","amount":100000,"window":"month"}],"concurrent":6},`+
		`{"name":%q,"providers":[%q],"amounts":[{"unit":"output_tokens","amount":30000,"window":"1s"}],"on_exceeded":"cut"},{"name":%q,"amounts":[{"unit":"cost","amount":1000,"window":"day"}],"estimate":"typical"}`,
		names[0], names[1], second, names[2]), first, begin().provider(""), second, begin().provider(""))),
		fmt.Sprintf(`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, first, second))
	var wg sync.WaitGroup
	var statuses sync.Map
	for i := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for range requests / 12 {
				ctx, leave := context.WithCancel(t.Context())
				if rng.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(5000))*time.Microsecond, leave)
				}
				body := fmt.Sprintf(`{"model":"m","stream":%t,"max_tokens":%d,"messages":[{"role":"user","content":"hello"}]}`, rng.IntN(2) == 0, 1+rng.IntN(4000))
				r, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, strings.NewReader(body))
				r.Header.Set("X-Team", fmt.Sprint(rng.IntN(3)))
				if res, err := g.Client().Do(r); err == nil {
					statuses.Store(res.StatusCode, true)
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				leave()
			}
		})
	}
	wg.Wait()
	for _, status := range []int{200, 400, 429, 502} {
		if _, seen := statuses.Load(status); !seen {
			t.Errorf("no request ended with %d", status)
		}
	}
	reserved := func() (out []string) {
		for _, name := range names {
			for _, a := range g.view(t, name).Amounts {
				out = append(out, string(a.Reserved))
			}
		}
		return out
	}
	for range 200 { // the server may see clients leave later
		if strings.Trim(strings.Join(reserved(), ""), "0") == "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := reserved(); strings.Trim(strings.Join(got, ""), "0") != "" {
		t.Errorf("still reserved: %v", got)
	}
	for _, name := range names {
		if v := g.view(t, name); v.Admitted == 0 {
			t.Errorf("the limit %s admitted none", name)
		}
	}
}
