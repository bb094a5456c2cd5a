//go:build linux

package sidecar_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

const kubernetesExamples = "../../examples/kubernetes/"

// TestFromTheCluster runs the example of a sidecar that follows the API server, with
// the Caddyfile and exactly the rights of its manifests, as a process in a pod.
func TestFromTheCluster(t *testing.T) {
	p := newPod(t, "documented-weighted-split")
	c := cluster.Start(t)
	c.InstallCRDs(kubernetesExamples + "crds")
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	ns, other := c.Namespace(), c.Namespace()
	for _, file := range []string{"role.yaml", "pod.yaml", "configmap.yaml"} {
		c.Apply(p.read(kubernetesExamples+"sidecar/"+file), "-n", ns, "--validate=strict")
	}
	secret := func(namespace, name, key string) {
		c.Apply(fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: %s}, stringData: {dashscope: %s}}", name, key), "-n", namespace)
	}
	provider := func(name, host, model, secret string) string {
		return fmt.Sprintf("{apiVersion: istio.alibabacloud.com/v1beta1, kind: LLMProvider, metadata: {name: %s}, spec: {host: %s, path: /compatible-mode/v1/chat/completions, "+
			"configs: {defaultConfig: {openAIConfig: {model: %s, apiKeySecretRef: {name: %s, key: dashscope}}}}}}\n---\n", name, host, model, secret)
	}
	secret(ns, "llm-keys", "sk-first")
	secret(ns, "other-keys", "sk-other")
	secret(other, "llm-keys", "sk-of-others")
	c.Apply(provider("dashscope", "dashscope.aliyuncs.com", "first", "llm-keys")+provider("refused", "refused.example.com", "m", "other-keys"), "-n", ns)
	c.Apply(provider("theirs", "theirs.example.com", "m", "llm-keys"), "-n", other)

	token := c.Token(ns, "sleep")
	kubeconfig := p.joinCluster(c, token)
	caddyfile := c.Kubectl("get", "configmap", "llm-sidecar", "-n", ns, "-o", "jsonpath={.data.Caddyfile}").Stdout
	caddyfile = strings.Replace(caddyfile, "source kubernetes {", "source kubernetes {\nkubeconfig "+kubeconfig, 1)
	caddyfile = strings.Replace(caddyfile, ":15021", "127.0.0.1:2020", 1)
	p.launchWith(gatewayUID, caddyfile, "LLM_NAMESPACE="+ns, "LLM_LABELS=app=sleep")
	until(t, "it is ready", func() bool { return p.readyz() == "200 ok\n" })
	p.capture()

	// model is what answered, or what was said instead. Without a route the call goes
	// on to where nobody answers.
	model := func(host string) string {
		out, _ := p.as(appUID, append([]string{"curl", "-sS", "-m", "3"}, call("http://"+host)...)...).CombinedOutput()
		if m := regexp.MustCompile(`"model":"([^"]*)"`).FindSubmatch(out); m != nil {
			return string(m[1])
		}
		return string(out)
	}
	if got := model("dashscope.aliyuncs.com"); got != "first" {
		t.Fatalf("the provider's default: %s", got)
	}
	lastKey := func() string {
		requests := p.dashscope.Requests()
		return requests[len(requests)-1].Header.Get("Authorization")
	}
	if got := lastKey(); got != "Bearer sk-first" {
		t.Errorf("the provider was sent %q", got)
	}
	live := func(what string, is func() bool) {
		t.Helper()
		began := time.Now()
		until(t, what, is)
		t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
	}
	secret(ns, "llm-keys", "sk-second")
	live("a new key is in use", func() bool { model("dashscope.aliyuncs.com"); return lastKey() == "Bearer sk-second" })
	route := func(matches string) string {
		return "{apiVersion: istio.alibabacloud.com/v1beta1, kind: LLMRoute, metadata: {name: demo}, spec: {host: demo-llm-server, " +
			"rules: [{" + matches + "backendRefs: [{providerHost: dashscope.aliyuncs.com}]}]}}"
	}
	c.Apply("{apiVersion: v1, kind: Service, metadata: {name: demo-llm-server}, spec: {ports: [{port: 80}]}}\n---\n"+route(""), "-n", ns)
	until(t, "a new LLMRoute is in use", func() bool { return model("demo-llm-server") == "first" })
	c.Apply(route("matches: [{headers: {user-type: {exact: subscriber}}}], "), "-n", ns)
	live("a change of an LLMRoute is in use", func() bool { return strings.Contains(model("demo-llm-server"), `"error"`) })
	c.Apply(provider("dashscope", "dashscope.aliyuncs.com", "second", "llm-keys"), "-n", ns)
	live("a change of a provider is in use", func() bool { return model("dashscope.aliyuncs.com") == "second" })

	// What the Role does not name.
	for _, args := range [][]string{
		{"secret", "other-keys", "-n", ns}, {"secrets", "-n", ns}, {"configmaps", "-n", ns}, {"pods", "-n", ns},
		{"llmproviders", "-n", other}, {"secret", "llm-keys", "-n", other}, {"llmproviders", "-A"},
	} {
		if r := c.Kubectl(append([]string{"get", "--kubeconfig=" + c.Kubeconfig(token)}, args...)...); r.Code == 0 {
			t.Errorf("the token may get %v: %s", args, r.Stdout)
		}
	}
	if r := c.Kubectl("delete", "llmprovider", "refused", "-n", ns, "--kubeconfig="+c.Kubeconfig(token)); r.Code == 0 {
		t.Error("the token may delete")
	}
	if out := p.curl(append(call("http://refused.example.com", "--resolve", "refused.example.com:80:"+otherIP4), "-w", "%{http_code}")...); !strings.HasSuffix(out, "503") {
		t.Errorf("a provider whose Secret may not be read: %s", out)
	}
	log := p.gateway.log.String()
	if strings.Contains(log, "sk-") {
		t.Error("a key is in the log")
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"error"`) && !strings.Contains(line, "SecretForbidden") && !strings.Contains(line, "refused.example.com") {
			t.Errorf("an error is logged: %s", line)
		}
	}
	if !strings.Contains(log, "a Role in namespace "+ns+` needs the rule {apiGroups: [\"\"], resources: [secrets], resourceNames: [other-keys], verbs: [list, watch]}`) {
		t.Error("the log does not say what the Role lacks")
	}
	if n := p.direct(); n != "0" || p.plain.count() != 0 {
		t.Errorf("%s packets left the pod for port 80", n)
	}
}

func (p *pod) read(path string) string {
	p.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// joinCluster lets the pod reach the API server at an address of the world, and
// returns a kubeconfig file for that.
func (p *pod) joinCluster(c *cluster.Cluster, token string) string {
	p.t.Helper()
	server, err := url.Parse(c.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	address := net.JoinHostPort(worldIP4, "6443")
	l := p.listen(address)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", server.Host)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	p.write("api-ca.crt", p.read(c.CAFile))
	type object = map[string]any
	data, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "pod",
		"clusters": []object{{"name": "pod", "cluster": object{"server": "https://" + address, "tls-server-name": server.Hostname(), "certificate-authority": filepath.Join(p.dir, "api-ca.crt")}}},
		"users":    []object{{"name": "pod", "user": object{"token": token}}},
		"contexts": []object{{"name": "pod", "context": object{"cluster": "pod", "user": "pod"}}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("kubeconfig", string(data))
	return filepath.Join(p.dir, "kubeconfig")
}
