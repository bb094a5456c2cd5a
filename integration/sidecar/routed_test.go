//go:build linux

package sidecar_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// documentedCall is the documents' request; the URL comes before it.
var documentedCall = []string{"--header", "Content-Type: application/json", "--data", `{
    "messages": [
        {"role": "user", "content": "Please introduce yourself."}
    ]
}`}

func call(url string, more ...string) []string {
	return append(append([]string{"--location", url}, documentedCall...), more...)
}

// TestDocumentedCalls types the documents' calls as they are printed, by a user
// who knows nothing of the gateway.
func TestDocumentedCalls(t *testing.T) {
	calls := []struct {
		name, want string
		args       []string
	}{
		{"a provider", `"model":"qwen1.5-72b-chat"`, call("http://dashscope.aliyuncs.com")},
		{"a provider without a route, over IPv6", `"model":"moonshot-v1-8k"`, call("http://api.moonshot.cn")},
		{"a Service without pods", `"model":"`, call("http://demo-llm-server")},
	}
	for _, way := range []string{"captured", "captured with iptables", "http_proxy"} {
		t.Run(way, func(t *testing.T) {
			p := newPod(t, "documented-weighted-split")
			p.start(gatewayUID, settings{})
			var prefix []string
			switch way {
			case "captured":
				p.capture()
			case "captured with iptables":
				p.capture("--tool", "iptables")
			default:
				prefix = []string{"env", "http_proxy=http://127.0.0.1:15001"}
			}
			for _, c := range calls {
				args := append(append([]string{}, prefix...), append([]string{"curl", "-sS", "-m", "10"}, c.args...)...)
				if out := p.run(p.as(appUID, args...)); !strings.Contains(out, c.want) {
					t.Errorf("%s: %s", c.name, out)
				}
			}
			if got := p.dashscope.Requests()[0]; got.Path != "/compatible-mode/v1/chat/completions" || got.Header.Get("Authorization") != "Bearer sk-dashscope" {
				t.Errorf("the provider got %s with %q", got.Path, got.Header.Get("Authorization"))
			}
			if p.moonshot.Count() == 0 {
				t.Error("nothing came over IPv6")
			}
			p.use("documented-subscriber-route")
			until(t, "the subscriber gets another model", func() bool {
				args := append(append([]string{}, prefix...), append([]string{"curl", "-sS", "-m", "10"}, call("http://dashscope.aliyuncs.com", "--header", "user-type: subscriber")...)...)
				return strings.Contains(p.run(p.as(appUID, args...)), `"model":"qwen-turbo"`)
			})
			if n := p.direct(); n != "0" || p.plain.count() != 0 {
				t.Errorf("%s packets left the pod for port 80, and %d connections came there", n, p.plain.count())
			}
		})
	}
	t.Run("nothing", func(t *testing.T) { // or the counter would prove nothing
		p := newPod(t, "documented-weighted-split")
		_ = p.as(appUID, "curl", "-s", "-m", "2", "http://dashscope.aliyuncs.com").Run()
		if n := p.direct(); n == "0" || p.plain.count() == 0 {
			t.Errorf("without a sidecar %s packets left the pod", n)
		}
	})
}

// TestSDK is OpenAI's SDK for Go, in a program that knows the provider's name.
func TestSDK(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	app := filepath.Join(p.dir, "app")
	if out, err := exec.Command("go", "build", "-C", filepath.Join("..", "sdk-go"), "-o", app, "./app").CombinedOutput(); err != nil {
		t.Fatalf("building the application: %v\n%s", err, out)
	}
	p.start(gatewayUID, settings{})
	for _, way := range [][]string{{"env", "HTTP_PROXY=http://127.0.0.1:15001"}, nil} {
		if way == nil {
			p.capture()
		}
		for host, want := range map[string]string{
			"dashscope.aliyuncs.com": "answer: qwen1.5-72b-chat\nstream: qwen1.5-72b-chat\n",
			"api.moonshot.cn":        "answer: moonshot-v1-8k\nstream: \n", // the documents turn streams off
		} {
			out := p.run(p.as(appUID, append(append([]string{}, way...), app, "http://"+host+"/v1/")...))
			if out != want {
				t.Errorf("%v, %s: it prints %q, want %q", way, host, out, want)
			}
		}
	}
	if n := p.direct(); n != "0" || p.plain.count() != 0 {
		t.Errorf("%s packets left the pod for port 80", n)
	}
}

// TestHostAliases has a Service's name lead to the sidecar itself, which listens
// on port 80: a set-up without rules.
func TestHostAliases(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	p.run(p.inPod("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=80"))
	p.start(gatewayUID, settings{Listen: "127.0.0.1:80"})
	if out := p.curl(call("http://demo-llm-server", "--resolve", "demo-llm-server:80:127.0.0.1")...); !strings.Contains(out, `"model":"`) {
		t.Errorf("%s", out)
	}
	if n := p.direct(); n != "0" {
		t.Errorf("%s packets left the pod for port 80", n)
	}
}
