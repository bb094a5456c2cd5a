package files

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestOptionsRepeatNoSecret holds that no error about an option repeats a value that may
// be a secret.
func TestOptionsRepeatNoSecret(t *testing.T) {
	const secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
	faults := 0
	for _, option := range []string{"", "namespace", "labels", "labels_file", "workload", "root_namespace", "selectors_from", "ambient_credentials", "port_map", "gateway_networks", "mesh_listen", "outbound_traffic_policy", "allow_any_host", "interval", secret} {
		for _, value := range []string{secret, "a " + secret, secret + "_", "80:" + secret, secret + "{env.X}", "https://u:" + secret + "@a/?key=" + secret, secret + " " + secret} {
			f := new(Source)
			err := f.UnmarshalCaddyfile(caddyfile.NewTestDispenser("files a {\n " + option + " " + value + "\n}"))
			if err == nil {
				err = f.Validate()
			}
			if err == nil {
				continue // it may be the name of a file
			}
			faults++
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", option, err)
			}
		}
	}
	if faults < 40 {
		t.Errorf("only %d errors; that tests little", faults)
	}
}
