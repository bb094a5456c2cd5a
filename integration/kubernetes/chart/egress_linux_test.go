package chart

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestEgress deploys the example of an egress gateway as it is, and calls a provider
// by its own name there, as an application does whose hosts file leads to the gateway.
func TestEgress(t *testing.T) {
	const namespace, dir = "llm-egress", examples + "/egress/"
	c := shared(t)
	c.InstallIstioCRDs("Gateway")
	for _, name := range []string{namespace, "apps"} {
		c.Kubectl("create", "namespace", name)
	}
	d := newDeployment(t, c, namespace)
	mustHelm(t, admin(c), "install", "llm-egress", chartDir, "--namespace", namespace, "--values", dir+"values.yaml", "--values", d.values(map[string]any{}))
	c.Apply(read(t, dir+"objects.yaml"), "-n", namespace, "--validate=strict")
	c.Apply(read(t, dir+"networkpolicy.yaml"), "--validate=strict")
	d.secret("llm-keys", "sk-egress")
	d.pod = startPod(t, c, namespace, "llm-egress", map[string]string{"/etc/authorities/ca.crt": read(t, d.provider.CAFile())})

	call := func(host string) (status int) {
		req, err := http.NewRequest(http.MethodPost, "http://"+d.address()+"/", strings.NewReader(`{"messages": []}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	d.until("answers for the provider's name", func() bool { return call(providerName) == http.StatusOK })
	if got := d.provider.Requests()[0]; got.Header.Get("Authorization") != "Bearer sk-egress" || got.Path != "/compatible-mode/v1/chat/completions" {
		t.Errorf("the provider got %s with the key %q", got.Path, got.Header.Get("Authorization"))
	}
	asProxy := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: d.address()})}}
	if res, err := asProxy.Post("http://"+providerName+"/", "application/json", strings.NewReader(`{"messages": []}`)); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("as an HTTP proxy: %v, %+v", err, res)
	}
	if status := call("other.example.com"); status != http.StatusNotFound {
		t.Errorf("another host: %d", status)
	}

	// The policies are about these pods and their ports.
	template := func(path string) string { return get(c, namespace, "deployment/llm-egress", ".spec.template"+path) }
	if got := template(".metadata.labels.istio"); got != "egressgateway" {
		t.Errorf("the pods have the label istio=%s", got)
	}
	if got := template(`.spec.containers[0].ports[?(@.name=="http")].containerPort`); got != "8080" {
		t.Errorf("the pods listen on %s", got)
	}
	if got := get(c, namespace, "service/llm-egress", ".spec.type"); got != "ClusterIP" {
		t.Errorf("the Service is a %s", got)
	}
	for policy, path := range map[string]string{
		"apps/llm-through-the-gateway": ".spec.egress[1].to[0].podSelector.matchLabels.istio", namespace + "/llm-egress": ".spec.podSelector.matchLabels.istio",
	} {
		ns, name, _ := strings.Cut(policy, "/")
		if got := get(c, ns, "networkpolicy/"+name, path); got != "egressgateway" {
			t.Errorf("policy %s selects istio=%s", policy, got)
		}
	}
}
