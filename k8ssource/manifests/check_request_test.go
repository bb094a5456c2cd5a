package manifests

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/policycases"
)

const checkedPolicies = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: istio-system}
spec:
  action: DENY
  rules:
  - to: [{operation: {paths: [/admin]}}]
  - from: [{source: {ipBlocks: [10.0.0.0/8]}}]
    to: [{operation: {hosts: [test.com]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow, namespace: istio-system}
spec:
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/sleep]}}]
  - from: [{source: {requestPrincipals: ["https://inline.example.com/*", "https://fetched.example.com/*"]}}]
  - when: [{key: "request.headers[x-team]", values: [blue]}]
  - to: [{operation: {ports: ["8443"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: trial, namespace: istio-system, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{from: [{source: {ipBlocks: [192.0.2.9]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: istio-system}
spec: {action: CUSTOM, provider: {name: asked}, rules: [{to: [{operation: {hosts: [asked.com]}}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "extensionProviders: [{name: asked, envoyExtAuthzHttp: {service: 127.0.0.1, port: 1}}]"}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: istio-system}
spec:
  jwtRules:
  - {issuer: https://inline.example.com, jwks: 'KEYS'}
  - {issuer: https://fetched.example.com, jwksUri: "http://127.0.0.1:1/keys"}
`

func TestCheckRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	write(t, path, strings.Replace(checkedPolicies, "KEYS", policycases.TokenKeys(t), 1))
	token := func(issuer string) string {
		return "Authorization: Bearer " + policycases.Signed(t, map[string]any{"iss": issuer, "sub": "alice"})
	}
	const (
		deny  = "AuthorizationPolicy istio-system/deny at x.yaml:1, "
		allow = "AuthorizationPolicy istio-system/allow at x.yaml:11, "
	)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"address": {[]string{"POST http://test.com/v1/chat/completions", "--from", "10.1.2.3"},
			"refused with 403 RBAC: access denied: a DENY policy matches: " + deny + "spec.rules[1]: requests to test.com from 10.0.0.0/8"},
		"path":        {[]string{"GET https://other.com/admin"}, "refused with 403 RBAC: access denied: a DENY policy matches: " + deny + "spec.rules[0]: requests at the path /admin"},
		"not allowed": {[]string{"http://test.com/"}, "refused with 403 RBAC: access denied: no ALLOW policy matches"},
		"identity": {[]string{"https://test.com/", "--tls-principal", "cluster.local/ns/default/sa/sleep"},
			"passes: an ALLOW policy matches: " + allow + "spec.rules[0]: requests by cluster.local/ns/default/sa/sleep"},
		"header": {[]string{"http://test.com/", "--header", "X-Team: blue"}, "passes: an ALLOW policy matches: " + allow + "spec.rules[2]: requests where request.headers[x-team] is the value there"},
		"host":   {[]string{"http://1.2.3.4/", "--header", "Host: test.com", "--from", "10.1.2.3"}, "refused with 403 RBAC: access denied: a DENY policy matches: " + deny + "spec.rules[1]: requests to test.com from 10.0.0.0/8"},
		"port":   {[]string{"https://test.com:8443/"}, "passes: an ALLOW policy matches: " + allow + "spec.rules[3]: requests at the port 8443"},
		"token": {[]string{"http://test.com/", "--header", token("https://inline.example.com")},
			"passes: an ALLOW policy matches: " + allow + "spec.rules[1]: requests with a token of https://inline.example.com/* or https://fetched.example.com/*"},
		"other token": {[]string{"http://test.com/", "--header", token("https://other.example.com")},
			"refused with 401 Jwt issuer is not configured\nrequest: no keys are fetched here, so that tokens of https://fetched.example.com are refused"},
		"asked": {[]string{"http://asked.com/", "--header", "X-Team: blue"},
			"asked is asked, and if it agrees: AuthorizationPolicy istio-system/ask at x.yaml:26, spec.rules[0]: requests to asked.com\nrequest: passes: an ALLOW policy matches: " + allow + "spec.rules[2]: requests where request.headers[x-team] is the value there"},
		"dry run": {[]string{"http://test.com/", "--header", "X-Team: blue", "--from", "192.0.2.9"},
			`logged: policy would deny {"policy": "istio-system/trial", "rule": 0}` + "\nrequest: passes: an ALLOW policy matches: " + allow + "spec.rules[2]: requests where request.headers[x-team] is the value there"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runCommand(t, newCheckCommand(), append([]string{path, "--namespace", "istio-system", "--request"}, test.args...)...)
			_, got, _ := strings.Cut(strings.ReplaceAll(out, path, "x.yaml"), "\nrequest: ")
			if err != nil || got != test.want+"\n" {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, test.want)
			}
		})
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no URL":    {[]string{"POST /v1/chat/completions"}, "has no URL; write a method and a URL"},
		"address":   {[]string{"http://test.com/", "--from", "localhost"}, `--from "localhost" is not an IP address`},
		"no header": {[]string{"http://test.com/", "--header", "secret"}, "a --header has no colon"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runCommand(t, newCheckCommand(), append([]string{path, "--namespace", "istio-system", "--request"}, test.args...)...)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestCheckRequestAtGateways holds that a policy for a Gateway of Gateway API is said to be,
// and decides about requests that come in by it alone.
func TestCheckRequestAtGateways(t *testing.T) {
	const path = "../testdata/policies-of-gateways/input.yaml"
	for request, want := range map[string]string{
		"http://a.example:18080/": "refused with 403 RBAC: access denied: a DENY policy matches: AuthorizationPolicy infra/block at " + path + ":37, spec.rules[0]: requests from 192.0.2.0/24",
		"http://a.example:18081/": "passes: there is no ALLOW policy",
	} {
		out, _ := runCommand(t, newCheckCommand(), path, "--namespace", "llm", "--labels", "app=gw", "--request", request, "--from", "192.0.2.1")
		if !strings.HasSuffix(out, want+"\n") {
			t.Errorf("%s:\n%s", request, out)
		}
		for _, line := range []string{
			"AuthorizationPolicy infra/block: at infra/edge denies requests from 192.0.2.0/24", "AuthorizationPolicy istio-system/class: at infra/edge or infra/inner logs all requests",
			"RequestAuthentication infra/tokens: at infra/inner accepts tokens of https://issuer.example.com",
		} {
			if !strings.Contains(out, line) {
				t.Errorf("%s is not said:\n%s", line, out)
			}
		}
	}
}

const readPolicies = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: one, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8080, name: h, protocol: HTTP}, hosts: [b.com]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: two, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: istio-system}
spec:
  action: DENY
  rules:
  - to: [{operation: {hosts: [test.com]}}]
  - when: [{key: "request.headers[user-type]", values: [subscriber]}]
  - to: [{operation: {paths: [/v1/embeddings]}}]
  - to: [{operation: {hosts: [port.com, b.com], ports: ["80"]}}]
`

// TestCheckRequestReadsAsTheGateway holds that a request is read as the gateway reads
// it: its host, repeated headers, those that Connection names, its endpoint and port.
func TestCheckRequestReadsAsTheGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	write(t, path, readPolicies)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"http://TEST.com.:80/"}, "refused with 403"},
		{[]string{"http://ok.com/", "--header", "Host: test.com:8080"}, "refused with 403"},
		{[]string{"http://ok.com/", "--header", "Host: [test.com]"}, "refused with 400"},
		{[]string{"http://[test.com]/v1/chat/completions"}, "refused with 400"},
		{[]string{"http://[test.com]:80"}, "refused with 400"},
		{[]string{"http://[2001:db8::1]:80/"}, "passes"},
		{[]string{"http://ok.com/", "--header", "User-Type: x", "--header", "user-type: subscriber"}, "refused with 403"},
		{[]string{"http://ok.com/", "--header", "user-type: subscriber", "--header", "Connection: close, USER-TYPE"}, "passes"},
		{[]string{"http://ok.com/embeddings"}, "refused with 403"},
		{[]string{"http://ok.com/v1/embeddings/?x=y"}, "refused with 403"},
		{[]string{"http://ok.com/v1/chat/completions"}, "passes"},
		{[]string{"http://port.com/"}, "refused with 403"},
		{[]string{"http://port.com:8080/"}, "refused with 403"},
		{[]string{"http://b.com/"}, "passes"},
		{[]string{"http://b.com:8080/"}, "passes"},
	} {
		out, err := runCommand(t, newCheckCommand(), append([]string{path, "--namespace", "istio-system", "--labels", "istio=ingressgateway", "--port-map", "80:8080", "--request"}, test.args...)...)
		if _, got, _ := strings.Cut(out, "\nrequest: "); err != nil || !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %v %s, want %s", test.args, err, got, test.want)
		}
	}
}

// TestCheckPolicies holds what is said of each policy.
func TestCheckPolicies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	write(t, path, strings.Replace(checkedPolicies, "KEYS", policycases.TokenKeys(t), 1))
	out, err := runCommand(t, newCheckCommand(), path, "--namespace", "istio-system")
	want := `x.yaml:1: AuthorizationPolicy istio-system/deny: denies requests at the path /admin; and requests to test.com from 10.0.0.0/8
x.yaml:11: AuthorizationPolicy istio-system/allow: allows requests by cluster.local/ns/default/sa/sleep; and requests with a token of https://inline.example.com/* or https://fetched.example.com/*; and requests where request.headers[x-team] is the value there; and requests at the port 8443. Requests that no policy allows are refused
x.yaml:21: AuthorizationPolicy istio-system/trial: is a dry run, and only logs what it would do: denies requests from 192.0.2.9
x.yaml:26: AuthorizationPolicy istio-system/ask: asks asked about requests to asked.com
x.yaml:36: RequestAuthentication istio-system/tokens: accepts tokens of https://inline.example.com with the keys in it; accepts tokens of https://fetched.example.com with the keys from http://127.0.0.1:1/keys
`
	if got := strings.ReplaceAll(out, path, "x.yaml"); err != nil || got != want {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
	out, err = runCommand(t, newCheckCommand(), path, "--namespace", "team")
	if err != nil || strings.Contains(out, otherWorkloads) {
		t.Errorf("of the root namespace: %v\n%s", err, out)
	}
	out, err = runCommand(t, newCheckCommand(), path, "--namespace", "team", "--root-namespace", "root")
	if err != nil || strings.Count(out, otherWorkloads) != 5 {
		t.Errorf("of another namespace: %v\n%s", err, out)
	}
}

// TestCheckRequestDropsHeaders holds that headers are dropped as Caddy drops them.
func TestCheckRequestDropsHeaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	write(t, path, readPolicies+"  - when: [{key: \"request.headers[x_team]\", values: [blue]}]\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--header", "X_Team: blue"}, "request: refused with 403"},
		{[]string{"--header", "x_team: red", "--header", "x_team: blue"}, "request: the header X_team is dropped"},
		{[]string{"--header", "X.Team: blue"}, "request: the header X.team is dropped, as Caddy does with such names unless a server expects them; use one with dashes\nrequest: passes"},
		{[]string{"--header", "X-Team: blue"}, "request: the header X-Team is dropped, as Caddy does with such names unless a server expects them; use one with dashes\nrequest: passes"},
		{[]string{"--header", "User_Type: subscriber"}, "request: the header User_type is dropped, as Caddy does with such names unless a server expects them; use one with dashes\nrequest: passes"},
		{[]string{"--header", "User-Type: subscriber"}, "request: refused with 403"},
	} {
		out, err := runCommand(t, newCheckCommand(), append([]string{path, "--namespace", "istio-system", "--labels", "istio=ingressgateway", "--port-map", "80:8080", "--request", "http://ok.com/"}, test.args...)...)
		_, got, _ := strings.Cut(out, "\nrequest: ")
		if got = "request: " + got; !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %v %s, want %s", test.args, err, got, test.want)
		}
	}
}

// TestCheckRequestRepeatsNoSecret holds that no error repeats what may be a secret.
func TestCheckRequestRepeatsNoSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	write(t, path, readPolicies)
	const secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
	for _, args := range [][]string{
		{"--request", secret}, {"--request", "POST /v1?key=" + secret}, {"--request", "POST http://u:" + secret + "@[x/"}, {"--request", "PO\x01ST http://a/" + secret},
		{"--request", secret + "( http://a/"}, {"--request", "POST http://a:" + secret + "/"}, {"--request", "POST http://a/%zz" + secret},
		{"--request", "http://a/", "--from", secret}, {"--request", "http://a/", "--header", secret}, {"--request", "http://a/", "--tls-principal", secret + "%zz"},
		{"--port-map", secret}, {"--labels", secret}, {"--selectors-from", secret + "_"},
	} {
		out, err := runCommand(t, newCheckCommand(), append([]string{path}, args...)...)
		if err == nil && !strings.Contains(out, "refused with 400") || strings.Contains(fmt.Sprint(err)+out, secret) {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
}
