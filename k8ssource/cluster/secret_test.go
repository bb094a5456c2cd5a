package cluster

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestOptionsRepeatNoSecret holds that no error about an option repeats a value that may
// be a secret.
func TestOptionsRepeatNoSecret(t *testing.T) {
	const secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
	var texts []string
	for _, value := range []string{secret, "a " + secret, secret + "_", secret + "{env.X}", "https://u:" + secret + "@a/?key=" + secret} {
		texts = append(texts, "kubernetes "+value)
		for _, option := range []string{"", "namespaces", "gateways", "kubeconfig", "context", "status", "gateway_addresses", "lease", "labels", "port_map", "gateway_networks", "mesh_listen", "injection"} {
			texts = append(texts, "kubernetes {\n "+option+" "+value+"\n}")
		}
		for _, option := range []string{"", "options", "listen", "secret", "ca_lifetime"} {
			texts = append(texts, "kubernetes {\n injection gw {\n "+option+" "+value+"\n}\n}")
		}
	}
	faults := 0
	for _, text := range texts {
		err := new(Kubernetes).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil {
			continue // it may be a name
		}
		faults++
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s\n%v", text, err)
		}
	}
	if faults < 30 {
		t.Errorf("only %d errors; that tests little", faults)
	}
}
