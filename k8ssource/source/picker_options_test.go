package source

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls" // the module file of trust_pool

	"github.com/caddy-llm/gateway/k8ssource/provider"
)

func TestPickerOptions(t *testing.T) {
	for _, block := range []string{"plaintext", "server_name picker.example.com", "timeout 5m", "trust_pool file a.pem", ""} {
		o := new(Settings)
		d := caddyfile.NewTestDispenser("endpoint_picker {\n" + block + "\n}")
		d.Next()
		if _, err := o.CaddyfileOption(d, "endpoint_picker", nil); err != nil {
			t.Errorf("%s: %v", block, err)
		}
		if (block == "") != reflect.DeepEqual(o.EndpointPicker, new(provider.PickerOptions)) {
			t.Errorf("%s is not read", block)
		}
	}
	for block, says := range map[string]string{
		"plaintext\ntrust_pool file a.pem": "keep one of the two", "timeout -1s": "no duration", "timeout": "takes one duration", "trust_pool": "name of a module",
		"plaintext on": "takes no value", "verify": "has no option", "plaintext\nplaintext": "given twice", "server_name": "takes one value",
	} {
		d := caddyfile.NewTestDispenser("endpoint_picker {\n" + block + "\n}")
		d.Next()
		if _, err := new(Settings).CaddyfileOption(d, "endpoint_picker", nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", block, err, says)
		}
	}
	if err := (&Settings{EndpointPicker: &provider.PickerOptions{Timeout: caddy.Duration(-1)}}).Validate(); err == nil {
		t.Error("a negative timeout is no mistake")
	}
}
