package llmprovider

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestClientHeadersThatAreWithheld(t *testing.T) {
	for _, name := range []string{
		// of one connection
		"Connection", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Expect",
		// written anew
		"Host", "Content-Length", "Accept-Encoding",
		// of the way the request came
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix",
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Forwarded-",
		"Forwarded", "Via", "X-Real-IP",
		// of traces: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
		"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags", "Uber-Trace-Id",
		"X-Amzn-Trace-Id", "Ot-Tracer-TraceId", "Ot-Tracer-SpanId", "Ot-Tracer-Sampled",
		// credentials
		"Authorization", "Proxy-Authorization", "Cookie", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "X-Amz-Security-Token",
	} {
		client := http.Header{}
		client.Set(name, "secret")
		if out := outboundHeader(client, nil, 0); out.Get(name) != "" {
			t.Errorf("%s is sent", name)
		}
	}
}

func TestClientHeadersThatAreForwarded(t *testing.T) {
	for _, name := range []string{
		"Accept", "Content-Type", "User-Agent", "Accept-Language", "OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta", "X-Stainless-Lang",
		"X-Request-Id", "Idempotency-Key", "X-DashScope-SSE", "User-Type", "Cache-Control", "Range", "X-Forwarder", "Origin", "Referer",
	} {
		client := http.Header{}
		client.Add(name, "one")
		client.Add(name, "two")
		if got := outboundHeader(client, nil, 0).Values(name); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%s is sent as %q", name, got)
		}
	}
}

func TestConnectionNamesHeadersOfItsOwn(t *testing.T) {
	client := http.Header{
		"Connection": {"close, x-first", " X-SECOND ,, keep-alive"}, "X-First": {"1"}, "X-Second": {"2"}, "X-Third": {"3"}, "Keep-Alive": {"5"},
	}
	before := maps.Clone(client)
	out := outboundHeader(client, map[string]bool{"X-First": true}, 0)
	want := http.Header{"X-Third": {"3"}, "User-Agent": {""}}
	if !maps.EqualFunc(out, want, slices.Equal[[]string]) {
		t.Errorf("sent are %v, want %v", out, want)
	}
	if !maps.EqualFunc(client, before, slices.Equal[[]string]) {
		t.Errorf("the client's headers were changed to %v", client)
	}
}

func TestForwardHeadersLetThrough(t *testing.T) {
	ready := new(openAIReady)
	err := ready.setHeaders(&OpenAI{ForwardHeaders: []string{"authorization", "X-API-KEY", "x-forwarded-for", "traceparent", "cookie", "proxy-authorization"}})
	if err != nil {
		t.Fatal(err)
	}
	client := http.Header{
		"Authorization": {"a"}, "X-Api-Key": {"b"}, "X-Forwarded-For": {"c"}, "Traceparent": {"d"}, "Cookie": {"e"}, "Proxy-Authorization": {"i"},
		"X-Forwarded-Host": {"f"}, "Api-Key": {"g"}, "Tracestate": {"h"},
	}
	out := outboundHeader(client, ready.forward, 0)
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Forwarded-For", "Traceparent", "Cookie", "Proxy-Authorization"} {
		if out.Get(name) == "" {
			t.Errorf("%s is withheld", name)
		}
	}
	for _, name := range []string{"X-Forwarded-Host", "Api-Key", "Tracestate"} {
		if out.Get(name) != "" {
			t.Errorf("%s is sent", name)
		}
	}
}

func TestNoUserAgentIsMadeUp(t *testing.T) {
	if got := outboundHeader(http.Header{}, nil, 0)["User-Agent"]; !slices.Equal(got, []string{""}) {
		t.Errorf("the user agent is %q", got)
	}
}

func TestCredentialHeaderNames(t *testing.T) {
	for _, name := range []string{
		"Authorization", "authorization", "PROXY-AUTHORIZATION", "Cookie", "Set-Cookie", "Api-Key", "X-API-Key", "X-Goog-Api-Key", "X-Auth-Token",
		"X-Client-Secret", "X-Password", "apikey", "X_API_KEY", "X-Amz-Security-Token", "X-Access-Key", "X-Auth-Key",
		"Ocp-Apim-Subscription-Key", "x-functions-key", "X_Key", "X-Authentication",
	} {
		if !IsCredentialHeader(name) {
			t.Errorf("%s is not taken for a credential", name)
		}
	}
	for _, name := range []string{"Content-Type", "Accept", "User-Agent", "OpenAI-Organization", "X-Request-Id", "Idempotency-Key", "X-Idempotency-Key", "X-DashScope-WorkSpace", "Keyboard"} {
		if IsCredentialHeader(name) {
			t.Errorf("%s is taken for a credential", name)
		}
	}
}

func TestConfiguredHeadersAreChecked(t *testing.T) {
	for _, test := range []struct {
		name     string
		provider OpenAI
		want     string
	}{
		{"no name", OpenAI{Headers: map[string]string{"a b": "x"}}, `the name of a header is not one`},
		{"empty name", OpenAI{Headers: map[string]string{"": "x"}}, `the name of a header is not one`},
		{"a value of two lines", OpenAI{Headers: map[string]string{"X-A": "x\r\nX-B: y"}}, `the value of header "X-A" has characters that a header cannot hold`},
		{"the gateway's own", OpenAI{Headers: map[string]string{"host": "x"}}, `header "host" is written by the gateway itself`},
		{"the length", OpenAI{Headers: map[string]string{"Content-Length": "1"}}, `header "Content-Length" is written by the gateway itself`},
		{"a literal credential", OpenAI{Headers: map[string]string{"X-Api-Key": "sk-literal"}}, `header X-Api-Key: a secret is not written into the configuration`},
		{"another placeholder", OpenAI{Headers: map[string]string{"X-A": "{env.A} {http.request.host}"}}, `header "X-A" has a placeholder other than {env.NAME} and {file.PATH}`},
		{"a source's own", OpenAI{FixedHeaders: map[string]string{"Connection": "close"}}, `header "Connection" is written by the gateway itself`},
		{"a source's value of two lines", OpenAI{FixedHeaders: map[string]string{"X-A": "x\ny"}}, `the value of header "X-A"`},
		{"forwarding what cannot be", OpenAI{ForwardHeaders: []string{"transfer-encoding"}}, `header "transfer-encoding" belongs to one connection`},
		{"forwarding a pattern", OpenAI{ForwardHeaders: []string{"X-Forwarded-*"}}, `forward_headers: this is not a header name; write each name`},
		{"forwarding no name", OpenAI{ForwardHeaders: []string{""}}, `forward_headers: this is not a header name`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := new(openAIReady).setHeaders(&test.provider)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the error is %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "sk-literal") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	for value, want := range map[string]string{
		"":                                  "",
		"application/json":                  "application/json",
		"Application/JSON":                  "application/json",
		"application/json; charset=utf-8":   "application/json",
		"application/json;charset=UTF-8;":   "application/json",
		"application/json; charset":         "application/json",
		"application/json; a=1; a=2":        "application/json",
		" text/event-stream ;charset=utf-8": "text/event-stream",
		"TEXT/Event-Stream; x=\"":           "text/event-stream",
	} {
		if got := MediaType(http.Header{"Content-Type": {value}}); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}
