package openai

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// sent is an attempt's body.
func sent(t testing.TB, a *llmprovider.Attempt) string {
	t.Helper()
	data, err := io.ReadAll(a.Request.Body)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != a.Request.ContentLength {
		t.Errorf("%d bytes are sent, %d announced", len(data), a.Request.ContentLength)
	}
	if err := a.Request.Body.Close(); err != nil {
		t.Error(err)
	}
	return string(data)
}

func attempt(t testing.TB, p *Provider, in *llmprovider.Inbound, rule string) *llmprovider.Attempt {
	t.Helper()
	a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{Rule: rule})
	if refused != nil {
		t.Fatal(refused)
	}
	return a
}

func TestWhatAnAttemptSends(t *testing.T) {
	const usage = `"stream_options":{"include_usage":true}`
	for _, test := range []struct {
		name, config, path, body string
		want                     string
		stream, forced, hide     bool
	}{
		{name: "nothing configured", body: ` {"model":"m", "x":1}`, want: ` {"model":"m", "x":1}`},
		{name: "no model anywhere", body: `{"x":1}`, want: `{"x":1}`},
		{name: "model", config: `{"model":"c"}`, body: `{"model":"m"}`, want: `{"model":"c"}`},
		{name: "model missing", config: `{"model":"c"}`, body: `{}`, want: `{"model":"c"}`},
		{name: "a model to be escaped", config: `{"model":"a\"b\\"}`, body: `{"model":"m"}`, want: `{"model":"a\"b\\"}`},
		{name: "client streams", body: `{"stream":true}`, want: `{` + usage + `,"stream":true}`, stream: true, hide: true},
		{name: "client streams and asks for usage", body: `{"stream":true,"stream_options":{"include_usage":true}}`, want: `{"stream":true,"stream_options":{"include_usage":true}}`, stream: true},
		{name: "client streams and wants no usage", body: `{"stream":true,"stream_options":{"include_usage":false}}`, want: `{"stream":true,"stream_options":{"include_usage":true}}`, stream: true, hide: true},
		{name: "client streams, other options", body: `{"stream":true,"stream_options":{"x":1}}`, want: `{"stream":true,"stream_options":{"x":1,"include_usage":true}}`, stream: true, hide: true},
		{name: "stream options kept", config: `KEEP`, body: `{"stream":true}`, want: `{"stream":true}`, stream: true},
		{name: "stream on", config: `{"stream":true}`, body: `{"stream":false}`, want: `{` + usage + `,"stream":true}`, stream: true, hide: true},
		{name: "stream on, client silent", config: `{"stream":true}`, body: `{}`, want: `{"stream":true,` + usage + `}`, stream: true, hide: true},
		{name: "all three replaced", config: `{"model":"c","stream":true}`, body: `{"model":"m","stream":false,"stream_options":{},"x":1}`, want: `{"model":"c","stream":true,` + usage + `,"x":1}`, stream: true, hide: true},
		{name: "stream off", config: `{"stream":false}`, body: `{"stream":true,"stream_options":{"include_usage":true},"x":1}`, want: `{"stream":false,"x":1}`, forced: true},
		{name: "stream off, options kept", config: `KEEP{"stream":false}`, body: `{"stream":true,"stream_options":{"x":1}}`, want: `{"stream":false}`, forced: true},
		{name: "stream off, client silent", config: `{"stream":false}`, body: `{"x":1}`, want: `{"stream":false,"x":1}`},
		{name: "stream off, client too", config: `{"stream":false}`, body: `{"stream":false,"stream_options":null}`, want: `{"stream":false,"stream_options":null}`},
		{name: "stream null", body: `{"stream":null}`, want: `{"stream":null}`},

		{name: "completions", path: "/v1/completions", config: `{"model":"c"}`, body: `{"prompt":"x","stream":true}`, want: `{"model":"c",` + usage + `,"prompt":"x","stream":true}`, stream: true, hide: true},
		{name: "responses", path: "/v1/responses", config: `{"model":"c"}`, body: `{"input":"x","stream":true}`, want: `{"model":"c","input":"x","stream":true}`, stream: true},
		{name: "responses, stream on", path: "/v1/responses", config: `{"stream":true}`, body: `{"input":"x"}`, want: `{"stream":true,"input":"x"}`, stream: true},
		{name: "responses, stream off", path: "/v1/responses", config: `{"stream":false}`, body: `{"stream":true,"stream_options":{"include_obfuscation":false},"input":"x"}`, want: `{"stream":false,"input":"x"}`, forced: true},
		{name: "embeddings", path: "/v1/embeddings", config: `{"model":"c","stream":true}`, body: `{"model":"e","input":"x"}`, want: `{"model":"e","input":"x"}`},
		{name: "images", path: "/v1/images/generations", config: `{"model":"c","stream":false}`, body: `{"model":"i","stream":true}`, want: `{"model":"i","stream":true}`, stream: true},
		{name: "count of tokens", path: "/v1/responses/input_tokens", config: `{"model":"c","stream":true}`, body: `{"input":"x"}`, want: `{"model":"c","input":"x"}`},
		{name: "compaction", path: "/v1/responses/compact", config: `{"model":"c","stream":true}`, body: `{"model":"m","input":"x"}`, want: `{"model":"c","input":"x"}`},
		{name: "tokenize", path: "/tokenize", config: `{"model":"c","stream":true}`, body: `{"model":"m","prompt":"x"}`, want: `{"model":"m","prompt":"x"}`},
		{name: "deployment", path: "/openai/deployments/d/chat/completions", body: `{"x":1}`, want: `{"model":"d","x":1}`},
		{name: "deployment and another model", path: "/openai/deployments/d%22/chat/completions", body: `{"model":"m"}`, want: `{"model":"d\""}`},
		{name: "deployment and configured model", path: "/openai/deployments/d/chat/completions", config: `{"model":"c"}`, body: `{"model":"m"}`, want: `{"model":"c"}`},
		{name: "deployment of embeddings", path: "/openai/deployments/d/embeddings", config: `{"model":"c"}`, body: `{"model":"m"}`, want: `{"model":"d"}`},
		{name: "rerank", path: "/rerank", config: `{"model":"c"}`, body: `{"documents":[]}`, want: `{"documents":[]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, keep := strings.CutPrefix(test.config, "KEEP")
			if config == "" {
				config = "{}"
			}
			p := parse(t, `{"host":"a.example","apis":{"responses":{}},"config":`+config+`}`)
			p.KeepStreamOptions = keep
			moduletest.Provision(t, p)
			if test.path == "" {
				test.path = "/v1/chat/completions"
			}
			in := read(t, post(test.path, "", test.body))
			for range 2 { // each attempt is built afresh
				a := attempt(t, p, in, "")
				if got := sent(t, a); got != test.want {
					t.Errorf("sent is %s\nwant    %s", got, test.want)
				}
				out := p.Outgoing(in, llmprovider.Settings{})
				p.editOptions(in, llmprovider.Settings{}, &out)
				if a.Stream != test.stream || a.StreamForced != test.forced || out.HideUsage != test.hide {
					t.Errorf("stream %v, forced %v, hide %v; want %v, %v, %v", a.Stream, a.StreamForced, out.HideUsage, test.stream, test.forced, test.hide)
				}
				if string(in.Body()) != test.body {
					t.Errorf("the client's body became %s", in.Body())
				}
			}
		})
	}
}

func TestWhereAnAttemptGoes(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","port":8443,"path":"/base/v1/chat/completions?v=2","apis":{"responses":{}}}`)
	for path, want := range map[string]string{
		"/":                                "https://a.example:8443/base/v1/chat/completions?v=2",
		"/?query=of-the-client":            "https://a.example:8443/base/v1/chat/completions?v=2",
		"/v1/chat/completions?x=1":         "https://a.example:8443/base/v1/chat/completions?v=2",
		"/v1/embeddings?x=1":               "https://a.example:8443/base/v1/embeddings?v=2",
		"/other/v1/completions":            "https://a.example:8443/base/v1/completions?v=2",
		"http://b.example/v1/audio/speech": "https://a.example:8443/base/v1/audio/speech?v=2",
		"/v1/images/variations":            "https://a.example:8443/base/v1/images/variations?v=2",
		"/v1/responses/":                   "https://a.example:8443/base/v1/responses?v=2",
	} {
		in := read(t, post(path, "", `{}`))
		r := attempt(t, p, in, "").Request
		if got := r.URL.String(); got != want {
			t.Errorf("%s goes to %s, want %s", path, got, want)
		}
		if r.Host != "a.example:8443" || r.Method != http.MethodPost {
			t.Errorf("%s: %s with the Host %s", path, r.Method, r.Host)
		}
	}
	other := provisioned(t, `{"host":"a.example","path":"/api/generate"}`)
	if _, refused := other.NewAttempt(t.Context(), read(t, post("/v1/embeddings", "", `{}`)), llmprovider.Settings{}); refused == nil || refused.Status != http.StatusNotFound ||
		!strings.Contains(refused.Message, "does not end in /chat/completions, so the path of its /embeddings endpoint cannot be derived") {
		t.Errorf("the error is %v", refused)
	}
	if _, refused := modelsRequest(t, other); refused == nil || refused.Status != http.StatusNotFound {
		t.Errorf("the error is %v", refused)
	}
}

func TestHeadersOfAnAttempt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "org")
	writeSecret(t, file, "org-1\n")
	t.Setenv("LLM_TEST_KEY", keyText)
	p := parse(t, `{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"},"forward_headers":["Authorization","X-Api-Key"],
		"headers":{"X-Org":"{file.`+file+`}","x-title":"fixed","User-Agent":"gateway"}}`)
	p.FixedHeaders = map[string]string{"X-Source": "s"}
	moduletest.Provision(t, p)
	r := post("/", "application/json; charset=utf-8", `{}`)
	for name, value := range map[string]string{"Authorization": "Bearer client", "X-Api-Key": "own", "X-Title": "client", "User-Agent": "curl", "Cookie": "c", "Accept": "a"} {
		r.Header.Set(name, value)
	}
	a := attempt(t, p, read(t, r), "")
	for name, want := range map[string]string{
		"Authorization": "Bearer " + keyText, "X-Api-Key": "own", "X-Title": "fixed", "X-Org": "org-1", "X-Source": "s", "User-Agent": "gateway",
		"Cookie": "", "Accept": "a", "Content-Type": "application/json; charset=utf-8",
	} {
		if got := a.Request.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := r.Header.Get("Authorization"); got != "Bearer client" {
		t.Errorf("the client's own header became %q", got)
	}

	for _, contentType := range []string{"", "-"} {
		r := post("/", "", `{}`)
		if contentType == "" {
			r.Header["Content-Type"] = []string{""}
		}
		if got := attempt(t, p, read(t, r), "").Request.Header["Content-Type"]; !slices.Equal(got, []string{"application/json"}) {
			t.Errorf("a request without content type is sent as %q", got)
		}
	}
}

func TestTheClientsKeyGoesOnlyWhereItIsAskedFor(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", keyText)
	for _, test := range []struct{ config, rule, want string }{
		{`{"host":"a.example"}`, "", ""},
		{`{"host":"a.example","forward_headers":["authorization"]}`, "", "Bearer client"},
		{`{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "", "Bearer " + keyText},
		{`{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"},"forward_headers":["Authorization"]}`, "", "Bearer " + keyText},
		{`{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"},"rules":{"vip":{"api_key":""}}}`, "vip", ""},
	} {
		r := post("/", "", `{}`)
		r.Header.Set("Authorization", "Bearer client")
		if got := attempt(t, provisioned(t, test.config), read(t, r), test.rule).Request.Header.Get("Authorization"); got != test.want {
			t.Errorf("%s: %q, want %q", test.config, got, test.want)
		}
	}
}

func TestAForwardedTokenGoesOnlyToProvidersWithoutAKey(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", keyText)
	for _, test := range []struct{ config, authorization, token string }{
		{`{"host":"a.example"}`, "Bearer token", "token"},
		{`{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "Bearer " + keyText, ""},
		{`{"host":"a.example","headers":{"X-Key":"{env.LLM_TEST_KEY}"}}`, "", ""},
		{`{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"},"forward_headers":["X-Token"]}`, "Bearer " + keyText, ""},
	} {
		r := post("/", "", `{}`)
		r.Header.Set("Authorization", "Bearer token")
		r.Header.Set("X-Token", "token")
		in := read(t, r)
		in.TokenHeaders = []string{"Authorization", "X-Token"}
		header := attempt(t, provisioned(t, test.config), in, "").Request.Header
		if got := header.Get("Authorization"); got != test.authorization {
			t.Errorf("%s: Authorization is %q, want %q", test.config, got, test.authorization)
		}
		if got := header.Get("X-Token"); got != test.token {
			t.Errorf("%s: X-Token is %q, want %q", test.config, got, test.token)
		}
	}
}

// What a token's rule names does not change how the attempt is sent.
func TestTokenHeadersLeaveTheMessageAlone(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", keyText)
	for _, config := range []string{`{"host":"a.example"}`, `{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"}}`} {
		r := post("/", "application/json", `{}`)
		for _, name := range []string{"Accept-Encoding", "Host", "Te", "Content-Md5", "Cdn-Loop"} {
			r.Header.Set(name, "token")
		}
		in := read(t, r)
		want := attempt(t, provisioned(t, config), in, "").Request.Header
		in.TokenHeaders = []string{"Cdn-Loop", "Accept-Encoding", "Content-Type", "Content-Length", "Host", "Te", "Transfer-Encoding", "Connection"}
		if got := attempt(t, provisioned(t, config), in, "").Request.Header; !reflect.DeepEqual(got, want) || got.Get("Accept-Encoding") != "identity" {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
}

func TestAProviderWithACredentialInAnObjectsHeader(t *testing.T) {
	r := post("/", "", `{}`)
	r.Header.Set("X-Claim", "alice")
	r.Header.Set("OpenAI-Organization", "org-1")
	in := read(t, r)
	in.TokenHeaders = []string{"X-Claim"}
	for _, test := range []struct {
		headers map[string]string
		sent    bool
	}{{nil, true}, {map[string]string{"X-Team": "a"}, true}, {map[string]string{"X-Api-Key": "sk"}, false}, {map[string]string{"authorization": "Basic eDp5"}, false}} {
		p := parse(t, `{"host":"a.example"}`)
		p.FixedHeaders = test.headers
		moduletest.Provision(t, p)
		header := attempt(t, p, in, "").Request.Header
		if sent := header.Get("X-Claim") != ""; sent != test.sent {
			t.Errorf("%v: the claim is sent: %v", test.headers, sent)
		}
		if sent := header.Get("OpenAI-Organization") != ""; sent != test.sent {
			t.Errorf("%v: the organization is sent: %v", test.headers, sent)
		}
	}
}

func TestDigestsFollowTheBody(t *testing.T) {
	for config, sent := range map[string]bool{`{"host":"a.example"}`: true, `{"host":"a.example","config":{"model":"m"}}`: false} {
		r := post("/", "", `{"messages":[]}`)
		r.Header.Set("Content-Digest", "sha-256=:x:")
		if got := attempt(t, provisioned(t, config), read(t, r), "").Request.Header.Get("Content-Digest") != ""; got != sent {
			t.Errorf("%s: the digest is sent: %v", config, got)
		}
	}
}

func TestProvidersNeverShareCredentials(t *testing.T) {
	t.Setenv("LLM_TEST_ORG", "org-of-a")
	a := parse(t, `{"host":"a.example","headers":{"X-Org":"{env.LLM_TEST_ORG}","Api-Key":"{env.LLM_TEST_ORG}"}}`)
	a.Config.Key = upstream.Literal("key-of-a")
	b := parse(t, `{"host":"b.example"}`)
	b.Config.Key = upstream.Literal("key-of-b")
	c := parse(t, `{"host":"c.example"}`)
	for _, p := range []*Provider{a, b, c} {
		moduletest.Provision(t, p)
	}
	r := post("/", "", `{"model":"m"}`)
	r.Header.Set("Authorization", "Bearer client")
	in := read(t, r)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 50 {
				for _, p := range []*Provider{a, b, c, b, a} {
					attempt := attempt(t, p, in, "")
					var sent bytes.Buffer
					_ = attempt.Request.Header.Write(&sent)
					for key, owner := range map[string]*Provider{"key-of-a": a, "org-of-a": a, "key-of-b": b, "client": nil} {
						if got, want := strings.Contains(sent.String(), key), p == owner; got != want {
							t.Errorf("%s is sent %s: %v", p.Host, key, got)
						}
					}
					_ = attempt.Request.Body.Close()
				}
			}
		})
	}
	wait.Wait()
}

func TestAMissingKeyIsNoPassThrough(t *testing.T) {
	for name, config := range map[string]string{
		"key":          `{"host":"a.example","config":{"api_key":"{env.LLM_TEST_NOT_SET}"}}`,
		"key file":     `{"host":"a.example","config":{"api_key":"{file./none/secret-path}"}}`,
		"key of rule":  `{"host":"a.example","rules":{"vip":{"api_key":"{env.LLM_TEST_NOT_SET}"}}}`,
		"header value": `{"host":"a.example","headers":{"Api-Key":"{env.LLM_TEST_NOT_SET}"}}`,
	} {
		p := provisioned(t, config)
		in := read(t, post("/", "", `{}`))
		_, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{Rule: "vip"})
		if refused == nil {
			t.Errorf("%s: sent without", name)
			continue
		}
		if refused.Status != http.StatusServiceUnavailable || refused.Code != "provider_key_missing" || refused.Type != llmprovider.TypeServer || refused.Cause == nil {
			t.Errorf("%s: %+v", name, refused)
		}
		if text := string(refused.JSON()); strings.Contains(text, "LLM_TEST") || strings.Contains(text, "secret-path") {
			t.Errorf("%s: the client is told %s", name, text)
		}
		if name != "key of rule" {
			if _, refused := modelsRequest(t, p); refused == nil || refused.Status != http.StatusServiceUnavailable {
				t.Errorf("%s: the models are asked for without (%v)", name, refused)
			}
		}
	}
}

func TestFilesAreForwardedAsTheyAre(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","config":{"model":"c","stream":true}}`)
	body := "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x\r\n" +
		"Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\xff\x00--\r\n-\r\n--x--\r\n"
	a := attempt(t, p, read(t, post("/v1/audio/transcriptions", "multipart/form-data; boundary=x", body)), "")
	if got := sent(t, a); got != body {
		t.Errorf("sent is %q", got)
	}
	if got := a.Request.Header.Get("Content-Type"); got != "multipart/form-data; boundary=x" || a.Model != "whisper-1" || a.FixedModel || a.Stream {
		t.Errorf("content type %q, model %q, stream %v", got, a.Model, a.Stream)
	}
}

func TestTheRequestForModels(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","path":"/b/v1/chat/completions?v=1","headers":{"X-Org":"o"}}`)
	p.For("").Auth = upstream.NewKey("Authorization", "Bearer ", upstream.Literal("k"))
	r, refused := modelsRequest(t, p)
	if refused != nil {
		t.Fatal(refused)
	}
	if got := r.Method + " " + r.URL.String(); got != "GET https://a.example/b/v1/models?v=1" {
		t.Error(got)
	}
	if r.Header.Get("Authorization") != "Bearer k" || r.Header.Get("X-Org") != "o" || r.Header.Get("Accept") != "application/json" {
		t.Errorf("the headers are %v", r.Header)
	}
}

// TestABodyCanBeSentAgain is what a transport does when the connection it picked
// turns out closed.
func TestABodyCanBeSentAgain(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","config":{"model":"c"}}`)
	for _, size := range []int{10, 4 << 10, 100_000} {
		text := strings.Repeat("x", size)
		a := attempt(t, p, read(t, post("/", "", `{"x":"`+text+`"}`)), "")
		want := `{"model":"c","x":"` + text + `"}`
		if _, err := a.Request.Body.Read(make([]byte, 7)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			again, err := a.Request.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(again); string(got) != want || err != nil {
				t.Errorf("%d bytes: sent again are %d (%v)", size, len(got), err)
			}
			again.Close()
		}
	}
}

func TestAChangedKeyFileIsUsedByALaterAttempt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	writeSecret(t, file, "old")
	p := provisioned(t, `{"host":"a.example","config":{"api_key":"{file.`+file+`}"}}`)
	in := read(t, post("/", "", `{}`))
	if got := attempt(t, p, in, "").Request.Header.Get("Authorization"); got != "Bearer old" {
		t.Fatalf("authorization is %q", got)
	}
	writeSecret(t, file, "new")
	time.Sleep(1100 * time.Millisecond) // a file is read once a second
	if got := attempt(t, p, in, "").Request.Header.Get("Authorization"); got != "Bearer new" {
		t.Errorf("authorization is %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // a file is read once a second
	if got := attempt(t, p, in, "").Request.Header.Get("Authorization"); got != "Bearer new" {
		t.Errorf("with the file gone, authorization is %q", got)
	}
}

func modelsRequest(t *testing.T, p *Provider) (*http.Request, *llmprovider.Error) {
	t.Helper()
	lists, refused := p.ModelLists()
	if refused != nil {
		return nil, refused
	}
	return p.ModelsRequest(t.Context(), lists[0], nil)
}
