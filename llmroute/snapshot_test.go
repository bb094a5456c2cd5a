package llmroute

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// BenchmarkSnapshot measures what a state with one changed route costs among
// 1,000 providers and 5,000 routes, of which the source hands over the others as
// they were.
func BenchmarkSnapshot(b *testing.B) {
	first := &spec.State{Tables: make(map[string][]*spec.Route)}
	for i := range 1000 {
		name := fmt.Sprintf("ns/p-%d", i)
		model := "m"
		p := &openai.Provider{Base: kind.Base{Connection: upstream.Connection{Host: fmt.Sprintf("p-%d.example.com", i)}, Config: kind.Config{Model: &model, Key: upstream.Literal("sk")}}}
		first.Providers = append(first.Providers, &spec.Provider{Name: name, Origin: "test", Provider: p})
	}
	route := func(i int, host string) *spec.Route {
		return &spec.Route{Hosts: []string{host, host + ".ns", host + ".ns.svc", host + ".ns.svc.cluster.local"}, Origin: fmt.Sprintf("ns/r-%d", i), Rules: []*spec.Rule{
			{MatcherSetsRaw: []caddy.ModuleMap{{"llm_header": json.RawMessage(`{"user-type":{"exact":"subscriber"}}`)}}, Backends: []*spec.Backend{{Provider: fmt.Sprintf("ns/p-%d", i%1000)}}},
			{Backends: []*spec.Backend{{Provider: "ns/p-0"}}},
		}}
	}
	for i := range 5000 {
		first.Tables["mesh"] = append(first.Tables["mesh"], route(i, fmt.Sprint("r-", i)))
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"llm": json.RawMessage(`{"status_listen":"off"}`)}})
	if err != nil {
		b.Fatal(err)
	}
	module, err := ctx.App("llm")
	if err != nil {
		b.Fatal(err)
	}
	app := module.(*App)
	defer func() { _ = app.Cleanup() }()
	last := app.build(nil, first)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		next := *first
		next.Tables = map[string][]*spec.Route{"mesh": append([]*spec.Route(nil), first.Tables["mesh"]...)}
		next.Tables["mesh"][0] = route(0, fmt.Sprint("changed-", i))
		last = app.build(last, &next)
	}
}
