package sdk

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// byHost routes by the host that the client calls.
const byHost = `{
	llm {
		status_listen off
		provider dashscope.aliyuncs.com {
			path /compatible-mode/v1/chat/completions
			model qwen-turbo
			api_key {env.MAIN_KEY}
		}
	}
}

http://:{{.Port}} {
	llm_route
}
`

// serveByHost is a gateway that reaches the provider under its real name.
func serveByHost(t *testing.T) (*fakeprovider.Server, *site) {
	t.Helper()
	s := fakeprovider.New(t, fakeprovider.Names("dashscope.aliyuncs.com"))
	tunnel := fakeprovider.NewProxy(t, map[string]*fakeprovider.Server{"dashscope.aliyuncs.com": s})
	return s, serve(t, byHost, nil, gateway.Env("HTTPS_PROXY", tunnel.URL()), gateway.Env("SSL_CERT_FILE", s.CAFile()))
}

// private are headers that stay with the gateway.
var private = []string{
	"Cookie", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Proxy-Authorization", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "Traceparent",
}

// throughProxy makes a gateway the SDK's proxy.
func throughProxy(t *testing.T, g *site) option.RequestOption {
	t.Helper()
	address, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	return option.WithHTTPClient(&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(address)}})
}

// An SDK that has the provider's plain address, and the gateway as its proxy,
// needs no key, model or TLS.
func TestAsProxy(t *testing.T) {
	s, g := serveByHost(t)
	through := throughProxy(t, g)
	// What a provider must not learn, and an SDK does not send by itself.
	extra := []option.RequestOption{through}
	for _, name := range private {
		extra = append(extra, option.WithHeader(name, "private"))
	}
	for _, base := range []string{
		"http://dashscope.aliyuncs.com", "http://dashscope.aliyuncs.com/compatible-mode/v1",
		"http://DashScope.aliyuncs.com:80/v1", "http://dashscope.aliyuncs.com:8080/v1",
	} {
		t.Run(base, func(t *testing.T) {
			s.Script(fakeprovider.Default)
			client := sdkAt(base, extra...)
			got, err := client.Chat.Completions.New(t.Context(), question("any"))
			if err != nil {
				t.Fatal(err)
			}
			if got.Model != "qwen-turbo" {
				t.Errorf("%s", got.RawJSON())
			}
			checkByHost(t, s.Last())

			f := fixtures.Get(t, "dashscope/chat.sse")
			s.Script(fakeprovider.Always(f.Reply()))
			stream := read(client.Chat.Completions.NewStreaming(t.Context(), question("any")))
			if stream.err != nil || stream.text != f.Want.Content {
				t.Errorf("a stream: %q %v", stream.text, stream.err)
			}
			checkByHost(t, s.Last())
		})
	}

	t.Run("another host", func(t *testing.T) {
		before := s.Count()
		_, err := sdkAt("http://api.example.com/v1", through).Chat.Completions.New(t.Context(), question("any"))
		e := checkOwn(t, err, 404, "invalid_request_error", "no_route")
		if !strings.Contains(e.Message, "api.example.com") || s.Count() != before {
			t.Errorf("asked %d times: %s", s.Count()-before, e.Message)
		}
	})
}

func checkByHost(t *testing.T, r *fakeprovider.Recorded) {
	t.Helper()
	checkKeys(t, r, providerKey)
	const host = "dashscope.aliyuncs.com"
	if r.Host != host || r.SNI != host || r.Path != "/compatible-mode/v1/chat/completions" || r.Model != "qwen-turbo" {
		t.Errorf("the provider was asked for %q at %s%s, SNI %s", r.Model, r.Host, r.Path, r.SNI)
	}
	for _, name := range private {
		if got := r.Header[name]; got != nil {
			t.Errorf("the provider got the header %s: %s", name, got)
		}
	}
}

// As an application in a pod has it: nothing but http_proxy in its environment,
// read by the SDK's own client.
func TestProxyFromTheEnvironment(t *testing.T) {
	if os.Getenv("SDK_TEST_HELPER") != "" {
		got, err := sdkAt("http://dashscope.aliyuncs.com").Chat.Completions.New(t.Context(), question("any"))
		if err != nil {
			t.Fatal(err)
		}
		t.Log("the response:", got.Choices[0].Message.Content)
		return
	}
	s, g := serveByHost(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyFromTheEnvironment$", "-test.v")
	cmd.Env = append(os.Environ(), "SDK_TEST_HELPER=1", "http_proxy="+g.URL, "HTTP_PROXY="+g.URL, "no_proxy=", "NO_PROXY=")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "the response: Hello from the fake provider.") {
		t.Fatalf("%v\n%s", err, out)
	}
	checkByHost(t, s.Last())
}
