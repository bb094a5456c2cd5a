package crds_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestGatewayFields compares the fields that are read of a Gateway with those of
// Istio's definition, in each version.
func TestGatewayFields(t *testing.T) {
	want := make(map[string]node)
	goFields(want, "spec", reflect.TypeFor[object.GatewaySpec]())
	for version, got := range gatewayFields(t) {
		if missing := difference(got, want); len(missing) > 0 {
			t.Errorf("%s: Gateway has no field for %v", version, missing)
		}
		if extra := difference(want, got); len(extra) > 0 {
			t.Errorf("%s: Istio has no field %v", version, extra)
		}
	}
}

// used are the fields that do what Istio's reference says, and those that do nothing
// there either.
var used = []string{
	"spec.selector", "spec.servers[].name", "spec.servers[].bind", "spec.servers[].hosts", "spec.servers[].port.number", "spec.servers[].port.name",
	"spec.servers[].port.protocol", "spec.servers[].port.targetPort", "spec.servers[].tls.mode", "spec.servers[].tls.credentialName", "spec.servers[].tls.minProtocolVersion",
}

// TestGatewayFieldsThatAreNotSupported sets each other field, and sees it reported.
func TestGatewayFieldsThatAreNotSupported(t *testing.T) {
	for version, fields := range gatewayFields(t) {
		for _, path := range slices.Sorted(maps.Keys(fields)) {
			field := fields[path]
			// An empty entry of a list stands for those that have fields.
			if len(field.Properties) > 0 || strings.Contains(path, "[].tls.tlsCertificates[]") || field.Items != nil && path == "spec.servers" || slices.Contains(used, path) {
				continue
			}
			for _, value := range field.values() {
				expectFinding(t, version, path, value)
			}
		}
		for _, mode := range fields["spec.servers[].tls.mode"].Enum {
			if mode != "SIMPLE" && mode != "MUTUAL" {
				expectFinding(t, version, "spec.servers[].tls.mode", mode)
			}
		}
	}
}

// expectFinding sets one field of a Gateway that is well otherwise.
func expectFinding(t *testing.T, version, path string, value any) {
	t.Helper()
	port := map[string]any{"number": 443, "name": "https", "protocol": "HTTPS"}
	tls := map[string]any{"mode": "MUTUAL", "credentialName": "c"}
	server := map[string]any{"hosts": []string{"*"}, "port": port, "tls": tls}
	at, name, _ := strings.Cut(strings.TrimPrefix(path, "spec.servers[]."), ".")
	switch at {
	case "tls":
		tls[name] = value
	case "port":
		port[name] = value
	default:
		server[at] = value
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "networking.istio.io/" + version, "kind": "Gateway", "metadata": map[string]string{"name": "gw", "namespace": "ns"},
		"spec": map[string]any{"selector": map[string]string{"app": "gw"}, "servers": []any{server}},
	})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := object.DecodeObject(data)
	if err != nil {
		t.Fatal(err)
	}
	state := k8ssource.Translate(objects, spec.Identity{Namespace: "ns", Labels: map[string]string{"app": "gw"}}, k8ssource.Options{})
	var found []string
	for _, f := range state.Findings {
		found = append(found, f.Reason+": "+f.Message)
	}
	if want := ": " + strings.ReplaceAll(path, "[]", "[0]") + ": "; !strings.Contains(strings.Join(found, "\n"), want) {
		t.Errorf("%s: %s: %v is not reported, but %q", version, path, value, found)
	}
}

// node is a part of a schema.
type node struct {
	Properties map[string]node
	Items      *node
	Type       string
	Enum       []string
}

// values are all that a field can have, as far as they differ here.
func (n node) values() []any {
	switch {
	case len(n.Enum) > 0:
		var out []any
		for _, v := range n.Enum {
			// These change nothing: there is no higher version than 1.3.
			if v != "TLS_AUTO" && v != "TLSV1_3" {
				out = append(out, v)
			}
		}
		return out
	case n.Type == "boolean":
		return []any{true}
	case n.Type == "array" && len(n.Items.Properties) > 0:
		return []any{[]any{map[string]any{}}}
	case n.Type == "array":
		return []any{[]string{"x"}}
	}
	return []any{"x"}
}

// gatewayFields are the fields under spec of Istio's Gateway, by version and path.
func gatewayFields(t *testing.T) map[string]map[string]node {
	t.Helper()
	c := cluster.Shared(t)
	c.InstallIstioCRDs("Gateway")
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema node }
			}
		}
	}
	if err := json.Unmarshal([]byte(c.Kubectl("get", "crd", "gateways.networking.istio.io", "-o", "json").Stdout), &crd); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]map[string]node)
	for _, v := range crd.Spec.Versions {
		fields := make(map[string]node)
		v.Schema.OpenAPIV3Schema.Properties["spec"].collect(fields, "spec")
		if len(fields) < 25 {
			t.Fatalf("%s has only %d fields", v.Name, len(fields))
		}
		out[v.Name] = fields
	}
	if len(out) != 3 {
		t.Fatalf("Gateway has %d versions", len(out))
	}
	return out
}

func (n node) collect(out map[string]node, path string) {
	for name, field := range n.Properties {
		sub := path + "." + name
		out[sub] = field
		field.collect(out, sub)
		if field.Items != nil {
			field.Items.collect(out, sub+"[]")
		}
	}
}

// goFields collects the JSON fields of a struct by path.
func goFields(out map[string]node, path string, t reflect.Type) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		sub, inner := fmt.Sprintf("%s.%s", path, name), t.Field(i).Type
		out[sub] = node{}
		if inner.Kind() == reflect.Slice {
			sub, inner = sub+"[]", inner.Elem()
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			goFields(out, sub, inner)
		}
	}
}

// difference are the paths in a and not in b, but for those within what b keeps as
// it is.
func difference(a, b map[string]node) []string {
	var out []string
	for path := range a {
		if _, ok := b[path]; !ok && !strings.Contains(path, ".tlsCertificates[].") {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}
