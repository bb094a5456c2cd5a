package llmroute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/status"
)

// limited is the JSON of an app with these limits, whose storage is the test's own.
func limited(t *testing.T, limits string, named ...string) string {
	t.Helper()
	before := caddy.DefaultStorage
	caddy.DefaultStorage = &certmagic.FileStorage{Path: t.TempDir()}
	t.Cleanup(func() { caddy.DefaultStorage = before })
	return strings.TrimSuffix(providers(named...), "}") + `,"limits":{"limits":[` + limits + `]}}`
}

// priced adds a file of prices to an app.
func priced(t *testing.T, app string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(file, []byte("currency: USD\nprices:\n  - {model: m*, input: 1, output: 10}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(app, "}") + fmt.Sprintf(`,"prices":%q}`, file)
}

// view is where the limit of that name stands.
func (g *gateway) view(t *testing.T, name string) limit.View {
	t.Helper()
	for _, v := range g.app.limitSet().View() {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no limit %s", name)
	return limit.View{}
}

func TestLimitRefusals(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining-Requests", "of the provider")
		w.Header().Set("Anthropic-Ratelimit-Tokens-Limit", "of the provider")
		answers("x")(w, r)
	})
	p := unique("p")
	name := unique("limit")
	for _, test := range []struct {
		limit, path, body   string
		status              int
		code, retry, says   string
		shouldRetry, header string
	}{
		{`"amounts":[{"unit":"requests","amount":1,"window":"1m"}]`, "/v1/chat/completions", chat, 429, "rate_limit_exceeded", "60", "1 requests per 1m", "", "X-Ratelimit-Remaining-Requests: 0"},
		{`"amounts":[{"unit":"requests","amount":60,"window":"1m","burst":1}]`, "/v1/chat/completions", chat, 429, "rate_limit_exceeded", "1", "60 requests per 1m, at most 1 at once, is reached", "", "X-Ratelimit-Limit-Requests: 1"},
		{`"amounts":[{"unit":"requests","amount":1,"window":"hour"}]`, "/v1/chat/completions", chat, 429, "rate_limit_exceeded", "60", "per hour", "", "Ratelimit-Policy: \"NAME\";q=1;w=3600"},
		{`"amounts":[{"unit":"requests","amount":1,"window":"720h"}]`, "/v1/chat/completions", chat, 429, "insufficient_quota", "", "it resets at 20", "false", "X-Ratelimit-Limit-Requests: 1"},
		{`"amounts":[{"unit":"tokens","amount":5000,"window":"1h"}]`, "/v1/messages", `{"model":"m","max_tokens":4900,"messages":[{"role":"user","content":"hello"}]}`, 429, "rate_limit_error", "17", "tokens per 1h", "", "Anthropic-Ratelimit-Tokens-Limit: 5000"},
		{`"amounts":[{"unit":"tokens","amount":10,"window":"1m"}]`, "/v1/chat/completions", chat, 429, "rate_limit_exceeded", "", "this request needs", "false", "X-Ratelimit-Limit-Tokens: 10"},
		{`"amounts":[{"unit":"cost","amount":0.0411,"window":"720h"}]`, "/v1/chat/completions", `{"model":"m","messages":[]}`, 429, "insufficient_quota", "", "0.0411 USD per 720h", "false", "Ratelimit-Policy: \"NAME\";q=41100;qu=\"micro-units\""},
		{`"amounts":[{"unit":"cost","amount":1,"window":"720h"}]`, "/v1/chat/completions", `{"model":"other","messages":[]}`, 403, "no_price", "", "other", "", ""},
		{`"key":["header X-Team"],"require":true,"concurrent":1`, "/v1/chat/completions", chat, 403, "limit_key_missing", "", "header X-Team", "", ""},
	} {
		t.Run(test.code+" "+test.says, func(t *testing.T) {
			name := unique(name)
			g := newGateway(t, priced(t, limited(t, fmt.Sprintf(`{"name":%q,%s}`, name, test.limit), p, u.provider(""))), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
			if left := time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)); left < time.Second {
				time.Sleep(left) // both requests are to be in one hour
			}
			var res *http.Response
			var body []byte
			for range 2 {
				var err error
				if res, err = g.Client().Post(g.URL+test.path, "application/json", strings.NewReader(test.body)); err != nil {
					t.Fatal(err)
				}
				body, _ = io.ReadAll(res.Body)
				res.Body.Close()
				for _, values := range res.Header {
					if strings.Contains(values[0], "of the provider") {
						t.Errorf("the client gets the provider's limits: %v", res.Header)
					}
				}
			}
			h := res.Header
			if res.StatusCode != test.status || !strings.Contains(string(body), test.code) || !strings.Contains(string(body), test.says) {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
			if resets, err := time.ParseDuration(h.Get("X-Ratelimit-Reset-Requests")); err == nil && resets < time.Minute && strings.Contains(test.limit, "hour") {
				test.retry = h.Get("Retry-After") // the hour is about to end
			}
			if h.Get("Retry-After") != test.retry || h.Get("X-Should-Retry") != test.shouldRetry {
				t.Errorf("headers %v", h)
			}
			if key, value, ok := strings.Cut(strings.ReplaceAll(test.header, "NAME", name), ": "); ok && !strings.HasPrefix(h.Get(key), value) {
				t.Errorf("%s is %q, want %q", key, h.Get(key), value)
			}
			if v := g.view(t, name); len(v.Refused) == 0 || v.Amounts[0].Reserved != "0" {
				t.Errorf("the view is %+v", v)
			}
		})
	}
}

// TestLimitsSettleOnEveryEnding goes through the ways in which a request can end, and
// holds what each is charged.
func TestLimitsSettleOnEveryEnding(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	content := `data: {"choices":[{"index":0,"delta":{"content":"some words are said"}}]}` + "\n\n"
	begins := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"`+strings.Repeat("word ", 2000))
		_ = http.NewResponseController(w).Flush()
	}
	const prompt = int64(len(streamChat)/3 + 1)
	for name, test := range map[string]struct {
		provider http.HandlerFunc
		body     string
		leave    bool
		tokens   int64 // that are charged
	}{
		"plain": {answers("x"), chat, false, 96},
		"plain without usage": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[]}`)
		}, `{"max_tokens":100}`, false, 107},
		"the provider's error":     {fails(400), chat, false, 0},
		"the provider's own limit": {fails(429), chat, false, 0},
		"unreachable":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, chat, false, 0},
		"a stream without usage": {func(w http.ResponseWriter, _ *http.Request) {
			send := streams(w)
			send(content)
			send("data: [DONE]\n\n")
		}, streamChat, false, prompt},
		"a stream that breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			streams(w)(content)
			panic(http.ErrAbortHandler)
		}, streamChat, false, prompt + 7},
		"a stream that the client leaves": {func(w http.ResponseWriter, r *http.Request) {
			streams(w)(content)
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, streamChat, true, prompt + 7},
		"a stream that breaks off after usage": {func(w http.ResponseWriter, _ *http.Request) {
			send := streams(w)
			send(content)
			send(`data: {"choices":[{"index":0,"delta":{"content":"more"}}],"usage":{"prompt_tokens":50000,"completion_tokens":9}}` + "\n\n")
			panic(http.ErrAbortHandler)
		}, streamChat, false, 50009},
		"a stream that the client leaves after usage": {func(w http.ResponseWriter, r *http.Request) {
			streams(w)(`data: {"choices":[{"index":0,"delta":{"content":"some words are said"}}],"usage":{"prompt_tokens":50000,"completion_tokens":1}}` + "\n\n")
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, streamChat, true, 50007},
		"plain, breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			begins(w)
			panic(http.ErrAbortHandler)
		}, `{"max_tokens":100}`, false, 107},
		"plain, the client leaves": {func(w http.ResponseWriter, r *http.Request) {
			begins(w)
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, `{"max_tokens":100}`, true, 107},
		"left before the response": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, streamChat, true, prompt},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, test.provider)
			p, limit := unique("p"), unique("limit")
			g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"tokens","amount":100000,"window":"720h"}],"concurrent":3}`, limit), p, u.provider("")),
				fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.leave && test.tokens == prompt { // before the response
				go func() {
					<-u.requests
					leave()
				}()
			}
			if res, err := g.Client().Do(r); err == nil {
				if test.leave {
					_, _ = res.Body.Read(make([]byte, 10))
					leave()
				}
				_, _ = io.ReadAll(res.Body)
				res.Body.Close()
			}
			var v []string
			for range 200 { // the server may see the client leave later
				v = v[:0]
				for _, a := range g.view(t, limit).Amounts {
					v = append(v, string(a.Reserved))
				}
				if strings.Join(v, "") == "00" {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			got := g.view(t, limit).Amounts[0]
			if strings.Join(v, "") != "00" || string(got.Spent) != fmt.Sprint(test.tokens) {
				t.Errorf("reserved %v, spent %s, want %d", v, got.Spent, test.tokens)
			}
		})
	}
}

// TestLimitOfAnotherProvider has a request move on from a provider that fails to one
// whose limit is used up, and from there to a third.
func TestLimitOfAnotherProvider(t *testing.T) {
	broken, full, good := newUpstream(t, fails(500)), newUpstream(t, answers("full")), newUpstream(t, answers("good"))
	a, b, c, limit := unique("a"), unique("b"), unique("c"), unique("limit")
	app := limited(t, fmt.Sprintf(`{"name":%q,"key":["provider"],"amounts":[{"unit":"requests","amount":1,"window":"720h"}],"providers":[%q,%q]}`, limit, b, c),
		a, broken.provider(""), b, full.provider(""), c, good.provider(""))
	to := func(name string, priority int) string {
		return fmt.Sprintf(`{"provider":%q,"priority":%d}`, name, priority)
	}
	g := newGateway(t, app, `{"rules":[{"match":[{"header":{"X-Only":["b"]}}],"backends":[`+to(b, 0)+`]},{"attempts":3,"backends":[`+to(a, 0)+","+to(b, 1)+","+to(c, 2)+`]}]}`)
	if res, body := g.post(t, chat, "X-Only", "b"); res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	if res, body := g.post(t, chat); res.StatusCode != 200 || !strings.Contains(body, "good") || full.count() != 1 {
		t.Errorf("got %d %s, and %d requests at the provider without room", res.StatusCode, body, full.count())
	}
	if v := g.view(t, limit); v.Amounts[0].Keys != 2 || v.Amounts[0].Reserved != "0" || v.Amounts[0].Spent != "2" {
		t.Errorf("the view is %+v", v)
	}
	if res, body := g.post(t, chat); res.StatusCode != 500 { // the error of the first; it was kept
		t.Errorf("with no room anywhere: %d %s", res.StatusCode, body)
	}
}

// TestLimitOfTheFirstProvider has the provider that is asked first refused by a limit of
// its own: the rule's next backend is asked, and the client is refused if none has room.
func TestLimitOfTheFirstProvider(t *testing.T) {
	for name, test := range map[string]struct{ limit, body string }{
		"by key":      {`"key":["provider"],"providers":[A],"amounts":[{"unit":"requests","amount":1,"window":"720h"}]`, `{"model":"m","messages":[]}`},
		"by provider": {`"providers":[A],"amounts":[{"unit":"requests","amount":1,"window":"1m"}]`, `{"model":"m","messages":[]}`},
		"by model":    {`"models":["m-a"],"concurrent":1,"amounts":[{"unit":"requests","amount":1,"window":"1m"}]`, `{"model":"m","messages":[]}`},
		"by price":    {`"amounts":[{"unit":"cost","amount":9,"window":"720h"}]`, `{"model":"unpriced","messages":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newUpstream(t, answers("first")), newUpstream(t, answers("second"))
			a, b, limit := unique("a"), unique("b"), unique("limit")
			app := priced(t, limited(t, fmt.Sprintf(`{"name":%q,%s}`, limit, strings.ReplaceAll(test.limit, "A", fmt.Sprintf("%q", a))), a, first.provider(""), b, second.provider("")))
			model := ""
			if name == "by model" {
				model = `,"model":"m-a"`
			}
			rules := fmt.Sprintf(`{"match":[{"header":{"X-Only":["a"]}}],"backends":[{"provider":%q%s}]},{"backends":[{"provider":%[1]q%[2]s},{"provider":%[3]q,"priority":1,"model":"m-b"}]}`, a, model, b)
			g := newGateway(t, app, fmt.Sprintf(`{"rules":[%s]}`, rules))
			if res, body := g.post(t, test.body, "X-Only", "a"); (res.StatusCode != 200) != (name == "by price") {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
			res, body := g.post(t, test.body)
			if res.StatusCode != 200 || !strings.Contains(body, "second") || first.count() > 1 {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
			if name != "by price" && (res.Header.Get("Ratelimit") != "" || res.Header.Get("X-Ratelimit-Remaining-Requests") != "") {
				t.Errorf("the headers are of a limit that did not apply: %v", res.Header)
			}
			if res, body := g.post(t, test.body, "X-Only", "a"); res.StatusCode != 429 && res.StatusCode != 403 {
				t.Errorf("with no other backend: %d %s", res.StatusCode, body)
			}
			for _, v := range g.view(t, limit).Amounts {
				if v.Reserved != "0" {
					t.Errorf("the view is %+v", v)
				}
			}
		})
	}
}

// TestLimitChargesEveryAttempt holds what attempts are charged that another one follows.
func TestLimitChargesEveryAttempt(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	const prompt = int64(len(chat)/3 + 1)
	for name, test := range map[string]struct {
		first  http.HandlerFunc
		tokens int64
	}{
		"timed out": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, prompt + 96},
		"timed out in its body": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":`)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, prompt + 96},
		"an error": {fails(500), 96},
		"an empty response with usage": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`)
		}, 7 + 96},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newUpstream(t, test.first), newUpstream(t, answers("x"))
			one, two, limit := unique("a"), unique("b"), unique("limit")
			g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"tokens","amount":100000,"window":"720h"},{"unit":"requests","amount":10,"window":"720h"}]}`, limit),
				one, a.provider(`"first_byte_timeout":"80ms","idle_timeout":"80ms"`), two, b.provider("")),
				fmt.Sprintf(`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, one, two))
			if res, body := g.post(t, chat); res.StatusCode != 200 {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
			for i, want := range []int64{test.tokens, 1} {
				if v := g.view(t, limit).Amounts[i]; string(v.Spent) != fmt.Sprint(want) || v.Reserved != "0" {
					t.Errorf("%s: spent %s, reserved %s, want %d", v.Unit, v.Spent, v.Reserved, want)
				}
			}
		})
	}
}

// TestLimitCutsStreams has streams outgrow their limit, also those that name a maximum that
// they do not keep to, or that their API does not have.
func TestLimitCutsStreams(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		send := streams(w)
		for range 10_000 {
			if r.Context().Err() != nil {
				return
			}
			send(`data: {"choices":[{"index":0,"delta":{"content":"word "}}]}` + "\n\n")
		}
	})
	for _, maximum := range []string{"", `,"max_tokens":1`, `,"max_output_tokens":1`, `,"generationConfig":{"maxOutputTokens":1}`} {
		p, limit := unique("p"), unique("limit")
		g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"on_exceeded":"cut","amounts":[{"unit":"tokens","amount":1000,"window":"1m"}]}`, limit), p, u.provider("")),
			fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
		res, body := g.post(t, strings.TrimSuffix(streamChat, "}")+maximum+"}")
		if res.StatusCode != 200 || !strings.Contains(body, `"code":"rate_limit_exceeded"`) || strings.Contains(body, "[DONE]") {
			t.Errorf("%s: got %d …%s", maximum, res.StatusCode, body[max(0, len(body)-300):])
		}
		// What is left is less than the next step of the reservation.
		if v := g.view(t, limit).Amounts[0]; v.Reserved != "0" || number(t, v.Spent) < 900 || number(t, v.Spent) > 9999 {
			t.Errorf("%s: the view is %+v", maximum, v)
		}
	}
}

func number(t *testing.T, n limit.Number) int64 {
	t.Helper()
	got, err := n.Int64()
	if err != nil {
		t.Error(err)
	}
	return got
}

func TestTiersOfKeys(t *testing.T) {
	u := newUpstream(t, answers("x"))
	gold, usual := unique("gold"), unique("usual")
	app := limited(t, fmt.Sprintf(`{"name":%q,"key":["client"],"amounts":[{"unit":"requests","amount":1,"window":"720h"}]},`+
		`{"name":%q,"tier":true,"key":["client"],"amounts":[{"unit":"requests","amount":2,"window":"720h"}]}`, usual, gold), "keys-upstream", u.provider(""))
	s := keysGateway(t, writeKeys(t, keyLine("alice", aliceKey), keyLine("bob", bobKey, "limit", gold), keyLine("carol", "sk-carol", "*", "limit", "nowhere")), app)
	for _, test := range []struct {
		key      string
		admitted int
	}{{aliceKey, 1}, {bobKey, 2}, {"sk-carol", 1}} {
		admitted := 0
		for range 3 {
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
			req.Header.Set("Authorization", "Bearer "+test.key)
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode == 200 {
				admitted++
			}
		}
		if admitted != test.admitted {
			t.Errorf("%s: %d requests, want %d", test.key, admitted, test.admitted)
		}
	}
}

func TestLimitsOnTheAdminEndpoint(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p, name := unique("p"), unique("limit")
	g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"key":["header X-Team"],"amounts":[{"unit":"requests","amount":1,"window":"720h"}]}`, name), p, u.provider("")),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	g.post(t, chat, "X-Team", "a")
	do := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		err := errors.New("no such path")
		for _, route := range (status.AdminAPI{App: g.app}).Routes() {
			if path == route.Pattern || strings.HasSuffix(route.Pattern, "/") && strings.HasPrefix(path, route.Pattern) {
				err = route.Handler.ServeHTTP(w, r)
			}
		}
		var api caddy.APIError
		if errors.As(err, &api) {
			return api.HTTPStatus, api.Err.Error()
		}
		return w.Code, w.Body.String()
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/llm/limits", "", 200, `"used":1`},
		{"POST", "/llm/limits", "", 405, "GET"},
		{"GET", "/llm/limits/NAME/reset", "", 405, "POST"},
		{"POST", "/llm/limits/NAME/forget", "", 404, "reset"},
		{"POST", "/llm/limits/nobody/reset", "", 404, "nobody"},
		{"POST", "/llm/limits/NAME/credit", `{"unit":"requests","amount":1,"kee":{}}`, 400, "kee"},
		{"POST", "/llm/limits/NAME/credit", `{"unit":"tokens","amount":1}`, 400, "tokens"},
		{"POST", "/llm/limits/NAME/credit", `{"unit":"requests","amount":0}`, 400, "amount"},
		{"POST", "/llm/limits/NAME/credit", `{"unit":"requests","amount":1} {}`, 400, "one"},
		{"POST", "/llm/limits/NAME/credit", `{"key":{"header X-Team":"a"},"unit":"requests","amount":1}`, 200, `"counters":1`},
	} {
		if status, body := do(test.method, strings.Replace(test.path, "NAME", name, 1), test.body); status != test.status || !strings.Contains(body, test.says) {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, status, body)
		}
	}
	for _, want := range []int{200, 429} {
		if res, body := g.post(t, chat, "X-Team", "a"); res.StatusCode != want {
			t.Errorf("after the credit: %d %s", res.StatusCode, body)
		}
	}
	if status, body := do("POST", "/llm/limits/"+name+"/reset", ""); status != 200 {
		t.Errorf("reset: %d %s", status, body)
	}
	if res, body := g.post(t, chat, "X-Team", "a"); res.StatusCode != 200 {
		t.Errorf("after the reset: %d %s", res.StatusCode, body)
	}
	data, _ := json.Marshal(g.app.limitSet().View())
	if strings.Contains(string(data), `X-Team=a`) {
		t.Errorf("the client's text is shown: %s", data)
	}
}

func TestLimitsThatCannotWork(t *testing.T) {
	u := newUpstream(t, answers("x"))
	for limits, want := range map[string]string{
		`{"name":"a","amounts":[{"unit":"cost","amount":1,"window":"day"}]}`:               "prices",
		`{"name":"a","providers":["nobody"],"concurrent":1}`:                               `no provider "nobody"`,
		`{"name":"a","concurrent":1},{"name":"a","concurrent":2}`:                          "twice",
		`{"name":"a b","concurrent":1}`:                                                    "name",
		`{"name":"a","key":["user"],"concurrent":1}`:                                       "unknown key",
		`{"name":"a","match":[{"nope":{}}],"concurrent":1}`:                                "nope",
		`{"name":"a","amounts":[{"unit":"requests","amount":1,"window":"day","per":"x"}]}`: "per",
		`{"name":"a","amounts":[{"unit":"requests","amount":1.5,"window":"day"}]}`:         "whole number",
	} {
		if _, err := tryGateway(t, limited(t, limits, "known", u.provider("")), `{"rules":[{"backends":[{"provider":"known"}]}]}`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", limits, err)
		}
	}
}

// TestLimitOfAForcedForm holds that what is reserved follows from what the provider is
// asked for, and not from what the client asks.
func TestLimitOfAForcedForm(t *testing.T) {
	reserved := make(chan string, 1)
	var g *gateway
	var name string
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		reserved <- string(g.view(t, name).Amounts[0].Reserved)
		answers("x")(w, r)
	})
	for stream, want := range map[string]string{"true": "512", "false": "4096"} {
		p := unique("p")
		name = unique("limit")
		app := limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"output_tokens","amount":100000,"window":"1m"}]}`, name), p, u.provider(`"config":{"stream":`+stream+`}`))
		g = newGateway(t, app, fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
		for _, body := range []string{chat, streamChat} {
			g.post(t, body)
			if got := <-reserved; got != want {
				t.Errorf("stream %s, %s: %s reserved, want %s", stream, body, got, want)
			}
		}
	}
}

func TestLimitsOnTheStatusPage(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p, name := unique("p"), unique("limit")
	g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"requests","amount":4,"window":"720h"}]},{"name":"other-%[1]s","concurrent":1}`, name), p, u.provider("")),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	g.post(t, chat)
	all, some := status.PageOf(g.app, "").Limits, status.PageOf(g.app, "other-").Limits
	if all.All != 2 || len(all.Rows) != 2 || all.Rows[0].Amounts[0].Fullest[0].Share != 0.25 || some.Matching != 1 || some.All != 2 {
		t.Errorf("got %+v and %+v", all, some)
	}
}

// TestLimitsMatch holds that a limit with matchers is about the requests that they take, and
// no others.
func TestLimitsMatch(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p, name := unique("p"), unique("limit")
	g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"requests","amount":1,"window":"year"}],"match":[{"header":{"X-User":["bob"]}},{"path":["/v1/none"]}]}`, name), p, u.provider("")),
		fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	for i, test := range []struct {
		user string
		want int
	}{{"alice", 200}, {"alice", 200}, {"bob", 200}, {"bob", 429}, {"alice", 200}} {
		if res, body := g.post(t, chat, "X-User", test.user); res.StatusCode != test.want {
			t.Errorf("request %d, of %s: %d %s, want %d", i+1, test.user, res.StatusCode, body, test.want)
		}
	}
}

// TestLimitsChargeEveryEndpoint has requests move on from a pool's endpoint that fails to one
// that answers, which is what is charged.
func TestLimitsChargeEveryEndpoint(t *testing.T) {
	broken, good := newUpstream(t, fails(503)), newUpstream(t, answers("good"))
	p, l := unique("pool"), unique("limit")
	g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"tokens","amount":1000000,"window":"720h"},{"unit":"requests","amount":1000,"window":"720h"}]}`, l),
		p, pooled(`,"affinity":"off"`, broken.address(), good.address())), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	sent := 0
	for broken.count() == 0 {
		if sent++; sent > 50 {
			t.Fatal("the endpoint that fails was never asked")
		}
		if res, body := g.post(t, chat); res.StatusCode != 200 {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
	}
	if used := usedOf(g, t, l); used[limit.UnitTokens] != int64(96*sent) || used[limit.UnitRequests] != int64(sent) {
		t.Errorf("%v is charged for %d requests, want %d tokens", used, sent, 96*sent)
	}
}

// TestLimitsChargeWhatWasSent holds that an attempt that never left counts as no request: in
// a pool without an endpoint, and where the translation refuses it.
func TestLimitsChargeWhatWasSent(t *testing.T) {
	u := newUpstream(t, answers("x"))
	for code, provider := range map[string]string{
		"no_endpoint":           `{"kind":"openai","host":"own","scheme":"http","pool":{"from":{"source":"multi"}}}`,
		"translation_not_exact": strings.Replace(u.provider(""), `"openai"`, `"anthropic"`, 1),
	} {
		p, l := unique("p"), unique("limit")
		g := newGateway(t, limited(t, fmt.Sprintf(`{"name":%q,"amounts":[{"unit":"tokens","amount":10000,"window":"720h"},{"unit":"requests","amount":10,"window":"720h"}]}`, l), p, provider),
			fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
		res, body := g.post(t, strings.TrimSuffix(chat, "}")+`,"model":"m","logit_bias":{"1":1}}`, "Llm-Translation", "strict")
		if res.StatusCode < 400 || !strings.Contains(body, code) || u.count() != 0 {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
		if used := usedOf(g, t, l); used[limit.UnitRequests] != 0 || used[limit.UnitTokens] != 0 {
			t.Errorf("%s: %v is charged", code, used)
		}
	}
}
