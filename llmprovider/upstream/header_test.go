package upstream

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// withheld are client headers that no provider gets, by the reason.
var withheld = map[string][]string{
	"of one connection": {
		"Connection", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Expect",
	},
	"written anew": {"Host", "Content-Length"},
	"the way the request came": {
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Uri",
		"X-Forwarded-", "X-Forwarded", "Forwarded-For", "X-Forward-Proto", "X-Forwarded-Tls-Client-Cert-Info", "Forwarded", "Via", "Max-Forwards",
		"X-Real-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-Ip", "True-Client-IP", "X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-ProxyUser-Ip",
		"WL-Proxy-Client-IP", "Fastly-Client-IP", "Fly-Client-IP", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Vercel-Forwarded-For", "X-Appengine-User-Ip",
		"X-Sucuri-Clientip", "CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Pseudo-IPv4", "CF-Ray", "CF-Visitor", "CF-IPCountry", "CF-Worker", "CF-EW-Via",
		"CloudFront-Viewer-Address", "X-Amz-Cf-Id", "X-Envoy-External-Address", "X-Envoy-Original-Path", "X-Envoy-Expected-Rq-Timeout-Ms",
		"X-Envoy-Peer-Metadata", "X-Original-URL", "X-Original-Host", "X-Original-For", "X-Original-Forwarded-For", "X-Rewrite-URL", "X-ARR-LOG-ID", "X-Scheme",
		"Front-End-Https", "X-SSL-Protocol", "X-TLS-Version", "Akamai-Origin-Hop", "X-Akamai-Edgescape", "Proxy-Client-Ip", "Sec-Fetch-Site", "Sec-Fetch-Mode",
		"Origin", "Referer",
	},
	// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
	"traces": {
		"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags", "Uber-Trace-Id",
		"Uberctx-User", "X-Amzn-Trace-Id", "Ot-Tracer-TraceId", "Ot-Tracer-SpanId", "Ot-Tracer-Sampled", "X-Cloud-Trace-Context", "Grpc-Trace-Bin",
		"X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "Sentry-Trace", "Newrelic", "Elastic-Apm-Traceparent",
	},
	"other methods": {"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"},
	"signatures":    {"Signature", "Signature-Input", "X-Hub-Signature-256", "X-Amz-Signature", "X-Content-Hmac"},
}

func TestClientHeadersThatAreWithheld(t *testing.T) {
	kinds := maps.Clone(withheld)
	kinds["credentials"], kinds["identities"] = []string{"Authorization", "X-Api-Key", "Cookie", "X-Some-Token"}, []string{"X-Forwarded-User", "Remote-Email", "X-Client-Cert"}
	for kind, names := range kinds {
		for _, name := range names {
			client := http.Header{}
			client.Set(name, "value")
			for _, o := range []outbound{{}, {keyed: true, changed: true}} {
				if got := o.header(client).Get(name); got != "" {
					t.Errorf("%s: %s is sent as %q", kind, name, got)
				}
			}
			if kind == "of one connection" || kind == "written anew" {
				continue
			}
			o := outbound{forward: map[string]bool{http.CanonicalHeaderKey(name): true}, keyed: true, changed: true}
			if o.header(client).Get(name) != "value" {
				t.Errorf("%s: %s is not sent although it is to be forwarded", kind, name)
			}
		}
	}
}

func TestClientHeadersThatAreForwarded(t *testing.T) {
	for _, name := range append([]string{
		"OpenAI-Organization", "OpenAI-Project", "X-Goog-User-Project", "Digest", "Content-MD5", "X-Forwarder",
	}, "X-Request-Id", "X-Title", "Accept-Language", "Anthropic-Version", "X-Max-Tokens") {
		client := http.Header{}
		client.Add(name, "one")
		client.Add(name, "two")
		if got := new(outbound).header(client).Values(name); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%s is sent as %q", name, got)
		}
	}
}

func TestAccountsOfAnotherKey(t *testing.T) {
	client := http.Header{"Openai-Organization": {"org-1"}, "Openai-Project": {"proj"}, "X-Goog-User-Project": {"p"}}
	out := (&outbound{keyed: true, forward: map[string]bool{"Openai-Project": true}}).header(client)
	if out.Get("OpenAI-Organization") != "" || out.Get("X-Goog-User-Project") != "" || out.Get("OpenAI-Project") != "proj" {
		t.Errorf("with the gateway's key are sent %v", out)
	}
}

func TestDigestsOfAChangedBody(t *testing.T) {
	for _, name := range []string{"Digest", "Content-Digest", "Repr-Digest", "Content-MD5", "X-Content-Sha256", "X-Amz-Content-Sha256", "X-Checksum-Crc32"} {
		client := http.Header{}
		client.Set(name, "x")
		if (&outbound{changed: true}).header(client).Get(name) != "" {
			t.Errorf("%s is sent with another body", name)
		}
		if new(outbound).header(client).Get(name) == "" {
			t.Errorf("%s is not sent with the client's body", name)
		}
	}
	if new(outbound).header(http.Header{"Want-Repr-Digest": {"x"}}).Get("Want-Repr-Digest") == "" {
		t.Error("what the client wants of the response is not sent")
	}
}

func BenchmarkOutboundHeader(b *testing.B) {
	client := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Stainless-Arch", "X-Stainless-Async", "X-Stainless-Lang",
		"X-Stainless-Os", "X-Stainless-Package-Version", "X-Stainless-Retry-Count", "X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Team", "X-Trace-Tag",
	} {
		client.Set(name, "value")
	}
	o := outbound{keyed: true, extra: 1}
	b.ReportAllocs()
	for b.Loop() {
		_ = o.header(client)
	}
}

// TestConnectionTakesNothingSetSince holds that a header which is there, although the client's
// Connection names it, is sent: the client's own are removed before (llmprovider.Prepare).
func TestConnectionTakesNothingSetSince(t *testing.T) {
	client := http.Header{
		"Connection": {"close, x-first", " X-SECOND ,, keep-alive"}, "X-First": {"1"}, "X-Second": {"2"}, "Keep-Alive": {"5"},
	}
	before := maps.Clone(client)
	out := (&outbound{forward: map[string]bool{"X-First": true}}).header(client)
	want := http.Header{"X-First": {"1"}, "X-Second": {"2"}, "User-Agent": {""}, "Accept-Encoding": {"identity"}, "Cdn-Loop": llmprovider.MarkLoop(nil)}
	if !maps.EqualFunc(out, want, slices.Equal[[]string]) {
		t.Errorf("sent are %v, want %v", out, want)
	}
	if !maps.EqualFunc(client, before, slices.Equal[[]string]) {
		t.Errorf("the client's headers were changed to %v", client)
	}
}

func TestForwardHeadersLetThrough(t *testing.T) {
	ready := new(connected)
	err := ready.setHeaders(&Connection{ForwardHeaders: []string{"authorization", "X-API-KEY", "x-forwarded-for", "traceparent", "cookie", "proxy-authorization"}})
	if err != nil {
		t.Fatal(err)
	}
	client := http.Header{
		"Authorization": {"a"}, "X-Api-Key": {"b"}, "X-Forwarded-For": {"c"}, "Traceparent": {"d"}, "Cookie": {"e"}, "Proxy-Authorization": {"i"},
		"X-Forwarded-Host": {"f"}, "Api-Key": {"g"}, "Tracestate": {"h"},
	}
	out := (&outbound{forward: ready.forward}).header(client)
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
	if got := new(outbound).header(http.Header{})["User-Agent"]; !slices.Equal(got, []string{""}) {
		t.Errorf("the user agent is %q", got)
	}
}

func TestConfiguredHeadersAreChecked(t *testing.T) {
	for _, test := range []struct {
		name     string
		provider Connection
		want     string
	}{
		{"no name", Connection{Headers: map[string]string{"a b": "x"}}, `this is not a header name`},
		{"empty name", Connection{Headers: map[string]string{"": "x"}}, `this is not a header name`},
		{"a value of two lines", Connection{Headers: map[string]string{"X-A": "x\r\nX-B: y"}}, `the value of header "X-A" has characters that a header cannot hold`},
		{"the gateway's own", Connection{Headers: map[string]string{"host": "x"}}, `header "host" is set by the gateway itself`},
		{"the length", Connection{Headers: map[string]string{"Content-Length": "1"}}, `header "Content-Length" is set by the gateway itself`},
		{"a literal credential", Connection{Headers: map[string]string{"X-Api-Key": "sk-literal"}}, `header X-Api-Key: secrets must not be in the configuration`},
		{"the mark of loops", Connection{FixedHeaders: map[string]string{"CDN-Loop": "x"}}, `header "CDN-Loop" is set by the gateway itself`},
		{"another placeholder", Connection{Headers: map[string]string{"X-A": "{env.A} {http.request.host}"}}, `header "X-A" has a placeholder other than {env.NAME} and {file.PATH}`},
		{"a source's own", Connection{FixedHeaders: map[string]string{"Connection": "close"}}, `header "Connection" is set by the gateway itself`},
		{"a source's value of two lines", Connection{FixedHeaders: map[string]string{"X-A": "x\ny"}}, `the value of header "X-A"`},
		{"forwarding what cannot be", Connection{ForwardHeaders: []string{"transfer-encoding"}}, `header "transfer-encoding" is set by the gateway itself, or is specific to one connection`},
		{"forwarding a pattern", Connection{ForwardHeaders: []string{"X-Forwarded-*"}}, `forward_headers: this is not a header name; write each name`},
		{"forwarding no name", Connection{ForwardHeaders: []string{""}}, `forward_headers: this is not a header name`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := new(connected).setHeaders(&test.provider)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the error is %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "sk-literal") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestAttemptsAreMarked(t *testing.T) {
	client := http.Header{"Connection": {"cdn-loop"}, headername.Loop: {"cloudflare"}}
	got := new(outbound).header(client)[headername.Loop]
	if len(got) != 1 || got[0] == "cloudflare" || !strings.HasPrefix(got[0], "cloudflare, ") {
		t.Errorf("the proxies are %q", got)
	}
}
