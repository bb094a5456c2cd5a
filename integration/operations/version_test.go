package operations_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// TestVersion holds that the command, the metric, the status listener and the admin
// endpoint name the same version of the gateway.
func TestVersion(t *testing.T) {
	status := gateway.FreePort(t)
	g := gateway.Start(t, fmt.Sprintf("{\n\tllm {\n\t\tstatus_listen 127.0.0.1:%d\n\t\tprovider p http://127.0.0.1:1\n\t}\n}\n", status))
	out := g.Exec("version").Stdout
	ours, ok := strings.CutPrefix(out, "llm-gateway@")
	version, caddy, _ := strings.Cut(ours, " ")
	if !ok || version == "" {
		t.Fatalf("caddy version prints %q", out)
	}
	builds := metrics(t, status)["llm_build_info"]
	if len(builds) != 1 || builds[0].value != 1 || builds[0].labels["version"] != version ||
		!strings.HasPrefix(caddy, builds[0].labels["caddy_version"]) || !strings.HasPrefix(builds[0].labels["go_version"], "go1.") {
		t.Errorf("caddy version prints %q, the metric is %v", out, builds)
	}
	_, admin := g.AdminGet("/llm")
	for name, data := range map[string][]byte{"/status.json": []byte(get(t, status, "/status.json").body), "GET /llm": admin} {
		var view struct{ Version string }
		if err := json.Unmarshal(data, &view); err != nil || view.Version != version {
			t.Errorf("%s has the version %q (%v), want %q", name, view.Version, err, version)
		}
	}
}
