package k8ssource

import (
	"reflect"
	"testing"

	"github.com/caddy-llm/gateway/llmroute"
)

func TestReferences(t *testing.T) {
	for name, test := range map[string]struct {
		objects  string
		identity llmroute.Identity
		want     []Reference
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
			want: []Reference{{"Secret", "ns", "a-key"}, {"Secret", "ns", "ca"}, {"Secret", "ns", "key"}},
		},
		"for another workload": {
			objects: `metadata: {name: a, namespace: ns}
spec:
  host: a.example.com
  workloadSelector: {labels: {app: other}}
  configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: key, key: k}}}}
`,
			identity: llmroute.Identity{Namespace: "ns", Labels: map[string]string{"app": "this"}},
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
		"what is no name": {objects: "metadata: {name: a, namespace: ns}\nspec: {host: a.example.com, tls: {caSecretRef: {name: ../other/key}}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := Decode("a.yaml", []byte("apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\n"+test.objects))
			if err != nil {
				t.Fatal(err)
			}
			if got := References(objects, test.identity, Options{}); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
