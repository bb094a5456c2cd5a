package k8ssource

import (
	"testing"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestPodAnnotations holds that an amount that is none is reported wherever a pod is
// made, with the annotation's name.
func TestPodAnnotations(t *testing.T) {
	for manifest, want := range map[string]string{
		"kind: Pod\nmetadata: {name: a, annotations: {sidecar.llm-gateway/memory: 64 MB}}\n":                                                                                "Pod default/a metadata.annotations[sidecar.llm-gateway/memory]: this is not an amount; write one such as 64Mi for memory, or 100m for cpu",
		"kind: Deployment\nmetadata: {name: a}\nspec: {template: {metadata: {annotations: {sidecar.llm-gateway/cpuLimit: many}}}}\n":                                        "Deployment default/a spec.template.metadata.annotations[sidecar.llm-gateway/cpuLimit]: this is not an amount; write one such as 64Mi for memory, or 100m for cpu",
		"kind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: {metadata: {annotations: {sidecar.llm-gateway/memoryLimit: ''}}}}}}\n":                   "CronJob default/a spec.jobTemplate.spec.template.metadata.annotations[sidecar.llm-gateway/memoryLimit]: this is not an amount; write one such as 64Mi for memory, or 100m for cpu",
		"kind: Pod\nmetadata: {name: a, annotations: {sidecar.llm-gateway/memory: 64Mi, sidecar.llm-gateway/cpu: 100m, example.com/memory: x, sidecar.llm-gateway/x: y}}\n": "",
		"kind: Pod\nmetadata: {name: a, annotations: {sidecar.llm-gateway/memory: [x]}}\n":                                                                                  "",
	} {
		got := ""
		for _, f := range Translate(mustDecode(t, "apiVersion: v1\n"+manifest), spec.Identity{}, Options{}).Findings {
			got += f.Object + " " + f.Message
		}
		if got != want {
			t.Errorf("%s: got %s", manifest, got)
		}
	}
}
