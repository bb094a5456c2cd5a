package accesslog

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

func newLogFormat(t testing.TB) *LogFormat {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	f := new(LogFormat)
	if err := f.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return f
}

func encodeLine(t testing.TB, enc zapcore.Encoder, message string, fields ...zap.Field) string {
	t.Helper()
	line, err := enc.EncodeEntry(zapcore.Entry{Message: message}, fields)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Free()
	return line.String()
}

func TestLogFormatHidesCredentials(t *testing.T) {
	const secret = "s3cr3t"
	header := http.Header{"User-Agent": {"curl"}, "X-Max-Tokens": {"17"}, "Referer": {"https://a.example/p?key=" + secret}, "Location": {"/cb?code=" + secret}}
	for _, name := range []string{
		"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Request-Access-Token", "Cf-Access-Jwt-Assertion", "X-Amzn-Oidc-Data", "Remote-User",
		"X-Forwarded-Client-Cert", "X-Pass", "Sec-Websocket-Protocol",
	} {
		header[name] = []string{secret, "x" + secret}
	}
	r := &http.Request{
		Method: http.MethodPost, RequestURI: "http://u:" + secret + "@a.example/v1?key=" + secret, URL: &url.URL{Path: "/v1"}, Header: header, TLS: new(tls.ConnectionState),
	}
	request := zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r, ShouldLogCredentials: true})
	others := []zap.Field{
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: header, ShouldLogCredentials: true}),
		zap.Any("headers", header), zap.Reflect("header", header),
		zap.Error(errors.New(`Get "https://a.example/x?key=` + secret + `": dial tcp: refused, is it up?`)),
		zap.Strings("urls", []string{"https://" + secret + "@a.example", "/a?b=" + secret}),
		zap.ByteString("uri", []byte("/x?"+secret)),
		zap.Dict("nested", zap.Object("headers", caddyhttp.LoggableHTTPHeader{Header: header, ShouldLogCredentials: true})),
		zap.String("authz_policy", "ns/name"), zap.Int64("request_prompt_tokens", 11), zap.String("user_id", "alice"),
	}
	f := newLogFormat(t)
	with := f.Clone()
	request.AddTo(with)
	for name, line := range map[string]string{
		"fields of the entry":  encodeLine(t, f, "GET https://a.example/?token="+secret, append(others, request)...),
		"fields of the logger": encodeLine(t, with, "handled request", others...),
		"the next entry":       encodeLine(t, with.Clone(), "handled request", others...),
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(line, secret) {
				t.Errorf("the secret is shown: %s", line)
			}
			for path, want := range map[string]string{
				"request.uri": "http://REDACTED@a.example/v1?REDACTED", "request.headers.User-Agent.0": "curl", "request.headers.X-Max-Tokens.0": "17",
				"request.headers.X-Api-Key.0": "REDACTED", "request.headers.X-Api-Key.#": "1", "resp_headers.Location.0": "/cb?REDACTED",
				"error": `Get "https://a.example/x?REDACTED": dial tcp: refused, is it up?`, "authz_policy": "ns/name", "request_prompt_tokens": "11", "user_id": "alice",
			} {
				if got := gjson.Get(line, path).String(); got != want {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
		})
	}
}

// TestLogFormatHidesWhatProvidersDoNotGet holds the one rule for logs and providers.
func TestLogFormatHidesWhatProvidersDoNotGet(t *testing.T) {
	f := newLogFormat(t)
	words := []string{"x", "user", "auth", "token", "max", "key", "id", "client", "cert", "team", "type"}
	for _, a := range words {
		for _, b := range words {
			for _, c := range words {
				name := http.CanonicalHeaderKey(a + "-" + b + "-" + c)
				line := encodeLine(t, f, "", zap.Object("h", caddyhttp.LoggableHTTPHeader{Header: http.Header{name: {"value"}}}))
				if shown := strings.Contains(line, "value"); shown == headername.IsHidden(name) {
					t.Fatalf("%s is shown: %v", name, shown)
				}
			}
		}
	}
}

func FuzzShownText(f *testing.F) {
	for _, s := range []string{"", "?", "/a?b", "https://u:p@h/x?y=z", "what? a://b", "a?b=c d", "://@?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := shownText(s)
		if again := shownText(once); again != once {
			t.Errorf("%q is shown as %q, and that as %q", s, once, again)
		}
		if !strings.ContainsAny(s, "?@") && once != s {
			t.Errorf("%q is shown as %q", s, once)
		}
	})
}

func TestLogFormatSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"llm": "", "llm {\n}": "", "llm {\n\twrap json\n}": "", "llm x": "takes no argument", "llm {\n\tfields\n}": "unknown option", "llm {\n\twrap\n}": "takes the name",
		"llm {\n\twrap json\n\twrap console\n}": "twice", "llm {\n\twrap nonesuch\n}": "nonesuch",
	} {
		err := new(LogFormat).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
