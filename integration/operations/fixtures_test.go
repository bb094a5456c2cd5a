package operations_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// played is a gateway whose providers are those of the fixtures, under their own
// names, and one fake server that stands for all of them.
type played struct {
	*gateway.Gateway
	up           *fp.Server
	port, status int
	hosts        map[string]string // by provider
}

// play starts one. Each provider has a rule of its own, chosen by a header.
func play(t *testing.T, all []fixtures.Fixture) *played {
	t.Helper()
	p := &played{up: fp.New(t, fp.Names("*.test")), port: gateway.FreePort(t), status: gateway.FreePort(t), hosts: map[string]string{}}
	proxy := fp.NewProxy(t, nil)
	var providers, rules strings.Builder
	for _, f := range all {
		if p.hosts[f.Provider] != "" {
			continue
		}
		path := f.Path // of chat completions; all but one kind of fixture have it
		for _, other := range fixtures.Load(t) {
			if other.Provider == f.Provider && other.Kind == "chat" {
				path = other.Path
			}
		}
		p.hosts[f.Provider] = f.Provider + ".test"
		proxy.Route(p.hosts[f.Provider], p.up)
		fmt.Fprintf(&providers, "\t\tprovider %s {\n\t\t\thost %s\n\t\t\tpath %s\n\t\t\tapi responses\n\t\t}\n", f.Provider, p.hosts[f.Provider], path)
		fmt.Fprintf(&rules, "\t\trule rule-%[1]s {\n\t\t\tmatch header X-Provider %[1]s\n\t\t\tto %[1]s\n\t\t}\n", f.Provider)
	}
	p.Gateway = gateway.Start(t, fmt.Sprintf("{\n\tllm {\n\t\tstatus_listen 127.0.0.1:%d\n\t\tnamespace prod\n\t\tworkload gateway\n%s\t}\n}\nhttp://:%d {\n\tlog\n\tllm_route {\n%s\t}\n}\n",
		p.status, providers.String(), p.port, rules.String()),
		gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", p.up.CAFile()))
	return p
}

// clientPath is where a client asks the gateway for what a fixture answers.
func clientPath(f fixtures.Fixture) string {
	i := strings.LastIndex(f.Path, "/v1/")
	return f.Path[i:]
}

// request is a client's request that a fixture answers. It asks for usage in a
// stream, or not.
func request(f fixtures.Fixture, asksUsage bool) (model, body string) {
	model = f.Want.Model
	if model == "" {
		model = "model-of-" + f.Provider
	}
	m := map[string]any{"model": model, "messages": []any{}}
	if f.Kind == "embeddings" {
		m = map[string]any{"model": model, "input": "x"}
	}
	if f.Stream {
		m["stream"] = true
		if asksUsage && f.Kind != "responses" {
			m["stream_options"] = map[string]any{"include_usage": true}
		}
	}
	b, _ := json.Marshal(m) // strings always encode
	return model, string(b)
}

// withoutUsageChunks is a stream as a client gets it that did not ask for usage:
// without the events that have usage and no choice, and without usage that is null.
func withoutUsageChunks(stream []byte) []byte {
	var out []byte
	for _, e := range fp.Events(stream) {
		var d struct {
			Usage   map[string]any
			Choices []any
			Error   any
		}
		if json.Unmarshal(e.Data, &d) == nil && d.Usage != nil && len(d.Choices) == 0 && d.Error == nil {
			for line := range bytes.Lines(e.Raw) {
				if line[0] == ':' { // comments are never held back
					out = append(out, line...)
				}
			}
			continue
		}
		out = append(out, bytes.Replace(e.Raw, []byte(`,"usage":null`), nil, 1)...)
	}
	return out
}

// finishReason is why a fixture's answer ended. The Responses API has a status
// instead.
func finishReason(f fixtures.Fixture) string {
	if f.Kind != "responses" {
		return f.Want.FinishReason
	}
	last := f.Body
	if f.Stream {
		for _, e := range fp.Events(f.Body) {
			if e.Data != nil {
				last = e.Data
			}
		}
	}
	var d struct {
		Status   string
		Response struct{ Status string }
	}
	_ = json.Unmarshal(last, &d) // no status is seen below
	return d.Status + d.Response.Status
}

// Every fixture passes through unchanged, and the access log says of it what its
// manifest does.
func TestFixturesInAccessLogsAndMetrics(t *testing.T) {
	all := slices.DeleteFunc(fixtures.Load(t), func(f fixtures.Fixture) bool { return f.Kind == "models" })
	p := play(t, all)
	wantTokens := map[string]fp.Usage{} // by host and model, as the metrics have them
	missing, succeeded := 0, 0
	for _, f := range all {
		variants := []bool{true}
		if f.Stream && f.Kind != "responses" {
			variants = append(variants, false)
		}
		for _, asks := range variants {
			name := f.ID
			if !asks {
				name += " usage hidden"
			}
			t.Run(name, func(t *testing.T) {
				p.up.Script(fp.Always(f.Reply()))
				model, body := request(f, asks)
				mark := p.LogMark()
				a := post(t, p.port, clientPath(f), body, "X-Provider", f.Provider)
				want := f.Body
				if !asks {
					want = withoutUsageChunks(want)
				}
				if a.status != f.Status || a.body != string(want) {
					t.Errorf("got %d, %d bytes, want %d, %d bytes:\n%.2000s", a.status, len(a.body), f.Status, len(want), a.body)
				}
				for k, v := range f.Header {
					if got := a.header[k]; k != "Server" && k != "Cache-Control" && !slices.Equal(got, v) {
						t.Errorf("header %s: %q, want %q", k, got, v)
					}
				}
				if r := p.up.Last(); r.Path != f.Path || r.Host != p.hosts[f.Provider] || r.SNI != r.Host {
					t.Errorf("the provider was asked for %s at %s (SNI %s), want %s", r.Path, r.Host, r.SNI, f.Path)
				}

				line := accessLog(t, p.Gateway, mark, clientPath(f))
				fields := map[string]any{"request_model": model, "provider": f.Provider, "rule": "rule-" + f.Provider, "attempts": json.Number("1"),
					"request_prompt_tokens": nil, "request_completion_tokens": nil, "finish_reason": nil}
				if reason := finishReason(f); reason != "" {
					fields["finish_reason"] = reason
				}
				if f.Status < 400 {
					succeeded++
				}
				if u := f.Want.Usage; u != nil {
					fields["request_prompt_tokens"], fields["request_completion_tokens"] = json.Number(fmt.Sprint(u.Prompt)), json.Number(fmt.Sprint(u.Completion))
					key := p.hosts[f.Provider] + " " + f.Want.Model
					sum := wantTokens[key]
					sum.Prompt, sum.Completion = sum.Prompt+u.Prompt, sum.Completion+u.Completion
					wantTokens[key] = sum
				} else if f.Status < 400 && !f.Want.StreamError { // an error inside is no success
					missing++
				}
				for name, want := range fields {
					if got := line.Fields[name]; got != want {
						t.Errorf("the access log has %s %v (%T), want %v", name, got, got, want)
					}
				}
				if f.Stream {
					if n, ok := line.Fields["time_to_first_token"].(json.Number); !ok || n.String() == "0" {
						t.Errorf("the access log has time_to_first_token %v", line.Fields["time_to_first_token"])
					}
				}
			})
		}
	}

	t.Run("metrics", func(t *testing.T) {
		m := metrics(t, p.status)
		for name, of := range map[string]func(fp.Usage) int64{
			"asm_llm_proxy_prompt_tokens":     func(u fp.Usage) int64 { return u.Prompt },
			"asm_llm_proxy_completion_tokens": func(u fp.Usage) int64 { return u.Completion },
		} {
			got, want := map[string]int64{}, map[string]int64{}
			for _, s := range m[name] {
				if s.labels["llmproxy_source_workload"] != "gateway" || s.labels["llmproxy_source_workload_namespace"] != "prod" {
					t.Errorf("%s has the labels %v", name, s.labels)
				}
				if s.labels["llmproxy_model"] == "" {
					t.Errorf("%s has a series of no model, as if a request that failed had tokens", name)
				}
				if s.value != 0 {
					got[s.labels["llmproxy_destination_service"]+" "+s.labels["llmproxy_model"]] += int64(s.value)
				}
			}
			for key, u := range wantTokens {
				if n := of(u); n != 0 {
					want[key] = n
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		var missed, ok float64
		for _, s := range m["llm_usage_missing_total"] {
			if s.labels["reason"] == "unreported" {
				missed += s.value
			}
		}
		for _, s := range m["llm_attempts_total"] {
			if s.labels["outcome"] == "200" {
				ok += s.value
			}
		}
		if int(missed) != missing || int(ok) != succeeded {
			t.Errorf("%v responses without usage of %v, want %d of %d", missed, ok, missing, succeeded)
		}
		_, b := p.AdminGet("/metrics") // Caddy's own endpoint has the same ones
		for _, name := range []string{"asm_llm_proxy_prompt_tokens", "asm_llm_proxy_completion_tokens"} {
			if len(parseMetrics(t, string(b))[name]) != len(m[name]) {
				t.Errorf("%s is not the same on the admin endpoint", name)
			}
		}
	})
	t.Run("what the provider counted", func(t *testing.T) {
		p.up.WaitIdle(patience)
		var got, want fp.Usage
		for _, u := range p.up.Ledger() {
			want.Prompt, want.Completion = want.Prompt+u.Prompt, want.Completion+u.Completion
		}
		for _, u := range wantTokens {
			got.Prompt, got.Completion = got.Prompt+u.Prompt, got.Completion+u.Completion
		}
		if got != want {
			t.Errorf("the manifests say %+v, the provider sent %+v", got, want)
		}
	})
}

// A provider's list of models comes back merged into the gateway's own.
func TestModelFixtures(t *testing.T) {
	all := fixtures.Select(t, func(f fixtures.Fixture) bool { return f.Kind == "models" })
	for _, f := range all {
		t.Run(f.ID, func(t *testing.T) {
			p := play(t, []fixtures.Fixture{f})
			p.up.Script(fp.Always(f.Reply()))
			a := get(t, p.port, "/v1/models", "X-Provider", f.Provider)
			var got, want struct {
				Object string
				Data   []struct{ ID string }
			}
			if err := json.Unmarshal(f.Body, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || got.Object != "list" || len(want.Data) == 0 {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			for _, m := range want.Data {
				if !slices.Contains(got.Data, m) {
					t.Errorf("%s is missing in %s", m.ID, a.body)
				}
			}
		})
	}
}
