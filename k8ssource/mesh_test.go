package k8ssource

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestMeshThatCannotBeRead holds that a policy which needs what is not known of the
// mesh fails closed, and others do not mind.
func TestMeshThatCannotBeRead(t *testing.T) {
	const policies = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow}
spec:
  rules:
  - from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]
  - when: [{key: remote.ip, notValues: [10.0.0.1]}]
  - from: [{source: {ipBlocks: [10.0.0.0/8]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny}
spec:
  action: DENY
  rules:
  - from: [{source: {notRemoteIpBlocks: [10.0.0.0/8], ipBlocks: [192.0.2.1]}}, {source: {ipBlocks: [192.0.2.2]}}]
    when: [{key: remote.ip, values: [10.0.0.1]}, {key: source.ip, values: [192.0.2.1]}]
`
	const (
		asWritten = `[{"name":"default/allow","namespace":"default","action":"ALLOW","rules":[{"from":[{"remote_ip_blocks":["10.0.0.0/8"]}]},{"when":[{"key":"remote.ip","not_values":["10.0.0.1"]}]},{"from":[{"ip_blocks":["10.0.0.0/8"]}]}]},` +
			`{"name":"default/deny","namespace":"default","action":"DENY","rules":[{"from":[{"ip_blocks":["192.0.2.1"],"not_remote_ip_blocks":["10.0.0.0/8"]},{"ip_blocks":["192.0.2.2"]}],"when":[{"key":"remote.ip","values":["10.0.0.1"]},{"key":"source.ip","values":["192.0.2.1"]}]}]}]`
		closed = `[{"name":"default/allow","namespace":"default","action":"ALLOW","rules":[null,null,{"from":[{"ip_blocks":["10.0.0.0/8"]}]}]},` +
			`{"name":"default/deny","namespace":"default","action":"DENY","rules":[{"from":[{"ip_blocks":["192.0.2.1"]},{"ip_blocks":["192.0.2.2"]}],"when":[null,{"key":"source.ip","values":["192.0.2.1"]}]}]}]`
	)
	for name, test := range map[string]struct {
		mesh    string // of the ConfigMap's data
		proxies int
		want    string
		finding string // about the ConfigMap
	}{
		"none":           {want: asWritten},
		"without a key":  {mesh: "{other: a}", want: asWritten},
		"empty":          {mesh: `{mesh: ""}`, want: asWritten},
		"0":              {mesh: "{mesh: 'defaultConfig: {gatewayTopology: {numTrustedProxies: 0}}'}", want: asWritten},
		"2":              {mesh: "{mesh: 'defaultConfig: {gatewayTopology: {numTrustedProxies: 2}}'}", proxies: 2, want: asWritten},
		"2 as text":      {mesh: `{mesh: 'defaultConfig: {gatewayTopology: {numTrustedProxies: "2"}}'}`, proxies: 2, want: asWritten},
		"no number":      {mesh: "{mesh: 'defaultConfig: {gatewayTopology: {numTrustedProxies: -1}}'}", want: closed, finding: "data.mesh.defaultConfig.gatewayTopology.numTrustedProxies: "},
		"not a map":      {mesh: "{mesh: 'defaultConfig: []'}", want: closed, finding: "data.mesh.defaultConfig.gatewayTopology.numTrustedProxies: "},
		"not YAML":       {mesh: "{mesh: '{'}", want: closed, finding: "data.mesh: this is not YAML"},
		"not an object":  {mesh: "{mesh: '- a'}", want: closed, finding: "data.mesh: this is not YAML"},
		"data of a list": {mesh: "[]", want: closed, finding: "data"},
	} {
		t.Run(name, func(t *testing.T) {
			text := ""
			if test.mesh != "" {
				text = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: root}\ndata: %s\n", test.mesh)
			}
			state := Translate(mustDecode(t, text+policies), spec.Identity{Namespace: "default"}, Options{RootNamespace: "root"})
			got, err := json.Marshal(state.Authorization.Policies)
			if err != nil || string(got) != test.want || state.Authorization.TrustedProxies != test.proxies {
				t.Errorf("%d, %v\ngot  %s\nwant %s", state.Authorization.TrustedProxies, err, got, test.want)
			}
			about := make(map[string]string)
			for _, f := range state.Findings {
				if !f.Used && !strings.HasPrefix(f.Object, object.KindConfigMap) {
					t.Errorf("the object is not used: %+v", f)
				}
				about[f.Object] += f.Message
			}
			want := 0
			if test.finding != "" {
				want = 3
			}
			if len(about) != want || !strings.HasPrefix(about["ConfigMap root/istio"], test.finding) {
				t.Errorf("findings: %+v", state.Findings)
			}
		})
	}

	// Nobody needs it here, so that nothing is said of it.
	state := Translate(mustDecode(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: root}\ndata: {mesh: '{'}\n---\n"+
		"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {rules: [{}]}\n"), spec.Identity{Namespace: "default"}, Options{RootNamespace: "root"})
	if len(state.Findings) > 0 {
		t.Errorf("findings: %+v", state.Findings)
	}
}
