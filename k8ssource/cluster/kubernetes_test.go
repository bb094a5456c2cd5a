package cluster

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/k8ssource/cluster/webhook"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func TestCaddyfile(t *testing.T) {
	k := new(Kubernetes)
	d := caddyfile.NewTestDispenser("kubernetes {\n kubeconfig /kube/config\n context dev\n namespace istio-system\n labels istio=ingressgateway\n workload gw\n root_namespace root\n labels_file /labels\n status off\n lease gw\n namespaces . shared\n gateways off\n gateway_addresses 203.0.113.7 2001:DB8::1 llm.example.com\n}")
	if err := k.UnmarshalCaddyfile(d); err != nil {
		t.Fatal(err)
	}
	want := &Kubernetes{
		Kubeconfig: "/kube/config", Context: "dev", Status: "off", Lease: "gw", Namespaces: []string{".", "shared"}, Gateways: "off", GatewayAddresses: []string{"203.0.113.7", "2001:DB8::1", "llm.example.com"},
		Settings: source.Settings{Namespace: "istio-system", Labels: map[string]string{"istio": "ingressgateway"}, LabelsFile: "/labels", Workload: "gw", RootNamespace: "root"},
	}
	if !reflect.DeepEqual(k, want) {
		t.Errorf("got %+v", k)
	}
	for text, want := range map[string]string{
		"kubernetes x":                                  "source kubernetes takes no argument such as \"x\"; write its options in a block",
		"kubernetes {\n labels\n}":                      "labels needs at least one label, such as app=sleep",
		"kubernetes {\n context\n}":                     "context takes one value",
		"kubernetes {\n kubeconfig a b\n}":              "kubeconfig takes one value",
		"kubernetes {\n context a\n context b\n}":       "context is given twice; keep one of them",
		"kubernetes {\n status maybe\n}":                `status "maybe" is neither on nor off`,
		"kubernetes {\n gateways no\n}":                 `gateways "no" is neither on nor off`,
		"kubernetes {\n namespaces\n}":                  "namespaces needs at least one, such as . for the workload's own",
		"kubernetes {\n namespaces *\n}":                `namespaces: "*" is not the name of a namespace`,
		"kubernetes {\n gateway_addresses\n}":           "gateway_addresses needs at least one, such as 203.0.113.7 or llm.example.com",
		"kubernetes {\n gateway_addresses a:80\n}":      `gateway_addresses: "a:80" is neither an IP address nor a host name; write one such as 203.0.113.7`,
		"kubernetes {\n gateway_addresses fe80::1%e\n}": `gateway_addresses: a text that is not shown is neither an IP address nor a host name`,
		"kubernetes {\n kube_config a\n}":               `source kubernetes has no option "kube_config"; its options are namespace,`,
	} {
		err := new(Kubernetes).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "at Testfile:") {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte(`{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a"}}], "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	known := source.Settings{Namespace: "ns", Labels: map[string]string{"app": "gw"}}
	unnamed := source.Settings{Namespace: "ns", Labels: map[string]string{"istio": "gw"}}
	for name, test := range map[string]struct {
		source Kubernetes
		want   string
	}{
		"no workload":     {Kubernetes{Kubeconfig: config}, "the namespace of the gateway's workload is not known; write the option namespace"},
		"no API server":   {Kubernetes{Settings: known}, "the gateway does not run in a pod, so it does not know an API server; write the option kubeconfig"},
		"no file":         {Kubernetes{Settings: known, Kubeconfig: config + "x"}, "finding the API server: "},
		"no such context": {Kubernetes{Settings: known, Kubeconfig: config, Context: "b"}, "finding the API server: context \"b\" does not exist"},
		"no kubeconfig":   {Kubernetes{Settings: known, Context: "b"}, "there is a context, but no kubeconfig file"},
		"no leader":       {Kubernetes{Settings: unnamed, Kubeconfig: config, Injection: &webhook.Config{Webhook: "w", Options: config}}, "injection: the workload's name is not known"},
		"a silent server": {Kubernetes{Settings: known, Kubeconfig: config}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			provisioning, done := caddy.NewContext(caddy.Context{Context: ctx})
			defer done()
			err := test.source.Provision(provisioning)
			if err == nil {
				err = test.source.Validate()
			}
			if err == nil {
				err = test.source.Start(ctx, func(*spec.State) { t.Error("a state was reported") })
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
