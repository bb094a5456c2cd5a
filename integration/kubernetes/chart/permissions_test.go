package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestPermissions holds that the gateway's ServiceAccount may do what is listed,
// and nothing else that any other may not.
func TestPermissions(t *testing.T) {
	t.Run("defaults", func(t *testing.T) { permissions(t, false) })
	t.Run("injection", func(t *testing.T) { permissions(t, true) })
}

func permissions(t *testing.T, injection bool) {
	c := cluster.Shared(t)
	ns := c.Namespace()
	install(t, c, ns, "--set", fmt.Sprintf("injection.enabled=%v", injection))
	gateway, other := c.Kubeconfig(c.Token(ns, "edge")), c.Kubeconfig(c.Token(ns, "other"))
	list := func(kubeconfig, namespace string) []string {
		t.Helper()
		r := c.Kubectl("--kubeconfig="+kubeconfig, "auth", "can-i", "--list", "--no-headers", "-n", namespace)
		if r.Code != 0 {
			t.Fatal(r.Stderr)
		}
		var lines []string
		for line := range strings.Lines(r.Stdout) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		slices.Sort(lines)
		return lines
	}
	everywhere := []string{
		"asmglobalratelimiters.istio.alibabacloud.com [] [] [list watch]",
		"asmlocalratelimiters.istio.alibabacloud.com [] [] [list watch]",
		"authorizationpolicies.security.istio.io [] [] [list watch]",
		"endpointslices.discovery.k8s.io [] [] [list watch]",
		"events.events.k8s.io [] [] [create]",
		"gatewayclasses.gateway.networking.k8s.io [] [] [list watch]",
		"gatewayclasses.gateway.networking.k8s.io/status [] [] [patch]",
		"gateways.gateway.networking.k8s.io [] [] [list watch]",
		"gateways.gateway.networking.k8s.io/status [] [] [patch]",
		"gateways.networking.istio.io [] [] [list watch]",
		"httproutes.gateway.networking.k8s.io [] [] [list watch]",
		"httproutes.gateway.networking.k8s.io/status [] [] [patch]",
		"inferencepools.inference.networking.k8s.io [] [] [list watch]",
		"inferencepools.inference.networking.k8s.io/status [] [] [patch]",
		"leases.coordination.k8s.io [] [] [get]",
		"llmlimits.caddy-llm.github.io [] [] [list watch]",
		"llmlimits.caddy-llm.github.io/status [] [] [patch]",
		"llmpolicies.caddy-llm.github.io [] [] [list watch]",
		"llmpolicies.caddy-llm.github.io/status [] [] [patch]",
		"llmproviders.istio.alibabacloud.com [] [] [list watch]",
		"llmproviders.istio.alibabacloud.com/status [] [] [patch]",
		"llmroutes.istio.alibabacloud.com [] [] [list watch]",
		"llmroutes.istio.alibabacloud.com/status [] [] [patch]",
		"namespaces [] [] [list watch]",
		"pods [] [] [list watch]",
		"referencegrants.gateway.networking.k8s.io [] [] [list watch]",
		"requestauthentications.security.istio.io [] [] [list watch]",
		"services [] [] [list watch]",
	}
	// In the release's namespace there is one line for both.
	at := append(slices.DeleteFunc(slices.Clone(everywhere), func(line string) bool { return strings.HasPrefix(line, "leases.") }),
		"leases.coordination.k8s.io [] [] [get create]",
		"leases.coordination.k8s.io [] [edge] [get update]",
		"secrets [] [llm-keys] [list watch]",
	)
	if injection {
		// No Secret can be created: that could be one with a token of anybody.
		webhook := "mutatingwebhookconfigurations.admissionregistration.k8s.io [] [edge-" + ns + "] [list watch patch]"
		everywhere, at = append(everywhere, webhook), append(at, webhook, "secrets [] [edge-"+ns+"-ca] [list watch update]")
		slices.Sort(everywhere)
	}
	slices.Sort(at)
	for namespace, want := range map[string][]string{ns: at, c.Namespace(): everywhere} {
		ordinary := list(other, namespace)
		got := slices.DeleteFunc(list(gateway, namespace), func(line string) bool { return slices.Contains(ordinary, line) })
		if !slices.Equal(got, want) {
			t.Errorf("in %s it may\n%s\nwant\n%s", namespace, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestSecrets holds that the gateway can read the Secrets it is told, and no
// others, in the way that it reads them.
func TestSecrets(t *testing.T) {
	c := cluster.Shared(t)
	ns, team := c.Namespace(), c.Namespace()
	for _, name := range []string{"llm-keys", "llm-cert", "other"} {
		for _, namespace := range []string{ns, team} {
			if r := c.Kubectl("-n", namespace, "create", "secret", "generic", name, "--from-literal=key=value"); r.Code != 0 {
				t.Fatal(r.Stderr)
			}
		}
	}
	install(t, c, ns, "--set", "secrets[0].names={llm-keys,llm-cert}", "--set", "secrets[1].namespace="+team+",secrets[1].names={llm-keys}")
	token := c.Kubeconfig(c.Token(ns, "edge"))
	for _, test := range []struct {
		namespace, name string
		may             bool
	}{
		{ns, "llm-keys", true}, {ns, "llm-cert", true}, {ns, "other", false},
		{team, "llm-keys", true}, {team, "llm-cert", false}, {team, "other", false},
	} {
		r := c.Kubectl("--kubeconfig="+token, "-n", test.namespace, "get", "secrets", "--field-selector", "metadata.name="+test.name, "-o", "name")
		if may := r.Code == 0 && r.Stdout == "secret/"+test.name+"\n"; may != test.may || !may && !strings.Contains(r.Stderr, "Forbidden") {
			t.Errorf("%s/%s: %+v", test.namespace, test.name, r)
		}
	}
	for _, args := range [][]string{{"-n", ns}, {"-A"}} {
		if r := c.Kubectl(append([]string{"--kubeconfig=" + token, "get", "secrets"}, args...)...); r.Code == 0 {
			t.Errorf("it may list all Secrets with %v:\n%s", args, r.Stdout)
		}
	}
}

// TestMeshConfig holds that the gateway can read the mesh's configuration where the
// chart lets it, and no other ConfigMap.
func TestMeshConfig(t *testing.T) {
	c := cluster.Shared(t)
	for _, test := range []struct {
		name, set string
		own       bool // the root namespace is the release's
		may       bool
	}{
		{"the release's namespace", "", true, true},
		{"refused there", "rbac.meshConfig=false", true, false},
		{"another namespace", "", false, false},
		{"allowed there", "rbac.meshConfig=true", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := c.For(t)
			ns := c.Namespace()
			root := ns
			if !test.own {
				root = c.Namespace()
			}
			for _, name := range []string{"istio", "other"} {
				if r := c.Kubectl("-n", root, "create", "configmap", name, "--from-literal=mesh="); r.Code != 0 {
					t.Fatal(r.Stderr)
				}
			}
			args := []string{"--set", "rootNamespace=" + root}
			if test.set != "" {
				args = append(args, "--set", test.set)
			}
			install(t, c, ns, args...)
			token := c.Kubeconfig(c.Token(ns, "edge"))
			for name, may := range map[string]bool{"istio": test.may, "other": false} {
				r := c.Kubectl("--kubeconfig="+token, "-n", root, "get", "configmaps", "--field-selector", "metadata.name="+name, "-o", "name")
				if got := r.Code == 0 && r.Stdout == "configmap/"+name+"\n"; got != may {
					t.Errorf("%s: %+v", name, r)
				}
			}
		})
	}
}
