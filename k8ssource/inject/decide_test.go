package inject

import (
	"fmt"
	"strings"
	"testing"
)

// TestLabels holds every cell of the table: what a namespace says, and what a pod says.
func TestLabels(t *testing.T) {
	for namespace, row := range map[string]map[string]string{
		"":         {"": ReasonNotOptedIn, "true": ReasonOptedIn, "false": ReasonOptedOut},
		"enabled":  {"": ReasonOptedIn, "true": ReasonOptedIn, "false": ReasonOptedOut},
		"disabled": {"": ReasonOptedOut, "true": ReasonOptedOut, "false": ReasonOptedOut},
	} {
		for pod, want := range row {
			place, labels := Place{}, ""
			if namespace != "" {
				place.NamespaceLabels = map[string]string{InjectionLabel: namespace}
			}
			if pod != "" {
				labels = fmt.Sprintf("%q: %q", InjectLabel, pod)
			}
			ops, d, err := options(t, nil).Patch([]byte(`{"metadata": {"labels": {`+labels+`}}, "spec": {"containers": [{"name": "app"}]}}`), place)
			if err != nil || d.Reason != want || d.Inject != (want == ReasonOptedIn) || (len(ops) > 0) != d.Inject || d.Message == "" {
				t.Errorf("namespace %q, pod %q: %+v, %v, %d operations; want %s", namespace, pod, d, err, len(ops), want)
			}
		}
	}
}

func TestLeftAlone(t *testing.T) {
	const app = `"containers": [{"name": "app"}]`
	for want, tc := range map[string]struct {
		pod   string
		place Place
	}{
		ReasonInjected:        {`{"spec": {"initContainers": [{"name": "llm-gateway"}], ` + app + `}}`, Place{}},
		ReasonHostNetwork:     {`{"spec": {"hostNetwork": true, ` + app + `}}`, Place{}},
		ReasonWindows:         {`{"spec": {"os": {"name": "windows"}, ` + app + `}}`, Place{}},
		ReasonMirrorPod:       {`{"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": {` + app + `}}`, Place{}},
		ReasonSystemNamespace: {`{"metadata": {"namespace": "kube-system"}, "spec": {` + app + `}}`, Place{}},
	} {
		tc.place.NamespaceLabels = map[string]string{InjectionLabel: "enabled"}
		ops, d, err := options(t, nil).Patch([]byte(tc.pod), tc.place)
		if err != nil || d.Inject || d.Reason != want || d.Message == "" || len(ops) > 0 {
			t.Errorf("%s: %+v, %v, %d operations", want, d, err, len(ops))
		}
	}
}

// TestRefused holds what cannot have the sidecar though somebody wants it to.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct{ pod, namespace, err string }{
		"no JSON":             {`{`, "", "the pod is not JSON"},
		"no spec":             {`{}`, "", "the pod has no containers; write spec.containers"},
		"a wrong type":        {`{"spec": {"hostNetwork": "yes", "containers": [{}]}}`, "", "the pod's spec.hostNetwork is of the wrong type, a JSON string"},
		"an unknown label":    {`{"metadata": {"labels": {"sidecar.llm-gateway/inject": "yes"}}, "spec": {"containers": [{}]}}`, "", `pod: the label sidecar.llm-gateway/inject has another value; write "true" or "false"`},
		"an unknown policy":   {`{"spec": {"containers": [{}]}}`, "true", `namespace shop: the label llm-gateway-injection has another value; write "enabled" or "disabled"`},
		"the gateway's user":  {`{"spec": {"containers": [{"name": "app", "securityContext": {"runAsUser": 1337}}]}}`, "enabled", "container app runs as user 1337"},
		"the pod's user":      {`{"spec": {"securityContext": {"runAsUser": 1337}, "containers": [{"name": "app"}]}}`, "enabled", "container app runs as user 1337"},
		"a port in use":       {`{"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 15021}]}]}}`, "enabled", "container app listens on 15021, which the gateway needs; write another one into the pod's annotation sidecar.llm-gateway/statusPort, or the option statusPort"},
		"Istio's sidecar":     {`{"spec": {"initContainers": [{"name": "istio-proxy"}], "containers": [{"name": "app"}]}}`, "enabled", "container istio-proxy listens on 15001, which the gateway needs; write another one into the pod's annotation sidecar.llm-gateway/port, or the option port"},
		"an unknown override": {`{"metadata": {"annotations": {"sidecar.llm-gateway/cpus": "1"}}, "spec": {"containers": [{}]}}`, "enabled", "the pod's annotation sidecar.llm-gateway/cpus is not known; the options after sidecar.llm-gateway/ are caddyfile, captureImage, configMap, cpu"},
		"no number":           {`{"metadata": {"annotations": {"sidecar.llm-gateway/port": "http"}}, "spec": {"containers": [{}]}}`, "enabled", `the pod's annotation sidecar.llm-gateway/port: this is not a number; write one such as 15011`},
		"no amount":           {`{"metadata": {"annotations": {"sidecar.llm-gateway/memory": "64 MB"}}, "spec": {"containers": [{}]}}`, "enabled", `the pod's annotation sidecar.llm-gateway/memory: this is not an amount; write one such as 64Mi`},
		"an empty amount":     {`{"metadata": {"annotations": {"sidecar.llm-gateway/cpuLimit": ""}}, "spec": {"containers": [{}]}}`, "enabled", `the pod's annotation sidecar.llm-gateway/cpuLimit: this is not an amount`},
		"a negative amount":   {`{"metadata": {"annotations": {"sidecar.llm-gateway/cpu": "-1"}}, "spec": {"containers": [{}]}}`, "enabled", `the pod's annotation sidecar.llm-gateway/cpu: this is not an amount`},
		"more than the limit": {`{"metadata": {"annotations": {"sidecar.llm-gateway/memory": "2Gi"}}, "spec": {"containers": [{}]}}`, "enabled", `the pod's annotations: resources.requests.memory is above resources.limits.memory`},
		"a privileged port":   {`{"metadata": {"annotations": {"sidecar.llm-gateway/port": "80"}}, "spec": {"containers": [{}]}}`, "enabled", "the pod's annotations: port is 80; write a number from 1024 to 65535"},
		"a wrong override":    {`{"metadata": {"annotations": {"sidecar.llm-gateway/mode": "magic"}}, "spec": {"containers": [{}]}}`, "enabled", `the pod's annotations: mode is not known; write capture or http_proxy`},
	} {
		place := Place{Namespace: "shop"}
		if tc.namespace != "" {
			place.NamespaceLabels = map[string]string{InjectionLabel: tc.namespace}
		}
		ops, _, err := options(t, nil).Patch([]byte(tc.pod), place)
		if err == nil || !strings.HasPrefix(err.Error(), tc.err) || len(ops) > 0 {
			t.Errorf("%s: %v, %d operations; want %s", name, err, len(ops), tc.err)
		}
	}
}
