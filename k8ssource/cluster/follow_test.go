package cluster

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/logging"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// TestRefusalsOfWhatIsOptional holds that a refusal is left to the controller as long
// as nothing was read, and is logged once something was.
func TestRefusalsOfWhatIsOptional(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	err := caddy.Run(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: new(bool)}},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{
			WriterRaw: caddyconfig.JSONModuleObject(logging.FileWriter{Filename: path}, "output", "file", nil), EncoderRaw: json.RawMessage(`{"format": "json"}`),
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var policies kind
	for _, k := range kinds {
		if k.name == object.KindAuthorizationPolicy {
			policies = k
		}
	}
	changes := 0
	f := &follower{
		store: newStore(policies, hooks{func() { changes++ }, func() {}}), connection: new(connection),
		target: target{kind: policies, version: "v1", namespace: "shop", optional: true},
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: policies.resource}, "", errors.New("RBAC"))
	logged := func(text string) int {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(data), text)
	}
	const complaint = "no permission to read objects; waiting for it"
	f.observe(t.Context(), forbidden)
	if logged(complaint) != 0 || changes != 1 {
		t.Errorf("before anything was read there are %d complaints, and %d changes", logged(complaint), changes)
	}
	f.observe(t.Context(), nil)
	if err := f.Replace(nil, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.observe(t.Context(), forbidden)
	}
	if n, m := logged(complaint), logged("a Role in namespace shop needs the rule"); n != 1 || m != 1 {
		t.Errorf("after something was read there are %d complaints, %d with the rule, want one", n, m)
	}
	f.observe(t.Context(), nil)
	if n := logged("permission to read objects granted"); n == 0 {
		t.Error("the log does not say that they may be read again")
	}
}
