package operations_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// secret makes values that no other text holds.
func secret(name string) string {
	return fmt.Sprintf("sk-%s-%x", name, sha256.Sum256([]byte(name)))[:40]
}

// The values that must stay where they belong.
var (
	keyFromEnv  = secret("key-from-env")
	keyFromFile = secret("key-from-file")
	keyOfRule   = secret("key-of-rule")
	keyOfDead   = secret("key-of-dead")
	keyOfHTTP2  = secret("key-of-http2")
	teamToken   = secret("team-token")
	virtualKey  = secret("virtual-key")
	wrongKey    = secret("wrong-key")
	bearer      = secret("bearer")
	xAPIKey     = secret("x-api-key")
	apiKey      = secret("api-key")
	googKey     = secret("x-goog-api-key")
	cookie      = secret("cookie")
	accessToken = secret("access-token")
	proxyAuth   = secret("proxy-auth")
	prompt      = secret("prompt")
	completion  = secret("completion")
	toolOutput  = secret("tool-output")
)

var allSecrets = []string{
	keyFromEnv, keyFromFile, keyOfRule, keyOfDead, keyOfHTTP2, teamToken, virtualKey, wrongKey, bearer, xAPIKey, apiKey, googKey, cookie, accessToken, proxyAuth,
	prompt, completion, toolOutput,
}

// leaks lists the secrets in a text, by name.
func leaks(text string, but ...string) []string {
	var found []string
	for _, s := range allSecrets {
		if strings.Contains(text, s) && !slices.Contains(but, s) {
			found = append(found, s[:len(s)-10]+"…")
		}
	}
	return found
}

// The access logs have the format that the documentation of llm_route gives.
const secretsConfig = `{
	log {
		level DEBUG
	}
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider env https://localhost:{{.TLS}}/v1/chat/completions {
			api_key {env.KEY_ENV}
			header X-Team-Token {env.TEAM_TOKEN}
		}
		provider file {{.URL}}/v1/chat/completions {
			api_key {file.secrets/key}
			for keyed {
				api_key {env.KEY_RULE}
			}
		}
		provider dead http://127.0.0.1:{{.Dead}}/v1/chat/completions {
			api_key {env.KEY_DEAD}
			dial_timeout 1s
		}
		provider unset {{.URL}}/v1/chat/completions {
			api_key {env.UNSET}
		}
		provider keyless {{.URL}}/v1/chat/completions
	}
}
(rules) {
	log {
		format filter {
			request>headers>X-Api-Key delete
			request>headers>Api-Key delete
			request>headers>X-Goog-Api-Key delete
			request>uri regexp \?.* ?REDACTED
		}
	}
	llm_route {
		rule env {
			match header X-Rule env
			to env
		}
		rule keyed {
			match header X-Rule keyed
			to file
		}
		rule dead {
			match header X-Rule dead
			to dead
		}
		rule both {
			match header X-Rule both
			to dead
			to file priority 1
			attempts 2
		}
		rule unset {
			match header X-Rule unset
			to unset
		}
		rule keyless {
			match header X-Rule keyless
			to keyless
		}
		rule file {
			match not header X-Rule none
			to file
		}
	}
}
http://:{{.Open}} {
	import rules
}
http://:{{.Keyed}} {
	llm_keys keys.txt
	import rules
}
`

func TestSecretsStayWhereTheyBelong(t *testing.T) {
	plain, tls := fp.New(t, fp.Plain(), fp.HTTP1Only()), fp.New(t)
	script := func(i int, r *fp.Recorded) fp.Reply {
		switch r.Header.Get("X-Answer") {
		case "401":
			return fp.JSON(401, `{"error":{"message":"bad key","type":"invalid_request_error","code":"invalid_api_key"}}`)
		case "403":
			return fp.JSON(403, `{"error":{"message":"not yours"}}`)
		case "500":
			return fp.JSON(500, `{"error":{"message":"oops"}}`)
		case "cut":
			return fp.SSE(`data: {"choices":[{"delta":{"content":"`+completion+`"}}]}`+"\n\n", "data: {}\n\n").ResetAfter(1)
		case "inside":
			return fp.SSE(`data: {"choices":[{"delta":{"content":"`+completion+`"}}]}`+"\n\n", `data: {"error":{"message":"`+completion+`","code":"`+completion+`"}}`+"\n\n", "data: [DONE]\n\n")
		case "busy":
			return fp.JSON(429, `{"error":{"message":"`+prompt+`","type":"`+completion+`","code":"`+completion+`"}}`)
		case "odd":
			return fp.JSON(200, `{"model":7,"choices":[{"finish_reason":"`+completion+`"}],"usage":{"prompt_tokens":"`+completion+`","`+completion+`":1}}`)
		case "hang":
			return fp.SSE(`data: {"choices":[{"delta":{"content":"` + completion + `"}}]}` + "\n\n").HangAfter(1)
		case "invalid":
			return fp.JSON(200, `{"choices":["`+completion)
		}
		if r.Stream {
			return fp.ChatStream("m", completion+" and more", &fp.Usage{Prompt: 1, Completion: 2})
		}
		return fp.Chat("m", completion, fp.Usage{Prompt: 1, Completion: 2})
	}
	plain.Script(script)
	tls.Script(script)
	ports := gateway.FreePorts(t, 4)
	sum := sha256.Sum256([]byte(virtualKey))
	g := gateway.Start(t, gateway.Render(t, secretsConfig, map[string]any{
		"Status": ports[0], "Open": ports[1], "Keyed": ports[2], "Dead": ports[3], "URL": plain.URL(), "TLS": tls.Port(),
	}), gateway.File("secrets/key", keyFromFile+"\n"), gateway.File("keys.txt", fmt.Sprintf("alice sha256:%x model-*\n", sum)),
		gateway.Env("KEY_ENV", keyFromEnv), gateway.Env("KEY_RULE", keyOfRule), gateway.Env("KEY_DEAD", keyOfDead), gateway.Env("TEAM_TOKEN", teamToken),
		gateway.Env("SSL_CERT_FILE", tls.CAFile()))
	open, keyed := ports[1], ports[2]

	body := func(stream bool) string {
		return fmt.Sprintf(`{"model":"model-a","stream":%t,"messages":[{"role":"user","content":"%s {env.KEY_ENV} {file.secrets/key}"},{"role":"tool","content":"%s"}]}`, stream, prompt, toolOutput)
	}
	credentials := []string{
		"Authorization", "Bearer " + bearer, "X-Api-Key", xAPIKey, "Api-Key", apiKey, "X-Goog-Api-Key", googKey,
		"Cookie", "session=" + cookie, "Proxy-Authorization", "Basic " + proxyAuth,
	}
	path := "/v1/chat/completions?access_token=" + accessToken + "&api_key=" + apiKey + "&key=" + googKey

	type sent struct {
		name    string
		answer  answer
		status  int
		allowed []string // secrets that the client may see in its response
	}
	var all []sent
	request := func(name string, status, port int, body string, headers ...string) {
		t.Helper()
		a, err := try(t.Context(), http.MethodPost, port, path, body, append(headers, credentials...)...)
		if status == 0 { // a response that breaks off
			if err == nil {
				t.Errorf("%s: the response is whole: %q", name, a.body)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, sent{name, a, status, []string{completion}})
	}
	for _, rule := range []string{"env", "keyed", "file", "keyless", "both"} {
		request(rule, 200, open, body(false), "X-Rule", rule)
		request(rule+" streaming", 200, open, body(true), "X-Rule", rule)
	}
	request("dead", 502, open, body(false), "X-Rule", "dead")
	request("unset", 503, open, body(false), "X-Rule", "unset")
	request("no rule", 404, open, body(false), "X-Rule", "none")
	request("no JSON", 400, open, body(false)+prompt)
	request("two models", 400, open, `{"model":"`+prompt+`","model":"b"}`)
	request("no content type", 415, open, body(false), "Content-Type", "text/plain")
	for _, rule := range []string{"env", "keyed", "file"} {
		request(rule+" 401", 401, open, body(false), "X-Rule", rule, "X-Answer", "401")
		request(rule+" 403", 403, open, body(false), "X-Rule", rule, "X-Answer", "403")
		request(rule+" 500", 500, open, body(false), "X-Rule", rule, "X-Answer", "500")
	}
	request("invalid JSON", 200, open, body(false), "X-Answer", "invalid")
	request("cut", 0, open, body(true), "X-Answer", "cut")
	request("error inside", 200, open, body(true), "X-Answer", "inside")
	request("odd texts", 200, open, body(false), "X-Answer", "odd")
	request("error with text", 429, open, body(false), "X-Answer", "busy")
	all[len(all)-1].allowed = append(all[len(all)-1].allowed, prompt) // the provider's own words
	leave(t, open, body(true), append([]string{"X-Answer", "hang"}, credentials...)...)
	credentials = []string{"Authorization", "Bearer " + virtualKey, "Cookie", "session=" + cookie}
	request("virtual key", 200, keyed, body(false))
	request("model not allowed", 403, keyed, strings.Replace(body(false), "model-a", "other", 1))
	credentials = []string{"X-Api-Key", virtualKey, "Authorization", "Bearer " + bearer}
	request("virtual key in x-api-key", 200, keyed, body(true))
	credentials = []string{"Api-Key", virtualKey}
	request("virtual key in api-key", 200, keyed, body(false))
	credentials = []string{"Authorization", "Bearer " + wrongKey}
	request("wrong key", 401, keyed, body(false))
	credentials = []string{"X-Api-Key", wrongKey}
	request("wrong key in x-api-key", 401, keyed, body(false))
	credentials = nil
	if a := get(t, open, "/v1/models?access_token="+accessToken, "Authorization", "Bearer "+bearer, "X-Api-Key", xAPIKey); a.status != 200 || len(leaks(a.body)) > 0 {
		t.Errorf("models: %d %v", a.status, leaks(a.body))
	}

	t.Run("in responses", func(t *testing.T) {
		for _, s := range all {
			if s.answer.status != s.status {
				t.Errorf("%s: status %d, want %d: %s", s.name, s.answer.status, s.status, s.answer.body)
			}
			text := s.answer.body + fmt.Sprint(s.answer.header)
			if found := leaks(text, s.allowed...); len(found) > 0 {
				t.Errorf("%s: the response holds %v: %s", s.name, found, text)
			}
		}
	})
	t.Run("at providers", func(t *testing.T) {
		for _, p := range []*fp.Server{plain, tls} {
			for _, r := range p.Requests() {
				if r.Method == http.MethodGet {
					continue // for the list of models
				}
				key := map[string]string{"env": keyFromEnv, "keyed": keyOfRule, "keyless": ""}
				want, given := key[r.Header.Get("X-Rule")]
				if !given {
					want = keyFromFile
				}
				authorization, token := "", ""
				if want != "" {
					authorization = "Bearer " + want
				}
				if p == tls {
					token = teamToken
				}
				if got := r.Header.Get("Authorization"); got != authorization {
					t.Errorf("rule %s: Authorization %q, want %q", r.Header.Get("X-Rule"), got, authorization)
				}
				if found := leaks(r.Target+fmt.Sprint(r.Header), want, token); len(found) > 0 {
					t.Errorf("rule %s: the head holds %v: %s %v", r.Header.Get("X-Rule"), found, r.Target, r.Header)
				}
				if found := leaks(string(r.Body), prompt, toolOutput); len(found) > 0 {
					t.Errorf("rule %s: the body holds %v: %s", r.Header.Get("X-Rule"), found, r.Body)
				}
				if r.RawQuery != "" || r.Header.Get("Cookie") != "" || r.Header.Get("X-Team-Token") != token {
					t.Errorf("rule %s: %s %v", r.Header.Get("X-Rule"), r.Target, r.Header)
				}
			}
		}
		if n := tls.Count(); n < 5 {
			t.Errorf("only %d requests over TLS", n)
		}
	})
	t.Run("in what the admin endpoint and the status listener show", func(t *testing.T) {
		for _, path := range []string{"/config/", "/llm", "/metrics", "/config/apps/llm/providers", "/reverse_proxy/upstreams", "/debug/vars"} {
			status, b := g.AdminGet(path)
			if found := leaks(string(b)); len(found) > 0 {
				t.Errorf("admin %s holds %v", path, found)
			}
			if status != 200 && path != "/debug/vars" {
				t.Errorf("admin %s: %d", path, status)
			}
		}
		if _, b := g.AdminGet("/llm"); !strings.Contains(string(b), "{env.KEY_ENV}") || !strings.Contains(string(b), "{file.secrets/key}") {
			t.Errorf("/llm does not say where keys come from: %s", b)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			if a := get(t, ports[0], path); a.status != 200 || len(leaks(a.body)) > 0 {
				t.Errorf("%s: %d, holds %v", path, a.status, leaks(a.body))
			}
		}
	})
	t.Run("in files", func(t *testing.T) {
		g.WaitLog("autosaved config")
		seen := false
		err := filepath.WalkDir(g.Dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			seen = seen || d.Name() == "autosave.json"
			if found := leaks(string(b)); len(found) > 0 && !strings.HasSuffix(path, filepath.Join("secrets", "key")) {
				t.Errorf("%s holds %v", strings.TrimPrefix(path, g.Dir), found)
			}
			return nil
		})
		if err != nil || !seen {
			t.Errorf("no autosave.json seen, %v", err)
		}
	})
	if warned := g.FindLogs("access log shows API keys"); len(warned) > 0 {
		t.Errorf("warned of a log that hides them: %s", warned[0].Raw)
	}
	access := func(l gateway.LogLine) bool { return strings.HasPrefix(l.Logger, "http.log.access") }
	for name, which := range map[string]func(gateway.LogLine) bool{
		"in access logs": access, "in other logs": func(l gateway.LogLine) bool { return !access(l) },
	} {
		t.Run(name, func(t *testing.T) {
			shown, lines := map[string]bool{}, 0
			for _, l := range g.Logs() {
				if !which(l) {
					continue
				}
				lines++
				for _, found := range leaks(l.Raw) {
					if where := l.Logger + " " + l.Message + " " + found; !shown[where] {
						shown[where] = true
						t.Errorf("%s %q holds %s: %s", l.Logger, l.Message, found, l.Raw)
					}
				}
			}
			if lines < len(all) {
				t.Errorf("only %d lines after %d requests", lines, len(all))
			}
		})
	}
}
