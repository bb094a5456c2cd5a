package virtualkey

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/tidwall/gjson"
)

func newKeys(t testing.TB, path string) *Keys {
	t.Helper()
	k := &Keys{File: path}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := k.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return k
}

// keysRequest is a request as Caddy hands it to handlers.
func keysRequest(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"messages":[{"role":"user","content":"hello"}]}`))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
}

func TestKeysLetKnownClientsPass(t *testing.T) {
	k := newKeys(t, writeKeys(t, keyLine("alice", aliceKey, "gpt-4*", "qwen"), keyLine("alice", "another-key-of-alice", "gpt-5"), keyLine("bob", bobKey)))
	for _, tc := range []struct {
		name   string
		header []string
		client string
		models string
		left   string // the credential headers that the next handler sees
	}{
		{"bearer token", []string{"Authorization", "Bearer " + aliceKey}, "alice", "gpt-4* qwen", ""},
		{"scheme in any case and more spaces", []string{"Authorization", "bEARER   " + bobKey + " "}, "bob", "", ""},
		{"api-key", []string{"api-key", bobKey}, "bob", "", ""},
		{"x-api-key", []string{"X-API-Key", " " + bobKey}, "bob", "", ""},
		{"x-goog-api-key", []string{"X-Goog-Api-Key", bobKey}, "bob", "", ""},
		{"an old and a new key of one name", []string{"Authorization", "Bearer another-key-of-alice"}, "alice", "gpt-5", ""},
		{
			"a key of the client's own for the provider stays", []string{"Authorization", "Bearer sk-own", "x-api-key", bobKey, "api-key", "sk-other"},
			"bob", "", "Api-Key Authorization",
		},
		{"of two known keys the bearer token counts and both go", []string{"x-api-key", bobKey, "Authorization", "Bearer " + aliceKey}, "alice", "gpt-4* qwen", ""},
		{"a known key behind an unknown one goes too", []string{"Authorization", "Bearer x", "Authorization", "Bearer " + bobKey}, "bob", "", ""},
		{
			"other credentials are not touched", []string{"Authorization", "Bearer " + bobKey, "Proxy-Authorization", "Bearer " + bobKey, "Cookie", "a=b"},
			"bob", "", "Cookie Proxy-Authorization",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, w, called := keysRequest(tc.header...), httptest.NewRecorder(), false
			err := k.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
				called = true
				client := ClientOf(r)
				if client == nil || client.Name != tc.client || strings.Join(client.Models, " ") != tc.models {
					t.Errorf("client is %+v, want %s with models %q", client, tc.client, tc.models)
				}
				repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
				if id, _ := repl.GetString("http.auth.user.id"); id != tc.client {
					t.Errorf("user id is %q, want %q", id, tc.client)
				}
				var left []string
				for _, name := range []string{"Api-Key", "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Goog-Api-Key"} {
					if _, ok := r.Header[name]; ok {
						left = append(left, name)
					}
				}
				if got := strings.Join(left, " "); got != tc.left {
					t.Errorf("headers left: %q, want %q", got, tc.left)
				}
				return nil
			}))
			if err != nil || !called {
				t.Fatalf("called %v, error %v, status %d", called, err, w.Code)
			}
		})
	}
}

func TestKeysInTheQuery(t *testing.T) {
	k := newKeys(t, writeKeys(t, keyLine("bob", bobKey)))
	for query, want := range map[string]string{
		"key=" + bobKey: "", "a=1&key=x&key=" + bobKey + "&alt=sse": "a=1&alt=sse", "k%65y=" + bobKey + "&apikey=": "apikey=", "key=sk-unknown": "refused",
	} {
		r, w, got := keysRequest(), httptest.NewRecorder(), "refused"
		r.URL.RawQuery = query
		if err := k.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			if got = r.URL.RawQuery; ClientOf(r).Name != "bob" {
				t.Errorf("%s: the client is %s", query, ClientOf(r).Name)
			}
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: the next handler has %q, want %q", query, got, want)
		}
	}
}

func TestPreflightsPassKeys(t *testing.T) {
	k := newKeys(t, writeKeys(t, keyLine("bob", bobKey)))
	for _, test := range []struct {
		name, method string
		header       []string
		passes       bool
	}{
		{"preflight", http.MethodOptions, []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, true},
		{"no origin", http.MethodOptions, []string{"Access-Control-Request-Method", "POST"}, false},
		{"no method asked for", http.MethodOptions, []string{"Origin", "https://app.example"}, false},
		{"not OPTIONS", http.MethodPost, []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, w, passed := keysRequest(test.header...), httptest.NewRecorder(), false
			r.Method = test.method
			if err := k.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
				passed = true
				return nil
			})); err != nil {
				t.Fatal(err)
			}
			if passed != test.passes {
				t.Errorf("passed: %v, status %d", passed, w.Code)
			}
		})
	}
}

func TestKeysRefuseOthers(t *testing.T) {
	tooLong := strings.Repeat("k", maxKeySize+1)
	k := newKeys(t, writeKeys(t, keyLine("alice", aliceKey), keyLine("long", tooLong)))
	const missing, unknown = "needs an API key", "does not know the API key"
	for _, tc := range []struct {
		name    string
		header  []string
		message string
	}{
		{"no key", nil, missing},
		{"an empty key", []string{"Authorization", "Bearer ", "api-key", " "}, missing},
		{"another scheme", []string{"Authorization", "Basic " + aliceKey}, missing},
		{"a key without a scheme", []string{"Authorization", aliceKey}, missing},
		{"a key in another header", []string{"Proxy-Authorization", "Bearer " + aliceKey}, missing},
		{"an unknown key", []string{"Authorization", "Bearer " + bobKey}, unknown},
		{"a key in another case", []string{"Authorization", "Bearer " + strings.ToUpper(aliceKey)}, unknown},
		{"a part of a key", []string{"x-api-key", aliceKey[:len(aliceKey)-1]}, unknown},
		{"the hash of a key", []string{"x-api-key", strings.Fields(keyLine("alice", aliceKey))[1]}, unknown},
		{"a scheme where none belongs", []string{"x-api-key", "Bearer " + aliceKey}, unknown},
		{"a key that is too long", []string{"Authorization", "Bearer " + tooLong}, unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			err := k.ServeHTTP(w, keysRequest(tc.header...), caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
				t.Error("the next handler was called")
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			body := w.Body.String()
			if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != "Bearer" || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, header %v", w.Code, w.Header())
			}
			if !gjson.Valid(body) || gjson.Get(body, "error.type").Str != "invalid_request_error" || gjson.Get(body, "error.code").Str != "invalid_api_key" ||
				gjson.Get(body, "error.param").Raw != "null" || !strings.Contains(gjson.Get(body, "error.message").Str, tc.message) {
				t.Errorf("body %s, want a message with %q", body, tc.message)
			}
			for _, value := range tc.header {
				if text := strings.TrimPrefix(value, "Bearer "); len(text) >= minKeySize && strings.Contains(body, text) {
					t.Errorf("the body repeats the key: %s", body)
				}
			}
		})
	}
}

// A client of Anthropic's API reads an error of Anthropic's.
func TestKeysRefuseInTheShapeOfTheAPI(t *testing.T) {
	k := newKeys(t, writeKeys(t, keyLine("alice", aliceKey)))
	r := keysRequest()
	r.URL.Path = "/v1/messages"
	w := httptest.NewRecorder()
	if err := k.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	if body := w.Body.String(); w.Code != http.StatusUnauthorized || !strings.HasPrefix(body, `{"type":"error","error":{"type":"authentication_error",`) {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestKeysProvisionRefusesMistakes(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ name, file, want string }{
		{"no file named", "", "llm_keys needs a file"},
		{"an unknown placeholder", "{nonsense.keys}", "nonsense.keys"},
		{"a file that is not there", filepath.Join(dir, "nowhere"), "caddy llm hash-key --generate"},
		{"a folder", dir, "not a regular file"},
		{"a mistake in the file", writeKeys(t, "# clients\n", "alice "+aliceKey+"\n"), "keys:2: expected NAME HASH"},
		{"a file that is too large", writeKeys(t, strings.Repeat("#", maxKeysFile+1)), "over the limit of 8388608 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
			defer cancel()
			err := (&Keys{File: tc.file}).Provision(ctx)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error is %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), aliceKey) {
				t.Errorf("the error repeats a key: %v", err)
			}
		})
	}
}

func TestKeysFileFromPlaceholder(t *testing.T) {
	t.Setenv("KEYS_TEST_FILE", writeKeys(t, keyLine("alice", aliceKey)))
	if k := newKeys(t, "{env.KEYS_TEST_FILE}"); k.keys.Get().find(aliceKey) == nil {
		t.Error("the key is not known")
	}
}

func BenchmarkKeys(b *testing.B) {
	key := generateKey()
	var lines []string
	for i := range 1000 {
		lines = append(lines, keyLine(strconv.Itoa(i), bobKey+strconv.Itoa(i)))
	}
	k := newKeys(b, writeKeys(b, append(lines, keyLine("alice", key))...))
	r, w := keysRequest(), httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	value := []string{"Bearer " + key}
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Authorization"] = value
		if err := k.ServeHTTP(w, r, next); err != nil || w.Code != http.StatusOK {
			b.Fatal(err, w.Code)
		}
	}
}
