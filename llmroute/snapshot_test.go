package llmroute

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// BenchmarkSnapshot measures what a state with one changed route costs among
// 1,000 providers and 5,000 routes, of which the source hands over the others as
// they were.
func BenchmarkSnapshot(b *testing.B) {
	first := &State{Tables: make(map[string][]*Route)}
	for i := range 1000 {
		name := fmt.Sprintf("ns/p-%d", i)
		model := "m"
		p := &openai.Provider{Base: kind.Base{Connection: upstream.Connection{Host: fmt.Sprintf("p-%d.example.com", i)}, Config: kind.Config{Model: &model, Key: upstream.Literal("sk")}}}
		first.Providers = append(first.Providers, &ProviderSpec{Name: name, Origin: "test", Provider: p})
	}
	route := func(i int, host string) *Route {
		return &Route{Hosts: []string{host, host + ".ns", host + ".ns.svc", host + ".ns.svc.cluster.local"}, Origin: fmt.Sprintf("ns/r-%d", i), Rules: []*Rule{
			{MatcherSetsRaw: []caddy.ModuleMap{{"llm_header": json.RawMessage(`{"user-type":{"exact":"subscriber"}}`)}}, Backends: []*Backend{{Provider: fmt.Sprintf("ns/p-%d", i%1000)}}},
			{Backends: []*Backend{{Provider: "ns/p-0"}}},
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
		next.Tables = map[string][]*Route{"mesh": append([]*Route(nil), first.Tables["mesh"]...)}
		next.Tables["mesh"][0] = route(0, fmt.Sprint("changed-", i))
		last = app.build(last, &next)
	}
}

// TestCopiesHaveAllOfARule holds that what a source says of a rule is what is used.
func TestCopiesHaveAllOfARule(t *testing.T) {
	rule := new(Rule)
	v := reflect.ValueOf(rule).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() {
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int:
			f.SetInt(3)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Struct:
			f.Set(reflect.ValueOf(Object{Kind: "LLMRoute", Namespace: "ns", Name: "x"}))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		default:
			t.Fatalf("a field of kind %s: set it here", f.Kind())
		}
	}
	copied := reflect.ValueOf((&Route{Rules: []*Rule{rule}}).copy().Rules[0]).Elem()
	for i := range v.NumField() {
		if v.Field(i).CanSet() && !reflect.DeepEqual(copied.Field(i).Interface(), v.Field(i).Interface()) {
			t.Errorf("%s is %v, want %v", v.Type().Field(i).Name, copied.Field(i), v.Field(i))
		}
	}
}
