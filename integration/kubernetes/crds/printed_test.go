package crds_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	c := install(t)
	// The API server describes a kind a moment after it serves it.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if c.Kubectl("explain", "llmprovider").Code == 0 && c.Kubectl("explain", "llmroute").Code == 0 {
			break
		}
	}
	for path, want := range map[string]string{
		"llmprovider":           "LLMProvider is an account at an LLM API that gateways and sidecars send requests to.",
		"llmprovider.spec.host": "The provider's DNS name, which clients may call and `providerHost` refers to. It belongs to one provider per workload. Required without a pool.",
		"llmp.spec.configs.defaultConfig.openAIConfig.apiKey": "The API key, as it is. Placeholders are not filled in. At most 4096 bytes.",
		"llmprovider.spec.timeouts.idle":                      "How long the provider may be silent inside a response. Default: `5m`.",
		"llmprovider.status.workload":                         "The workload whose gateway wrote the conditions, as `namespace/workload`.",
		"llmroute":                                            "LLMRoute sends requests for a host to providers.",
		"llmroute.spec.rules.matches.headers.regex":           "An RE2 expression for the whole value. At most 4096 bytes.",
		"llmr.spec.rules.backendRefs.weight":                  "The share of requests in relation to the other backends' weights. 0 means never.",
	} {
		for _, version := range []string{"v1beta1", "v1"} {
			r := c.Kubectl("explain", path, "--api-version=istio.alibabacloud.com/"+version)
			if text := strings.Join(strings.Fields(r.Stdout), " "); !strings.Contains(text, want) {
				t.Errorf("%s of %s: it does not say %q: %s%s", path, version, want, r.Stdout, r.Stderr)
			}
		}
	}
}

const columns = `
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: qwen}
spec: {host: dashscope.aliyuncs.com, configs: {defaultConfig: {openAIConfig: {model: qwen-turbo}}}}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: demo}
spec: {host: demo-llm-server, rules: [{backendRefs: [{providerHost: dashscope.aliyuncs.com}]}]}
`

const status = `{"status": {"workload": "llm/gateway", "conditions": [
	{"type": "Accepted", "status": "False", "reason": "InvalidKey", "message": "m", "observedGeneration": 1, "lastTransitionTime": "2026-01-31T12:00:00Z"},
	{"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-01-31T12:00:00Z"},
	{"type": "Programmed", "status": "Unknown", "reason": "Pending", "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-01-31T12:00:00Z"}]}}`

// TestColumns holds what kubectl get prints, under the short names and the
// category too, and that the status is apart from the rest of the object.
func TestColumns(t *testing.T) {
	c := install(t)
	ns := c.Namespace()
	c.Apply(columns, "-n", ns)
	for _, object := range []string{"llmprovider/qwen", "llmroute/demo"} {
		if r := c.Kubectl("patch", object, "-n", ns, "--type=merge", "-p", status); r.Code != 0 || !strings.Contains(r.Stdout, "no change") {
			t.Errorf("the status of %s can be written with the object: %+v", object, r)
		}
		if r := c.Kubectl("patch", object, "-n", ns, "--subresource=status", "--type=merge", "-p", status); r.Code != 0 {
			t.Errorf("the status of %s cannot be written: %s", object, r.Stderr)
		}
	}
	for _, test := range []struct{ what, want string }{
		{"llmp", `NAME +HOST +MODEL +ACCEPTED +PROGRAMMED +AGE
qwen +dashscope.aliyuncs.com +qwen-turbo +False +Unknown +\d+m?s
`},
		{"llmr", `NAME +HOST +ACCEPTED +RESOLVEDREFS +PROGRAMMED +AGE
demo +demo-llm-server +False +True +Unknown +\d+m?s
`},
		{"llmp -o wide", `NAME +HOST +MODEL +ACCEPTED +PROGRAMMED +REASON +WORKLOAD +AGE
qwen +dashscope.aliyuncs.com +qwen-turbo +False +Unknown +InvalidKey +llm/gateway +\d+m?s
`},
		{"llmroutes.v1beta1.istio.alibabacloud.com -o wide", `NAME +HOST +ACCEPTED +RESOLVEDREFS +PROGRAMMED +REASON +WORKLOAD +AGE
demo +demo-llm-server +False +True +Unknown +InvalidKey +llm/gateway +\d+m?s
`},
		{"llm -o name", "llmprovider.istio.alibabacloud.com/qwen\nllmroute.istio.alibabacloud.com/demo\n"},
	} {
		r := c.Kubectl(append([]string{"get", "-n", ns}, strings.Fields(test.what)...)...)
		if !regexp.MustCompile(`^` + test.want + `$`).MatchString(r.Stdout) {
			t.Errorf("get %s: got\n%s%s", test.what, r.Stdout, r.Stderr)
		}
	}
}
