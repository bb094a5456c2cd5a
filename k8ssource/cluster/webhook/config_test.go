package webhook

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func parse(text string) (*Config, error) {
	c := new(Config)
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	return c, c.UnmarshalCaddyfile(d)
}

func TestCaddyfile(t *testing.T) {
	c, err := parse("injection gw {\n options /etc/o.yaml\n listen :9443\n secret s\n ca_lifetime 90d\n}")
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Config{Webhook: "gw", Options: "/etc/o.yaml", Listen: ":9443", Secret: "s", CALifetime: caddy.Duration(90 * 24 * time.Hour)}); !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v", c)
	}
	for text, want := range map[string]string{
		"injection":                              "injection takes the name of the MutatingWebhookConfiguration",
		"injection a b":                          `injection takes one name; "b" is one too many`,
		"injection a {\n listen\n}":              "listen takes one value",
		"injection a {\n secret a\n secret b\n}": "secret is given twice; keep one of them",
		"injection a {\n image x\n}":             `injection has no option "image"; its options are options, listen, secret and ca_lifetime`,
		"injection a {\n ca_lifetime 1s\n}":      `ca_lifetime is "1s"; expected a duration of at least 1m0s`,
	} {
		if _, err := parse(text); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "at Testfile:") {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"defaults":   {Config{Webhook: "gw", Options: "o.yaml"}, ""},
		"no webhook": {Config{Options: "o.yaml"}, "the injection does not know its MutatingWebhookConfiguration"},
		"no options": {Config{Webhook: "gw"}, "the injection does not know what sidecars are like"},
		"socket":     {Config{Webhook: "gw", Options: "o.yaml", Listen: "unix//run/x"}, `listen "unix//run/x" is not an address that API servers can reach`},
		"no port":    {Config{Webhook: "gw", Options: "o.yaml", Listen: "localhost"}, `listen "localhost" is not`},
		"many ports": {Config{Webhook: "gw", Options: "o.yaml", Listen: ":1000-1002"}, `listen ":1000-1002" is not`},
		"lifetime":   {Config{Webhook: "gw", Options: "o.yaml", CALifetime: 1}, "ca_lifetime 1ns is too short"},
	} {
		test.config.Provision()
		if err := test.config.Validate(); test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Config{Webhook: "gw"}
	c.Provision()
	if c.Listen != ":15017" || c.Secret != "gw-ca" || time.Duration(c.CALifetime) != 365*24*time.Hour {
		t.Errorf("the defaults are %+v", c)
	}
}
