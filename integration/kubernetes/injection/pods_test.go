package injection_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestPods creates pods of all kinds, with a gateway and without one.
func TestPods(t *testing.T) {
	w := newWorld(t)
	g := w.start()
	w.injects()

	plain, enabled, disabled := w.namespace(""), w.namespace("enabled"), w.namespace("disabled")
	for _, name := range []string{"kube-system", root} { // in which a label must change nothing
		if r := w.Kubectl("label", "namespace", name, "llm-gateway-injection=enabled"); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	const (
		injected = "injected" // while there is a gateway, else refused
		plainPod = "plain"    // with or without a gateway
	)
	hostNetwork := func(p *pod) { p.Spec.HostNetwork = true }
	for i, test := range []struct {
		namespace, label string
		change           func(*pod)
		want             string
	}{
		{plain, "", nil, plainPod},
		{plain, "true", nil, injected},
		{plain, "false", nil, plainPod},
		{plain, "yes", nil, `the label sidecar.llm-gateway/inject has another value`},
		{plain, "true", hostNetwork, plainPod},
		{enabled, "", nil, injected},
		{enabled, "true", nil, injected},
		{enabled, "false", nil, plainPod},
		{enabled, "yes", nil, `the label sidecar.llm-gateway/inject has another value`},
		{enabled, "", hostNetwork, plainPod},
		{enabled, "", func(p *pod) { p.Metadata.Annotations = map[string]string{"sidecar.llm-gateway/mode": "magic"} }, "mode is"},
		{disabled, "", nil, plainPod},
		{disabled, "true", nil, plainPod},
		{"kube-system", "", nil, plainPod},
		{"kube-system", "true", nil, plainPod},
		{root, "", nil, plainPod},
		{root, "true", nil, plainPod},
	} {
		p, err := w.create(test.namespace, fmt.Sprint("pod-", i), test.label, test.change)
		switch {
		case test.want != injected && test.want != plainPod:
			if err == nil || !strings.Contains(err.Error(), "the LLM gateway's sidecar cannot be added: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, label %q: %v", test.namespace, test.label, err)
			}
		case err != nil:
			t.Errorf("%s, label %q: %v", test.namespace, test.label, err)
		case p.injected() != (test.want == injected):
			t.Errorf("%s, label %q: injected is %v", test.namespace, test.label, p.injected())
		}
	}
	_, metrics := get(g.status + "/metrics")
	for _, want := range []string{`llm_injection_pods_total{reason="OptedIn",result="injected"}`, `llm_injection_pods_total{reason="InvalidPod",result="refused"} 3`,
		"llm_injection_certificate_expiry_timestamp_seconds 1."} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
	if strings.Contains(metrics, `result="skipped"`) { // that is for the API server to do
		t.Error("the gateway is asked about pods that get no sidecar")
	}

	// A changed file of options is in use without a restart.
	g.WriteFile("options.yaml", "image: registry.example.com/llm-gateway:2\n")
	n := 0
	until(t, "new image", func() (bool, string) {
		n++
		p, err := w.create(plain, fmt.Sprint("image-", n), "true", nil)
		if err != nil {
			return false, err.Error()
		}
		images := fmt.Sprint(p.Spec.InitContainers)
		return strings.Contains(images, "llm-gateway:2"), images
	})

	// Annotations with which pods get what is the operator's are the operator's option.
	n = 0
	annotated := func(option, value string) (images string, err error) {
		n++
		p, err := w.create(plain, fmt.Sprint("annotated-", n), "true", func(p *pod) {
			p.Metadata.Annotations = map[string]string{"sidecar.llm-gateway/" + option: value}
		})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(p.Spec.InitContainers), nil
	}
	for option, value := range map[string]string{"image": "evil.example.com/x:1", "captureImage": "evil.example.com/x:1", "caddyfile": ":80", "secret": "others", "source": "kubernetes"} {
		if _, err := annotated(option, value); err == nil || !strings.Contains(err.Error(), "the pod's annotation sidecar.llm-gateway/"+option+" is not allowed in this cluster") {
			t.Errorf("%s: %v", option, err)
		}
	}
	if _, err := annotated("mode", "http_proxy"); err != nil {
		t.Errorf("mode: %v", err)
	}
	g.WriteFile("options.yaml", "image: registry.example.com/llm-gateway:2\nallowAnnotations: [image]\n")
	until(t, "image of the pod's own", func() (bool, string) {
		images, err := annotated("image", "mine.example.com/x:1")
		return strings.Contains(images, "mine.example.com/x:1"), fmt.Sprint(images, err)
	})
	if _, err := annotated("secret", "others"); err == nil {
		t.Error("secret is allowed with image")
	}

	// Without a gateway, who opted in is refused, and nobody else notices.
	g.Stop()
	before := w.balancer.connections()
	for i, namespace := range []string{plain, disabled, "kube-system", root} {
		if p, err := w.create(namespace, fmt.Sprint("alone-", i), "", nil); err != nil || p.injected() {
			t.Errorf("%s: %v", namespace, err)
		}
		if _, err := w.create(namespace, fmt.Sprint("opted-out-", i), "false", nil); err != nil {
			t.Errorf("%s: %v", namespace, err)
		}
	}
	for _, namespace := range []string{"kube-system", root, disabled} {
		if _, err := w.create(namespace, "opted-in", "true", nil); err != nil {
			t.Errorf("%s: %v", namespace, err)
		}
	}
	if _, err := w.create(enabled, "node", "", hostNetwork); err != nil {
		t.Error(err)
	}
	if asked := w.balancer.connections() - before; asked != 0 {
		t.Errorf("the API server asked %d times", asked)
	}
	for namespace, label := range map[string]string{plain: "true", enabled: ""} {
		if _, err := w.create(namespace, "refused", label, nil); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
			t.Errorf("%s: %v", namespace, err)
		}
	}
	if asked := w.balancer.connections() - before; asked == 0 {
		t.Error("the balancer counts nothing")
	}
}
