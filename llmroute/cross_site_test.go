package llmroute

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestPagesOfOtherSites(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	config := providers(p, u.provider(`"config":{"model":"m"}`))
	rules := fmt.Sprintf(`"rules":[{"backends":[{"provider":%q}]}]`, p)
	strict := newGateway(t, config, `{`+rules+`}`)
	lenient := newGateway(t, config, `{`+rules+`,"allowed_origins":["HTTPS://App.example:443","http://localhost:3000"]}`)
	open := newGateway(t, config, `{`+rules+`,"allowed_origins":["*"]}`)
	const evil, app = "https://evil.example", "https://app.example"
	json := []string{"Content-Type", "application/json"}
	for _, test := range []struct {
		name    string
		gateway *gateway
		method  string
		header  []string
		status  int
	}{
		{"no browser", strict, "POST", json, 200},
		{"no browser and no type", strict, "POST", nil, 200},
		{"a page that sends a blob without type", strict, "POST", []string{"Origin", evil}, 403},
		{"in a browser that says what it is", strict, "POST", []string{"Origin", evil, "Sec-Fetch-Site", "cross-site"}, 403},
		{"without an origin", strict, "POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"another port of the same machine", strict, "POST", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, 403},
		{"text", strict, "POST", []string{"Origin", evil, "Content-Type", "text/plain;charset=UTF-8"}, 403},
		{"text that names JSON", strict, "POST", []string{"Origin", evil, "Content-Type", "text/plain; a=application/json"}, 403},
		{"a form", strict, "POST", []string{"Origin", evil, "Content-Type", "application/x-www-form-urlencoded"}, 403},
		{"an upload", strict, "POST", []string{"Origin", evil, "Content-Type", "multipart/form-data; boundary=x"}, 403},
		{"a sandboxed frame", strict, "POST", []string{"Origin", "null"}, 403},
		{"two origins", strict, "POST", []string{"Origin", "http://HOST", "Origin", evil}, 403},
		{"a list of models", strict, "GET", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a list of models with CORS", strict, "GET", []string{"Origin", evil}, 403},
		{"a password that the browser has kept", strict, "GET", []string{"Origin", evil, "Authorization", "Basic YTpi"}, 403},
		{"a cookie", strict, "GET", []string{"Origin", evil, "Cookie", "a=b"}, 403},

		{"the gateway's own page", strict, "POST", []string{"Origin", "http://HOST"}, 200},
		{"the gateway's own page behind a proxy", strict, "POST", []string{"Origin", "https://public.example", "Sec-Fetch-Site", "same-origin"}, 200},
		{"a user who types the address", strict, "GET", []string{"Sec-Fetch-Site", "none"}, 200},
		{"JSON, which a browser asks for first", strict, "POST", append([]string{"Origin", evil, "Sec-Fetch-Site", "cross-site"}, json...), 200},
		{"a key of the page's own", strict, "GET", []string{"Origin", evil, "Authorization", "Bearer sk-1"}, 200},
		{"a key as x-api-key", strict, "GET", []string{"Origin", evil, "X-Api-Key", "sk-1"}, 200},

		{"an allowed page", lenient, "POST", []string{"Origin", app, "Sec-Fetch-Site", "cross-site"}, 200},
		{"another allowed page", lenient, "GET", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, 200},
		{"one that only begins alike", lenient, "POST", []string{"Origin", app + ".evil.example"}, 403},
		{"an allowed host, another scheme", lenient, "POST", []string{"Origin", "http://app.example"}, 403},
		{"an allowed one beside another", lenient, "POST", []string{"Origin", app, "Origin", evil}, 403},
		{"null where others are allowed", lenient, "POST", []string{"Origin", "null"}, 403},
		{"any page", open, "POST", []string{"Origin", evil}, 200},
		{"any page without an origin", open, "GET", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, body := "/v1/models", ""
			if test.method == "POST" {
				path, body = "/v1/chat/completions", chat
			}
			req, _ := http.NewRequest(test.method, test.gateway.URL+path, strings.NewReader(body))
			for i := 0; i+1 < len(test.header); i += 2 {
				req.Header.Add(test.header[i], strings.ReplaceAll(test.header[i+1], "HOST", req.Host))
			}
			before := u.count()
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != test.status {
				t.Errorf("got %d, want %d", res.StatusCode, test.status)
			}
			if test.status == 403 && u.count() != before {
				t.Error("the provider was asked")
			}
		})
	}
}

// TestPreflightsAreNotRefused holds that what answers them decides: here nothing does.
func TestPreflightsAreNotRefused(t *testing.T) {
	p := unique("p")
	g := newGateway(t, providers(p, unreachable), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	req, _ := http.NewRequest(http.MethodOptions, g.URL+"/v1/chat/completions", nil)
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Access-Control-Request-Method", "POST")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %d", res.StatusCode)
	}
}
