package k8ssource

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// schema is a node of a CustomResourceDefinition's schema.
type schema map[string]any

// at follows the names of fields; "[]" is a list's entry, "{}" a map's value.
func (s schema) at(path string) schema {
	for name := range strings.SplitSeq(path, ".") {
		var next any
		switch name {
		case "[]":
			next = s["items"]
		case "{}":
			next = s["additionalProperties"]
		default:
			properties, _ := s["properties"].(map[string]any)
			next = properties[name]
		}
		s, _ = next.(map[string]any)
	}
	return s
}

// definition reads the schema of a kind, which must be the same in all
// versions.
func definition(t *testing.T, file string) schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "examples", "kubernetes", "crds", file))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Group    string
			Versions []struct {
				Name            string
				Served, Storage bool
				Schema          struct{ OpenAPIV3Schema schema }
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range crd.Spec.Versions {
		names = append(names, v.Name)
		// The documents' manifests are v1beta1.
		if !v.Served || v.Storage != (v.Name == "v1beta1" || v.Name == v1alpha1.Version) {
			t.Errorf("%s: %s is served: %v, stored: %v", file, v.Name, v.Served, v.Storage)
		}
		if !reflect.DeepEqual(v.Schema, crd.Spec.Versions[0].Schema) {
			t.Errorf("%s: the schema of %s is another one", file, v.Name)
		}
	}
	want := object.Versions
	if crd.Spec.Group == object.OwnGroup {
		want = []string{v1alpha1.Version}
	}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("%s: the versions are %v, want %v", file, names, want)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// TestLimits holds that the definitions have the limits of the findings.
func TestLimits(t *testing.T) {
	provider, route, limit := definition(t, "llmproviders.yaml"), definition(t, "llmroutes.yaml"), definition(t, "llmlimits.yaml")
	for _, test := range []struct {
		at   schema
		name string
		want int
	}{
		{provider.at("spec.host"), "maxLength", object.MaxHost},
		{provider.at("spec.path"), "maxLength", object.MaxPath},
		{provider.at("spec.configs.defaultConfig.openAIConfig.apiKey"), "maxLength", object.MaxInlineKey},
		{provider.at("spec.configs.routeSpecificConfigs"), "maxProperties", object.MaxRuleConfigs},
		{provider.at("spec.headers"), "maxProperties", object.MaxAdded},
		{route.at("spec.host"), "maxLength", object.MaxRouteHost},
		{route.at("spec.gateways"), "maxItems", object.MaxGateways},
		{route.at("spec.rules"), "maxItems", object.MaxRules},
		{route.at("spec.rules.[].matches"), "maxItems", object.MaxMatches},
		{route.at("spec.rules.[].matches.[].headers"), "maxProperties", object.MaxHeaders},
		{route.at("spec.rules.[].matches.[].headers.{}.regex"), "maxLength", object.MaxRegex},
		{route.at("spec.rules.[].backendRefs"), "maxItems", object.MaxBackends},
		{route.at("spec.rules.[].retryOn"), "maxItems", object.MaxRetryOn},
		{limit.at("spec.targetRefs"), "maxItems", object.MaxTargetRefs},
		{limit.at("spec.key"), "maxItems", object.MaxLimitKeys},
		{limit.at("spec.key.[]"), "maxLength", object.MaxLimitKey},
		{limit.at("spec.amounts"), "maxItems", object.MaxAmounts},
		{limit.at("spec.rules"), "maxItems", object.MaxLimitNames},
		{limit.at("spec.providers"), "maxItems", object.MaxLimitNames},
		{limit.at("spec.models"), "maxItems", object.MaxLimitNames},
		{limit.at("spec.models.[]"), "maxLength", object.MaxModel},
		{limit.at("spec.matches"), "maxItems", object.MaxMatches},
		{limit.at("spec.matches.[].headers"), "maxProperties", object.MaxHeaders},
	} {
		if got, _ := test.at[test.name].(float64); int(got) != test.want {
			t.Errorf("%s of %q is %v, want %d", test.name, test.at["description"], got, test.want)
		}
	}
}

// TestHeadersOfTheGateway holds that the definition refuses the headers that findings
// do.
func TestHeadersOfTheGateway(t *testing.T) {
	text := fmt.Sprint(definition(t, "llmproviders.yaml").at("spec.headers")["x-kubernetes-validations"])
	for _, name := range []string{
		"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect", "host", "cdn-loop",
		"content-length", "content-type", "content-encoding", "accept-encoding", "proxy-authorization",
	} {
		if !header.WrittenByGateway(http.CanonicalHeaderKey(name)) {
			t.Errorf("%s may be set", name)
		}
		if !strings.Contains(text, "'"+name+"'") {
			t.Errorf("no rule is about %s", name)
		}
	}
}

// TestDescriptions holds that kubectl explain has something to say about every
// field, and that unknown fields are refused.
func TestDescriptions(t *testing.T) {
	for _, file := range []string{"llmproviders.yaml", "llmroutes.yaml", "llmlimits.yaml"} {
		root := definition(t, file)
		if root["description"] == "" {
			t.Errorf("%s: the kind is not described", file)
		}
		for _, part := range []string{"spec", "status"} {
			describes(t, file+": "+part, root.at(part))
		}
	}
}

func describes(t *testing.T, path string, s schema) {
	t.Helper()
	if text, _ := s["description"].(string); text == "" || strings.Contains(text, "+") {
		t.Errorf("%s: the description is %q", path, text)
	}
	if s["x-kubernetes-preserve-unknown-fields"] != nil {
		t.Errorf("%s: unknown fields are kept", path)
	}
	properties, _ := s["properties"].(map[string]any)
	for name, field := range properties {
		describes(t, path+"."+name, field.(map[string]any))
	}
	for _, inner := range []string{"items", "additionalProperties"} {
		if field, _ := s[inner].(map[string]any); field["properties"] != nil {
			describes(t, path+"."+inner, field)
		}
	}
}
