package chart

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// admin is the environment of commands that act as the administrator.
func admin(c *cluster.Cluster) []string {
	return []string{"KUBECONFIG=" + c.Kubeconfig(c.AdminToken)}
}

// shared returns the cluster of all tests, with the CRDs.
func shared(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := cluster.Shared(t)
	c.InstallCRDs(examples + "/crds")
	return c
}

// install installs the chart as "edge", without the CRDs: they can be of one
// release only.
func install(t *testing.T, c *cluster.Cluster, namespace string, args ...string) {
	t.Helper()
	mustHelm(t, admin(c), append([]string{"install", "edge", chartDir, "--namespace", namespace, "--set", "crds.install=false"}, args...)...)
}

// mustHelm is helm for what has to work.
func mustHelm(t *testing.T, env []string, args ...string) string {
	t.Helper()
	r := helm(t, env, args...)
	if r.failed {
		t.Fatalf("helm %s: %s", strings.Join(args, " "), r.stderr)
	}
	return r.stdout
}

// get returns what kubectl prints of an object at a JSON path.
func get(c *cluster.Cluster, namespace, object, path string) string {
	return c.Kubectl("-n", namespace, "get", object, "-o", "jsonpath={"+path+"}", "--ignore-not-found").Stdout
}

func TestObjectsAreValid(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace()
	for name, args := range map[string][]string{
		"defaults": nil,
		"all options": {
			"--values", "testdata/all-values.yaml",
			// Their CRD, and their namespaces, are not there.
			"--set", "serviceMonitor.enabled=false", "--set", "secrets[1].namespace=" + c.Namespace() + ",rootNamespace=" + c.Namespace(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := render(t, append(args, "--set", "crds.install=false", "--namespace", ns)...)
			if r := c.For(t).KubectlInput(manifests, "apply", "--dry-run=server", "--validate=strict", "-f", "-"); r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
				t.Error(r.Stderr)
			}
		})
	}
}

func TestInstallUpgradeUninstall(t *testing.T) {
	c := cluster.Start(t) // no other test installs the CRDs here
	ns, env := c.Namespace(), admin(c)
	common := []string{"edge", chartDir, "--namespace", ns}

	notes := mustHelm(t, env, append([]string{"install"}, common...)...)
	for _, want := range []string{"istio=ingressgateway", "Whoever reaches this address uses your keys", ns + "/llm-keys", "deployment/edge"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
	if got := get(c, ns, "deployment/edge", ".spec.replicas"); got != "2" {
		t.Errorf("%q replicas", got)
	}
	if r := c.Kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/llmproviders.istio.alibabacloud.com", "crd/llmroutes.istio.alibabacloud.com", "crd/llmlimits.caddy-llm.github.io", "crd/llmpolicies.caddy-llm.github.io"); r.Code != 0 {
		t.Errorf("the CRDs: %s", r.Stderr)
	}

	notes = mustHelm(t, env, append([]string{"upgrade"}, append(common, "--set", "autoscaling.enabled=true,injection.enabled=true", "--set", "service.loadBalancerSourceRanges={203.0.113.0/24}")...)...)
	if strings.Contains(notes, "Whoever reaches") {
		t.Errorf("there is a warning of a load balancer that is open to all:\n%s", notes)
	}
	if got := get(c, ns, "horizontalpodautoscaler/edge", ".spec.minReplicas"); got != "2" {
		t.Errorf("the autoscaler has %q replicas at least", got)
	}
	if got := get(c, ns, "service/edge", ".spec.loadBalancerSourceRanges[0]"); got != "203.0.113.0/24" {
		t.Errorf("the load balancer lets in %q", got)
	}

	mustHelm(t, env, "uninstall", "edge", "--namespace", ns)
	left := c.Kubectl("get", "all,configmaps,secrets,mutatingwebhookconfigurations,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,horizontalpodautoscalers",
		"-A", "-l", "app.kubernetes.io/instance=edge", "-o", "name")
	if left.Code != 0 || left.Stdout != "" {
		t.Errorf("left behind: %s%s", left.Stdout, left.Stderr)
	}
	if got := c.Kubectl("get", "llmproviders", "-A"); got.Code != 0 { // with the CRD, all LLMProviders would be gone
		t.Errorf("the CRDs are gone too: %s", got.Stderr)
	}
}

// TestRestrictedPods holds that the pods meet the pod security standard
// "restricted", and that this is tested.
func TestRestrictedPods(t *testing.T) {
	c := cluster.Shared(t)
	ns := c.Namespace()
	c.Kubectl("label", "namespace", ns, "pod-security.kubernetes.io/enforce=restricted")
	template := find(t, objects(t, render(t, "--namespace", ns)), "Deployment", "llm-gateway").at("spec", "template").(map[string]any)
	create := func(spec map[string]any) cluster.Result {
		t.Helper()
		pod, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Pod", "spec": spec,
			"metadata": map[string]any{"name": "gateway", "namespace": ns, "labels": object(template).at("metadata", "labels")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c.KubectlInput(string(pod), "create", "--dry-run=server", "-f", "-")
	}
	spec := template["spec"].(map[string]any)
	if r := create(spec); r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
		t.Error(r.Stderr)
	}
	weaker := maps.Clone(spec)
	weaker["securityContext"] = map[string]any{"runAsNonRoot": true}
	if r := create(weaker); r.Code == 0 || !strings.Contains(r.Stderr, "seccompProfile") {
		t.Errorf("a pod without a seccomp profile is created: %s", r.Stderr)
	}
	container := slices.Collect(slices.Values(spec["containers"].([]any)))[0].(map[string]any)
	if ro := object(container).at("securityContext", "readOnlyRootFilesystem"); ro != true { // the standard does not ask for it
		t.Errorf("the root file system can be written to: %v", ro)
	}
}
