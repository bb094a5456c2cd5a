package inject_test // what imports this package imports the modules that a Caddyfile needs

import (
	"bytes"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddy-llm/gateway/caddyfile"
	_ "github.com/caddy-llm/gateway/k8ssource/cluster"
	_ "github.com/caddy-llm/gateway/k8ssource/files"
	"github.com/caddy-llm/gateway/k8ssource/inject"
)

// TestCaddyfile holds that the gateway takes the Caddyfile that it is given, and finds
// nothing to complain about in it.
func TestCaddyfile(t *testing.T) {
	t.Setenv("LLM_NAMESPACE", "shop")
	t.Setenv("LLM_WORKLOAD", "web")
	for _, source := range []string{inject.SourceFiles, inject.SourceKubernetes} {
		o, err := inject.ReadOptions([]byte("image: gateway\naccessLog: true\nsource: " + source + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		text := caddyfileOf(t, o)
		if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
			t.Errorf("not formatted:\n%s", text)
		}
		config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile"})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%v, %v\n%s", err, warnings, text)
		}
		for _, part := range []string{`"admin":{"disabled":true`, `"namespace":"shop"`, `"workload":"web"`, `"mesh_listen":"localhost:15001"`, `"status_listen":":15021"`, `"status_page":false`, `"source":"` + source + `"`} {
			if !bytes.Contains(config, []byte(part)) {
				t.Errorf("%s is not in %s", part, config)
			}
		}
	}
}

// caddyfileOf returns the Caddyfile that a pod gets in an annotation.
func caddyfileOf(t *testing.T, o *inject.Options) []byte {
	t.Helper()
	const pod = `{"metadata": {"labels": {"sidecar.llm-gateway/inject": "true"}, "annotations": {"a": "b"}}, "spec": {"containers": [{"name": "app"}]}}`
	operations, decision, err := o.Patch([]byte(pod), inject.Place{Namespace: "shop"})
	if err != nil || !decision.Inject {
		t.Fatalf("%+v, %v", decision, err)
	}
	for _, operation := range operations {
		if text, ok := operation.Value.(string); ok && strings.HasSuffix(operation.Path, "~1caddyfile") {
			return []byte(text)
		}
	}
	t.Fatal("the pod gets no Caddyfile")
	return nil
}
