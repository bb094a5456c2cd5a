package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const secureGateway = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: team}
spec: {servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: cert}}]}
---
`

// shown is where the certificate comes from that the state's one server shows.
func shown(state *spec.State) string {
	certificate := state.Listeners[0].Servers[0].Certificate
	if certificate == nil {
		return ""
	}
	origin, _ := certificate.MarshalJSON()
	return string(origin)
}

// TestCredentialOfTheWorkload holds that a credential is looked for in the workload's
// namespace first, as Istio has it, then in the Gateway's.
func TestCredentialOfTheWorkload(t *testing.T) {
	in := func(namespace string) string {
		return strings.Replace(certificatePair(t), "namespace: ns", "namespace: "+namespace, 1) + "\n---\n"
	}
	broken := strings.Replace(in("edge"), "tls.key", "other", 1)
	for name, test := range map[string]struct {
		objects  string
		identity spec.Identity
		want     string
		finding  string
	}{
		"the workload's":          {in("edge"), spec.Identity{Namespace: "edge"}, `"Secret edge/cert"`, ""},
		"the Gateway's":           {in("team"), spec.Identity{Namespace: "edge"}, `"Secret team/cert"`, ""},
		"both":                    {in("team") + in("edge"), spec.Identity{Namespace: "edge"}, `"Secret edge/cert"`, ""},
		"another's":               {in("other"), spec.Identity{Namespace: "edge"}, "", "there is no Secret of that name in namespace edge or team, so TLS handshakes fail"},
		"an unknown workload":     {in("edge"), spec.Identity{}, "", "in namespace team, so"},
		"a broken one before one": {broken + in("team"), spec.Identity{Namespace: "edge"}, "", "Secret edge/cert has no tls.crt or no tls.key, so TLS handshakes fail; create"},
	} {
		state := Translate(mustDecode(t, secureGateway+test.objects), test.identity, Options{})
		found := fmt.Sprint(state.Findings)
		want := strings.TrimSuffix(test.finding, "; create")
		if got := shown(state); got != test.want || !strings.Contains(found, want) || test.finding == "" && len(state.Findings) > 0 {
			t.Errorf("%s: got %s, findings %s", name, got, found)
		}
		if strings.Contains(found, "its keys are") {
			t.Errorf("%s: the Gateway's writer learns what another namespace's Secret has: %s", name, found)
		}
	}
}

// TestLastGoodCertificate holds that a certificate stays in use while its Secret is gone
// or has a pair that does not match, and is replaced by the next good one.
func TestLastGoodCertificate(t *testing.T) {
	one, two := certificatePair(t), certificatePair(t)
	one, two = strings.Replace(one, "namespace: ns", "namespace: team", 1), strings.Replace(two, "namespace: ns", "namespace: team", 1)
	chain := func(text string) string {
		_, rest, _ := strings.Cut(text, "tls.crt: ")
		value, _, _ := strings.Cut(rest, ",")
		return value
	}
	mixed := strings.Replace(one, chain(one), chain(two), 1)
	if mixed == one {
		t.Fatalf("nothing to mix in %s", one)
	}
	translator := new(Translator)
	translate := func(objects string) (*listen.Certificate, string) {
		state := translator.Translate(mustDecode(t, secureGateway+objects), spec.Identity{Namespace: "team"}, Options{})
		return state.Listeners[0].Servers[0].Certificate, fmt.Sprint(state.Findings)
	}
	if c, _ := translate(mixed); c != nil {
		t.Error("there is a certificate before there was a good one")
	}
	first, found := translate(one)
	if first == nil || found != "[]" {
		t.Fatalf("got %v, %s", first, found)
	}
	for name, broken := range map[string]string{"gone": "", "mixed": mixed, "empty": strings.Replace(one, "tls.key", "other", 1)} {
		for range 2 { // for as long as it lasts
			if c, found := translate(broken); c != first || !strings.Contains(found, "the last good certificate stays in use") {
				t.Errorf("%s: the first one %v, findings %s", name, c == first, found)
			}
		}
	}
	if c, found := translate(two); c == nil || c == first || found != "[]" {
		t.Errorf("another: the first one %v, %s", c == first, found)
	}
	// Another credential is another certificate.
	state := translator.Translate(mustDecode(t, strings.Replace(secureGateway, "credentialName: cert", "credentialName: other", 1)), spec.Identity{Namespace: "team"}, Options{})
	if got := shown(state); got != "" {
		t.Errorf("another credential: got %s", got)
	}
}
