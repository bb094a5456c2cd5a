package cluster

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/k8ssource/cluster/webhook"
	"github.com/caddy-llm/gateway/k8ssource/source"
)

// TestNoOptionTakesAPlaceholder is that of package k8ssource, for this source.
func TestNoOptionTakesAPlaceholder(t *testing.T) {
	check := func(option, config string) {
		k := new(Kubernetes)
		if err := json.Unmarshal([]byte(config), k); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		if err := k.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		if err := k.Validate(); err == nil || !strings.Contains(err.Error(), "{env.X} is not replaced here") {
			t.Errorf("%s: got %v", option, err)
		}
	}
	tried := 0
	for option, index := range placeholder.Fields(reflect.TypeFor[Kubernetes]()) {
		if value := placeholder.Try(reflect.TypeFor[Kubernetes]().FieldByIndex(index).Type); value != nil {
			check(option, `{"`+option+`":`+string(value)+"}")
			tried++
		}
	}
	for option, index := range placeholder.Fields(reflect.TypeFor[webhook.Config]()) {
		if value := placeholder.Try(reflect.TypeFor[webhook.Config]().FieldByIndex(index).Type); value != nil {
			check("injection."+option, `{"injection":{"`+option+`":`+string(value)+"}}")
			tried++
		}
	}
	if tried < 15 {
		t.Errorf("only %d options were tried", tried)
	}
	options := append(strings.Split(source.OptionNames, ", "), "namespaces", "gateways", "kubeconfig", "context", "status", "lease")
	for _, option := range append(options, "injection", "injection w {\n options", "injection w {\n listen", "injection w {\n secret", "injection w {\n ca_lifetime") {
		text := "kubernetes {\n " + option + " {env.X}\n}" + strings.Repeat("\n}", strings.Count(option, "{"))
		if err := new(Kubernetes).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), "{env.X} is not replaced here") {
			t.Errorf("%s: got %v", option, err)
		}
	}
}
