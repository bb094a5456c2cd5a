package crds_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// definitions is the folder with the CustomResourceDefinitions.
const definitions = "../../../examples/kubernetes/crds"

func install(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := cluster.Shared(t)
	c.InstallCRDs(definitions)
	return c
}

// TestBadObjects holds that kubectl apply refuses the bad objects that the
// table says it does, with the words of the finding, and no others.
func TestBadObjects(t *testing.T) {
	c := install(t)
	c.InstallIstioCRDs("AuthorizationPolicy", "RequestAuthentication")
	ns := c.Namespace()
	for _, bad := range badobjects.All(t) {
		t.Run(bad.Name, func(t *testing.T) {
			r := c.For(t).KubectlInput(bad.Manifest(t), "apply", "--dry-run=server", "-n", ns, "-f", "-")
			switch {
			case (r.Code != 0) != bad.Refused:
				t.Errorf("exit code %d, refused: %v\n%s", r.Code, bad.Refused, r.Stderr)
			case bad.Says != "":
				if !strings.Contains(r.Stderr, bad.Says) {
					t.Errorf("got  %s\nwant %s", r.Stderr, bad.Says)
				}
			case bad.Refused && !says(r.Stderr, bad.Message(ns)):
				t.Errorf("got  %s\nwant %s", r.Stderr, bad.Message(ns))
			}
			if strings.Contains(r.Stderr, "sk-") {
				t.Errorf("the key is in the message: %s", r.Stderr)
			}
		})
	}
}

// says reports whether kubectl's output has a finding: its path, and later in the
// line what is wrong there.
func says(output, finding string) bool {
	path, text, _ := strings.Cut(finding, ": ")
	if text, unknown := strings.CutPrefix(text, "unknown field; "); unknown {
		// The API server does not say what to write instead.
		return text != "" && strings.Contains(output, `strict decoding error: unknown field "`+path+`"`)
	}
	for line := range strings.Lines(output) {
		_, at, found := strings.Cut(line, path+": ")
		if !found && strings.HasSuffix(path, "]") {
			// Names in a map are checked where the map stands.
			_, at, found = strings.Cut(line, path[:strings.LastIndex(path, "[")]+": ")
		}
		if found && strings.Contains(at, text) {
			return true
		}
	}
	return false
}

// TestNoValueIsPrinted holds that the API server repeats no text of an object that it
// refuses: it may be a key at the wrong place, or hold a password.
func TestNoValueIsPrinted(t *testing.T) {
	c := install(t)
	ns := c.Namespace()
	const secret = "https://user:Ab3dEfGh1jKlMn0p@host/ {}"
	for path, spec := range map[string]string{
		"LLMProvider host":          "host: S",
		"LLMProvider path":          "host: a, path: S",
		"LLMProvider scheme":        "host: a, scheme: S",
		"LLMProvider serverName":    "host: a, tls: {serverName: S}",
		"LLMProvider caSecretRef":   "host: a, tls: {caSecretRef: {name: S, key: S}}",
		"LLMProvider connect":       "host: a, timeouts: {connect: S}",
		"LLMProvider idle":          "host: a, timeouts: {idle: S, firstByte: S}",
		"LLMProvider apiKey":        "host: a, configs: {defaultConfig: {openAIConfig: {apiKey: S}}}",
		"LLMProvider secretRef":     "host: a, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: S, key: S}}}}",
		"LLMProvider of a rule":     "host: a, configs: {routeSpecificConfigs: {r: {openAIConfig: {apiKeySecretRef: {name: S}}}}}",
		"LLMProvider header":        "host: a, headers: {a b: S}",
		"LLMProvider wrong type":    "host: a, port: S",
		"LLMRoute host":             "host: S, rules: [{backendRefs: [{providerHost: a}]}]",
		"LLMRoute gateways":         "host: a, gateways: [mesh, S], rules: [{backendRefs: [{providerHost: a}]}]",
		"LLMRoute header":           "host: a, rules: [{matches: [{headers: {x: {exact: S, prefix: S}}}], backendRefs: [{providerHost: a}]}]",
		"LLMRoute backend":          "host: a, rules: [{backendRefs: [{providerHost: S, backendRef: {kind: S}}]}]",
		"LLMRoute too many headers": "host: a, rules: [{matches: [{headers: {a: {exact: S}, b: {}, c: {}, d: {}, e: {}, f: {}, g: {}, h: {}, i: {}, j: {}, k: {}, l: {}, m: {}, n: {}, o: {}, p: {}, q: {}}}], backendRefs: [{providerHost: a}]}]",
	} {
		kind, _, _ := strings.Cut(path, " ")
		text := "apiVersion: istio.alibabacloud.com/v1\nkind: " + kind + "\nmetadata: {name: a}\nspec: {" + strings.ReplaceAll(spec, "S", `"`+secret+`"`) + "}\n"
		r := c.For(t).KubectlInput(text, "apply", "--dry-run=server", "-n", ns, "-f", "-")
		if r.Code == 0 {
			t.Errorf("%s: it is not refused", path)
		}
		if strings.Contains(r.Stdout+r.Stderr, "Ab3dEfGh1j") {
			t.Errorf("%s: %s", path, r.Stderr)
		}
	}
}
