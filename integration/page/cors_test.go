package page_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// corsRecipe is what the manual tells a site to say that pages may call.
func corsRecipe(t *testing.T) string {
	t.Helper()
	manual, err := os.ReadFile("../../caddyfile/docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)## Calls from web pages.*?```caddyfile\n(.*?)```").FindSubmatch(manual)
	if m == nil {
		t.Fatal("the manual has no recipe")
	}
	return string(m[1])
}

// A key and its hash.
const corsKey, corsKeys = "sk-llm-jIZViT4pI5w9IY9gcN_lbTk2mrUN-Tx1NLE3WQlJnjw", "alice sha256:96f570d1ba5e9c4bb80e753bb4d437ba1db0f8c8aa59caa8a571bbb534205044\n"

// A page may call a site that has the manual's recipe for it, and no other page
// may; with virtual keys and without.
func TestPagesThatMayCall(t *testing.T) {
	provider := fp.New(t, fp.Plain(), fp.HTTP1Only(), fp.Keep(1))
	provider.Script(func(i int, r *fp.Recorded) fp.Reply {
		if r.Method == "GET" {
			return fp.JSON(200, `{"object":"list","data":[]}`).WithHeader("Access-Control-Allow-Origin", "*")
		}
		return fp.Default(i, r).WithHeader("Access-Control-Allow-Origin", "*").WithHeader("X-Request-Id", "req_1")
	})
	ports := gateway.FreePorts(t, 3)
	pages, keyed, free := ports[0], ports[1], ports[2]
	recipe := strings.NewReplacer("https://app.example.com", fmt.Sprintf("http://app.example.com:%d", pages), "api.openai.com", "provider").Replace(corsRecipe(t))
	gateway.Start(t, fmt.Sprintf(`{
	llm {
		status_listen off
		provider provider %s/v1/chat/completions
	}
}
http://:%d {
	header Content-Type text/html
	respond "<!doctype html><link rel=icon href=data:,><title>a page</title>"
}
http://:%d {
%s
}
http://:%d {
%s
}
`, provider.URL(), pages, keyed, recipe, free, strings.Replace(recipe, "\tllm_keys keys.txt\n", "", 1)), gateway.File("keys.txt", corsKeys))

	b := open(t)
	call := func(page string, port int, path, options string) string {
		t.Helper()
		run(b, chromedp.Navigate(fmt.Sprintf("http://%s.example.com:%d/", page, pages)))
		b.waitFor("the page", `document.title === 'a page'`)
		b.is(fmt.Sprintf(`window.got = '', fetch('http://gateway.example.com:%d%s', %s).then(async (r) => window.got = r.status + ' ' + r.headers.get('x-request-id') + ' ' + await r.text()).catch((e) => window.got = String(e)), true`,
			port, path, options))
		b.waitFor("the call", `window.got !== ''`)
		return b.text(`window.got`)
	}
	post := func(authorization, body string) string {
		return fmt.Sprintf(`{method: 'POST', headers: {'Content-Type': 'application/json', 'X-Stainless-Lang': 'js', %s}, body: '%s'}`, authorization, body)
	}
	const form = `{method: 'POST', body: (() => { const f = new FormData(); f.append('model', 'm'); return f })()}`
	const withKey, wrongKey = `'Authorization': 'Bearer ` + corsKey + `'`, `'Authorization': 'Bearer sk-llm-wrong'`
	for _, test := range []struct {
		name, page    string
		port          int
		path, options string
		want          string
		asked         int // requests at the provider
	}{
		{"with a key", "app", keyed, "/v1/chat/completions", post(withKey, plain), "200 req_1 {", 1},
		{"a stream", "app", keyed, "/v1/chat/completions", post(withKey, stream), "200 req_1 data: {", 1},
		{"the list of models", "app", keyed, "/v1/models", `{headers: {` + withKey + `}}`, `200 null {"object":"list"`, 1},
		{"with a wrong key, which the page can read", "app", keyed, "/v1/chat/completions", post(wrongKey, plain), `401 null {"error"`, 0},
		{"without keys", "app", free, "/v1/chat/completions", post("", plain), "200 req_1 {", 1},
		{"without keys, as an SDK does", "app", free, "/v1/chat/completions", post(wrongKey, plain), "200 req_1 {", 1},
		{"a list of models without keys", "app", free, "/v1/models", `{}`, `200 null {"object":"list"`, 0}, // it was fetched before
		{"another page's list of models without keys", "other", free, "/v1/models", `{}`, "TypeError", 0},
		{"a form without keys", "app", free, "/v1/audio/translations", form, "200 req_1 {", 1},
		{"another page's form without keys", "other", free, "/v1/audio/translations", form, "TypeError", 0},
		{"another page with a key", "other", keyed, "/v1/chat/completions", post(withKey, plain), "TypeError", 0},
		{"another page without keys", "other", free, "/v1/chat/completions", post("", plain), "TypeError", 0},
		{"another page without asking first", "other", free, "/v1/chat/completions", `{method: 'POST', body: '` + plain + `'}`, "TypeError", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			provider.Reset()
			got := call(test.page, test.port, test.path, test.options)
			if !strings.HasPrefix(got, test.want) || provider.Count() != test.asked {
				t.Errorf("the page gets %s, and the provider %d requests", got, provider.Count())
			}
		})
	}
}
