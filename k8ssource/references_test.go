package k8ssource

import (
	"reflect"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func TestReferences(t *testing.T) {
	for name, test := range map[string]struct {
		objects  string
		identity spec.Identity
		want     []object.Reference
	}{
		"none": {objects: "metadata: {name: a, namespace: ns}\nspec: {host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: k}}}}\n"},
		"all places, each once": {
			objects: `metadata: {name: a, namespace: ns}
spec:
  host: a.example.com
  tls: {caSecretRef: {name: ca}}
  configs:
    defaultConfig: {openAIConfig: {apiKeySecretRef: {name: key, key: k}}}
    routeSpecificConfigs:
      x: {openAIConfig: {apiKeySecretRef: {name: key, key: other}}}
      y: {openAIConfig: {apiKeySecretRef: {name: a-key, key: k}}}
`,
			want: []object.Reference{{Kind: "Secret", Namespace: "ns", Name: "a-key"}, {Kind: "Secret", Namespace: "ns", Name: "ca"}, {Kind: "Secret", Namespace: "ns", Name: "key"}},
		},
		"for another workload": {
			objects: `metadata: {name: a, namespace: ns}
spec:
  host: a.example.com
  workloadSelector: {labels: {app: other}}
  configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: key, key: k}}}}
`,
			identity: spec.Identity{Namespace: "ns", Labels: map[string]string{"app": "this"}},
		},
		"without the host": {
			objects: `metadata: {name: a, namespace: ns}
spec: {host: a.example.com}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: b, namespace: ns}
spec: {host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: key, key: k}}}}}
`,
		},
		"the mesh, whom a policy asks": {
			objects:  policyText("{action: CUSTOM, provider: {name: a}, rules: [{}]}"),
			identity: spec.Identity{Namespace: "ns"},
			want:     []object.Reference{{Kind: "ConfigMap", Namespace: "istio-system", Name: "istio"}},
		},
		"the mesh, for addresses": {
			objects:  policyText("{rules: [{from: [{source: {notRemoteIpBlocks: [10.0.0.0/8]}}]}]}"),
			identity: spec.Identity{Namespace: "ns"},
			want:     []object.Reference{{Kind: "ConfigMap", Namespace: "istio-system", Name: "istio"}},
		},
		"the mesh, for a condition": {
			objects:  policyText("{rules: [{when: [{key: remote.ip, values: [10.0.0.0/8]}]}]}"),
			identity: spec.Identity{Namespace: "ns"},
			want:     []object.Reference{{Kind: "ConfigMap", Namespace: "istio-system", Name: "istio"}},
		},
		"the mesh, that no policy needs": {
			objects:  policyText("{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}"),
			identity: spec.Identity{Namespace: "ns"},
		},
		"the mesh, of a policy for others": {
			objects:  policyText("{selector: {matchLabels: {app: other}}, action: CUSTOM, provider: {name: a}, rules: [{}]}"),
			identity: spec.Identity{Namespace: "ns"},
		},
		"certificates of a Gateway": {
			objects: `metadata: {name: a, namespace: ns}
spec: {host: a.example.com}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: gws}
spec:
  selector: {app: this}
  servers:
  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: one}}
  - {port: {number: 443, name: b, protocol: HTTPS}, hosts: [b], tls: {mode: MUTUAL, credentialName: two}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other, namespace: gws}
spec:
  selector: {app: other}
  servers:
  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: three}}
`,
			identity: spec.Identity{Namespace: "gws", Labels: map[string]string{"app": "this"}},
			want:     []object.Reference{{Kind: "Secret", Namespace: "gws", Name: "one"}, {Kind: "Secret", Namespace: "gws", Name: "two"}, {Kind: "Secret", Namespace: "gws", Name: "two-cacert"}},
		},
		"certificates of a Gateway elsewhere": {
			objects: `metadata: {name: a, namespace: ns}
spec: {host: a.example.com}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: gws}
spec:
  servers:
  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: one}}
`,
			identity: spec.Identity{Namespace: "edge"},
			want:     []object.Reference{{Kind: "Secret", Namespace: "edge", Name: "one"}, {Kind: "Secret", Namespace: "gws", Name: "one"}},
		},
		"pods of a pool": {
			objects: poolText("ns", "name: p"),
			want:    []object.Reference{{Kind: "Pod", Namespace: "ns", Labels: "app=p"}},
		},
		"pods of a pool, by its namespace": {
			objects: poolText("ns", "name: p, namespace: ns"),
			want:    []object.Reference{{Kind: "Pod", Namespace: "ns", Labels: "app=p"}},
		},
		"pods of a pool, from another namespace": {objects: poolText("other", "name: p, namespace: ns")},
		"pods of a pool, from the root namespace": {
			objects: poolText("istio-system", "name: p, namespace: ns"),
			want:    []object.Reference{{Kind: "Pod", Namespace: "ns", Labels: "app=p"}},
		},
		"pods of a pool, for another one": {objects: poolText("ns", "name: q")},
		"what is no name":                 {objects: "metadata: {name: a, namespace: ns}\nspec: {host: a.example.com, tls: {caSecretRef: {name: ../other/key}}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := object.Decode("a.yaml", []byte("apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\n"+test.objects))
			if err != nil {
				t.Fatal(err)
			}
			if got := References(objects, test.identity, Options{}); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// poolText is a pool in ns and a route of a namespace that refers to one, after another
// object.
func poolText(namespace, ref string) string {
	return `metadata: {name: a, namespace: ns}
spec: {host: a.example.com}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p, namespace: ns}
spec: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: r, namespace: ` + namespace + `}
spec: {host: a.example.com, rules: [{backendRefs: [{backendRef: {group: inference.networking.k8s.io, kind: InferencePool, ` + ref + `}}]}]}
`
}

// policyText is an AuthorizationPolicy, after another object.
func policyText(spec string) string {
	return "metadata: {name: a, namespace: ns}\nspec: {host: a.example.com}\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: ns}\nspec: " + spec + "\n"
}
