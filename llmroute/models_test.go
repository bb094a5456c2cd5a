package llmroute

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestModelsOfAHangingProvider holds when many clients ask for the list: they
// wait for the same response, not one after another.
func TestModelsOfAHangingProvider(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	p := unique("hangs")
	g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	began := time.Now()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			res, err := g.Client().Get(g.URL + "/v1/models")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("status %d, want an empty list", res.StatusCode)
			}
		})
	}
	wait.Wait()
	if took := time.Since(began); took > 2*5*time.Second {
		t.Errorf("20 clients took %s", took)
	}
	if n := u.count(); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
}

// What a provider's list says of a model stays as the provider wrote it.
func TestModelsKeepWhatProvidersSay(t *testing.T) {
	const a, b = `{ "id":"a\u0062", "context_length" : 1e6,"pricing":{"x":0.10}}`, `{"id": "b/c", "object":"model"}`
	both := `{"object":"list","data":[` + a + `,` + b + `]}`
	for name, test := range map[string]struct{ list, want string }{
		"OpenAI's":         {`{"object":"list", "data": [` + a + `, ` + b + `], "x":1}`, both},
		"an array":         {"[\n" + a + " ,\n" + b + "]", both},
		"names":            {`["n",5]`, `{"object":"list","data":[{"id":"n","object":"model","created":0,"owned_by":"P"}]}`},
		"one twice":        {`[` + a + `,` + a + `,` + b + `]`, both},
		"without a name":   {`[{"name":"x"},{"id":5},` + a + `,null,` + b + `]`, both},
		"none":             {`{"object":"list","data":null}`, `{"object":"list","data":[]}`},
		"no list":          {`{"models":[]}`, `{"object":"list","data":[]}`},
		"no JSON":          {`{"data":[` + a, `{"object":"list","data":[]}`},
		"over the maximum": {`[` + a + `]` + strings.Repeat(" ", 4<<20), `{"object":"list","data":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, lists(test.list))
			p := unique("p")
			g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
			want := strings.ReplaceAll(test.want, `"P"`, `"`+p+`"`)
			for _, path := range []string{"/v1/models", "/models", "/models/"} {
				if res, body := ask(t, g, "GET", path); res.StatusCode != 200 || body != want {
					t.Errorf("%s: %d %s\nwant %s", path, res.StatusCode, body, want)
				}
			}
			if res, body := ask(t, g, "HEAD", "/v1/models"); res.StatusCode != 200 || body != "" || res.ContentLength != int64(len(want)) {
				t.Errorf("HEAD: %d %d %s", res.StatusCode, res.ContentLength, body)
			}
			if want != both {
				return
			}
			for path, want := range map[string]string{"/v1/models/ab": a, "/models/b/c": b, "/v1/models/b%2Fc": b} {
				if res, body := ask(t, g, "GET", path); res.StatusCode != 200 || body != want {
					t.Errorf("%s: %d %s", path, res.StatusCode, body)
				}
			}
			if res, body := ask(t, g, "GET", "/v1/models/x"); res.StatusCode != 404 || !strings.Contains(body, "model_not_found") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}

// A list of models gets the same errors as other requests: its rules are found in
// the same way.
func TestModelsOfARequestThatNothingServes(t *testing.T) {
	u := newUpstream(t, lists(`[{"id":"fast","speed":9},{"id":"other"}]`))
	p := unique("p")
	g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[
		{"name":"gone","match":[{"header":{"Rule":["gone"]}}],"backends":[{"provider":"gone","unusable":"x"},{"provider":%[1]q,"unusable":"x"}]},
		{"name":"model","match":[{"header":{"Rule":["model"]},"llm_model":{"models":["fast","unlisted"]}}],"backends":[{"provider":%[1]q}]}]}`, p))
	for rule, test := range map[string]struct {
		status int
		want   string
	}{
		"":      {404, "no_route"},
		"gone":  {503, "no_usable_backend"},
		"model": {200, `"data":[{"id":"fast","speed":9},{"id":"unlisted","object":"model","created":0,"owned_by":"` + p + `"}]`},
	} {
		for _, method := range []string{"GET", "POST"} {
			path := map[string]string{"GET": "/v1/models", "POST": "/v1/chat/completions"}[method]
			if method == "POST" && test.status == 200 {
				continue
			}
			if res, body := ask(t, g, method, path, "Rule", rule); res.StatusCode != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%s by rule %q: %d %s", method, rule, res.StatusCode, body)
			}
		}
	}
}

// lists is a provider that only lists its models.
func lists(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/models" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(body))
	}
}
