package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/llmroute"
)

// badObjects are specs that can be written and are wrong, each with what the
// finding says. No want repeats a value that may be a key.
var badObjects = map[string]struct{ kind, spec, want string }{
	"no host":            {KindLLMProvider, `path: /v1`, `InvalidField: spec.host: a host is required; write the provider's DNS name, such as api.example.com`},
	"host with a scheme": {KindLLMProvider, `host: https://a.example.com`, `InvalidField: spec.host: host "https://a.example.com" has a scheme; write the DNS name alone`},
	"host with a port":   {KindLLMProvider, `host: a.example.com:443`, `InvalidField: spec.host: host "a.example.com:443" has a port; write the DNS name alone, and the port as port`},
	"host in numbers":    {KindLLMProvider, `host: "2852039166"`, `InvalidField: spec.host: host "2852039166" is neither a DNS name nor an IP address`},
	"host in hex":        {KindLLMProvider, `host: 127.0x1`, `InvalidField: spec.host: host "127.0x1" is neither a DNS name nor an IP address`},
	"long host":          {KindLLMProvider, `host: ` + strings.Repeat("a.", 130) + `com`, `InvalidField: spec.host: 263 letters are too many for a DNS name`},
	"metadata address":   {KindLLMProvider, `host: 169.254.169.254`, `HostNotAllowed: spec.host: 169.254.169.254 is an address of a cloud's metadata service, which manifests may not name; write the provider's own address`},
	"metadata of Alibaba": {KindLLMProvider, `host: 100.100.100.200`,
		`HostNotAllowed: spec.host: 100.100.100.200 is an address of a cloud's metadata service, which manifests may not name; write the provider's own address`},
	"mapped metadata address": {KindLLMProvider, `host: "::ffff:169.254.169.254"`,
		`HostNotAllowed: spec.host: ::ffff:169.254.169.254 is an address of a cloud's metadata service, which manifests may not name; write the provider's own address`},
	"metadata name": {KindLLMProvider, `host: Metadata.google.internal.`, `HostNotAllowed: spec.host: metadata.google.internal is a cloud's metadata service, which manifests may not name; write the provider's own address`},
	"admin endpoint": {KindLLMProvider, `{host: localhost, port: 2019, scheme: http}`,
		`HostNotAllowed: spec.host: localhost is the gateway's admin endpoint, which manifests may not name; write the provider's own address`},
	"admin endpoint by address": {KindLLMProvider, `{host: 127.0.0.9, port: 2019}`,
		`HostNotAllowed: spec.host: 127.0.0.9 is the gateway's admin endpoint, which manifests may not name; write the provider's own address`},
	"path without slash": {KindLLMProvider, `{host: a.example.com, path: v1}`, `InvalidField: spec.path: path "v1" does not begin with a slash; write one such as /v1/chat/completions`},
	"scheme":             {KindLLMProvider, `{host: a.example.com, scheme: grpc}`, `InvalidField: spec.scheme: "grpc" is not supported; write https or http`},
	"port":               {KindLLMProvider, `{host: a.example.com, port: 70000}`, `InvalidField: spec.port: 70000 is out of range; write 1 to 65535`},
	"TLS without TLS":    {KindLLMProvider, `{host: a.example.com, scheme: http, tls: {serverName: b}}`, `InvalidField: spec.tls: there are TLS settings, but scheme is http; write https, or leave one of them out`},
	"placeholder in server name": {KindLLMProvider, `{host: a.example.com, tls: {serverName: "{env.KEY}.example.com"}}`,
		`InvalidField: spec.tls.serverName: host "{env.KEY}.example.com" is not a DNS name: '{' is not allowed in one`},
	"CA that is none": {KindLLMProvider, `{host: a.example.com, tls: {caSecretRef: {name: s, key: text}}}`,
		`InvalidSecret: spec.tls.caSecretRef: there is no certificate in it; write PEM text that begins with -----BEGIN CERTIFICATE-----`},
	"CA missing": {KindLLMProvider, `{host: a.example.com, tls: {caSecretRef: {name: s}}}`, `SecretNotFound: spec.tls.caSecretRef: Secret default/s has no key "ca.crt"; its keys are: text`},
	"timeout":    {KindLLMProvider, `{host: a.example.com, timeouts: {connect: 3 seconds}}`, `InvalidField: spec.timeouts.connect: "3 seconds" is not a duration above zero and up to 24h; write one such as 30s or 10m`},
	"no timeout": {KindLLMProvider, `{host: a.example.com, timeouts: {idle: 0s}}`, `InvalidField: spec.timeouts.idle: "0s" is not a duration above zero and up to 24h; write one such as 30s or 10m`},
	"header name": {KindLLMProvider, `{host: a.example.com, headers: {"a b": c}}`,
		`InvalidField: spec.headers.a b: this is not a header name`},
	"header of the connection": {KindLLMProvider, `{host: a.example.com, headers: {transfer-encoding: chunked}}`, `InvalidField: spec.headers.transfer-encoding: the gateway writes this header itself; leave it out`},
	"header twice":             {KindLLMProvider, `{host: a.example.com, headers: {X-A: b, x-a: c}}`, `InvalidField: spec.headers.x-a: the header is set twice, its name written in two ways; keep one of them`},
	"header with a line break": {KindLLMProvider, `{host: a.example.com, headers: {x-a: "b\nc: d"}}`, `InvalidField: spec.headers.x-a: the value has characters that a header cannot hold`},
	"unfilled header": {KindLLMProvider, `{host: a.example.com, headers: {x-api-key: "{env.KEY}"}}`,
		`InvalidKey: spec.headers.x-api-key: this is a template nobody has filled in ({…}), and placeholders are not expanded in objects; write the value itself`},
	"key and header": {KindLLMProvider, `{host: a.example.com, headers: {authorization: Basic x}, configs: {defaultConfig: {openAIConfig: {apiKey: sk-1}}}}`,
		`InvalidField: spec.headers.authorization: the gateway writes this header from the key; leave one of them out`},
	"unfilled key": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: "${API_KEY}"}}}}`,
		`InvalidKey: spec.configs.defaultConfig.openAIConfig.apiKey: this is a template nobody has filled in (${…}), and placeholders are not expanded in objects; write the API key itself, or name a Secret with apiKeySecretRef`},
	"unfilled key of a rule": {KindLLMProvider, `{host: a.example.com, configs: {routeSpecificConfigs: {vip: {openAIConfig: {apiKey: <your-dashscope-api-key>}}}}}`,
		`InvalidKey: spec.configs.routeSpecificConfigs.vip.openAIConfig.apiKey: this is a template nobody has filled in (<…>), and placeholders are not expanded in objects; write the API key itself, or name a Secret with apiKeySecretRef`},
	"unfilled chart": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: "{{ .Values.key }}"}}}}`,
		`InvalidKey: spec.configs.defaultConfig.openAIConfig.apiKey: this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects; write the API key itself, or name a Secret with apiKeySecretRef`},
	"Caddy placeholder": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: "{file./etc/shadow}"}}}}`,
		`InvalidKey: spec.configs.defaultConfig.openAIConfig.apiKey: this is a template nobody has filled in ({…}), and placeholders are not expanded in objects; write the API key itself, or name a Secret with apiKeySecretRef`},
	"key of two lines": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: "sk-1\nx-evil: 1"}}}}`,
		`InvalidKey: spec.configs.defaultConfig.openAIConfig.apiKey: the key has a space or a control character inside; write the API key itself, or name a Secret with apiKeySecretRef`},
	"long key": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: ` + strings.Repeat("k", maxKeySize+1) + `}}}}`,
		`InvalidKey: spec.configs.defaultConfig.openAIConfig.apiKey: the key has over 16384 bytes; write the API key itself, or name a Secret with apiKeySecretRef`},
	"two keys": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: sk-1, apiKeySecretRef: {name: s, key: text}}}}}`,
		`InvalidKey: spec.configs.defaultConfig.openAIConfig: apiKey and apiKeySecretRef are both set; keep one of them`},
	"no such Secret": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: x, key: k}}}}}`,
		`SecretNotFound: spec.configs.defaultConfig.openAIConfig.apiKeySecretRef: there is no Secret default/x; create it there with the key "k"`},
	"Secret without key": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: s}}}}}`,
		`InvalidField: spec.configs.defaultConfig.openAIConfig.apiKeySecretRef.key: a key is required; write under which one the Secret has the value`},
	"Secret without name": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {key: k}}}}}`,
		`InvalidField: spec.configs.defaultConfig.openAIConfig.apiKeySecretRef.name: a name is required; write that of a Secret in namespace default`},
	"bad Secret": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: bad, key: k}}}}}`,
		`InvalidSecret: spec.configs.defaultConfig.openAIConfig.apiKeySecretRef: Secret default/bad cannot be used: a value has the wrong form; values under data are in base64, and plain ones stand under stringData`},
	"Secret elsewhere": {KindLLMProvider, `{host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: other/s, key: k}}}}}`,
		`InvalidField: spec.configs.defaultConfig.openAIConfig.apiKeySecretRef.name: "other/s" is not the name of a Secret; write one of namespace default, since no others are read`},

	"route without host": {KindLLMRoute, `rules: [{backendRefs: [{providerHost: good.example.com}]}]`,
		`InvalidField: spec.host: a host is required; write a provider's host, the name of a Service, or "*"`},
	"star inside": {KindLLMRoute, `{host: "a.*.com", rules: [{backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidField: spec.host: "a.*.com" has a star in a place where there can be none; write a name, *.suffix, or "*"`},
	"route host with a port": {KindLLMRoute, `{host: "demo:80", rules: [{backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidField: spec.host: "demo:80" has a port, and routes are for all ports; write the name alone`},
	"no rules":    {KindLLMRoute, `host: demo`, `InvalidField: spec.rules: there are none, so every request would be answered with 404; write at least one rule with backendRefs`},
	"no backends": {KindLLMRoute, `{host: demo, rules: [{name: x}]}`, `InvalidBackend: spec.rules[0].backendRefs: there are none; write at least one with a providerHost`},
	"empty backend": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{weight: 1}]}]}`,
		`InvalidBackend: spec.rules[0].backendRefs[0]: there is no providerHost; write the host of an LLMProvider`},
	"two backends in one": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{providerHost: good.example.com, backendRef: {kind: InferencePool, name: a}}]}]}`,
		`InvalidBackend: spec.rules[0].backendRefs[0]: providerHost and backendRef are both set; keep one of them`},
	"too many backends": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [` + strings.Repeat("{providerHost: good.example.com},", 65) + `]}]}`,
		`InvalidBackend: spec.rules[0].backendRefs: there are 65; write at most 64`},
	"unknown provider": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{providerHost: nobody.example.com}]}]}`,
		`ProviderNotFound (used): spec.rules[0].backendRefs[0].providerHost: no LLMProvider for this workload has the host nobody.example.com, and requests for it are answered with 503; create one, or correct the host`},
	"unsupported backend": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{backendRef: {kind: InferencePool, name: a}}]}]}`,
		`UnsupportedBackend (used): spec.rules[0].backendRefs[0].backendRef: InferencePool is not supported yet, and requests for it are answered with 503; write a providerHost`},
	"negative weight": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{providerHost: good.example.com, weight: -5}]}]}`,
		`InvalidWeights: spec.rules[0].backendRefs[0].weight: -5 is out of range; write 0 or more`},
	"all weights zero": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{providerHost: good.example.com, weight: 0}, {providerHost: good.example.com, weight: 0}]}]}`,
		`InvalidWeights: spec.rules[0].backendRefs: the weights add up to 0, so no backend would ever be used; give at least one of them a weight above 0, or none of them any for equal shares`},
	"negative priority": {KindLLMRoute, `{host: demo, rules: [{backendRefs: [{providerHost: good.example.com, priority: -1}]}]}`,
		`InvalidBackend: spec.rules[0].backendRefs[0].priority: -1 is negative; write 0 for the first choice and higher numbers for standbys`},
	"negative attempts": {KindLLMRoute, `{host: demo, rules: [{attempts: -1, backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidField: spec.rules[0].attempts: -1 is negative; write how many backends may be tried`},
	"retry on success": {KindLLMRoute, `{host: demo, rules: [{retryOn: [429, 200], backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidField: spec.rules[0].retryOn[1]: 200 is no error status; write a number from 400 to 599`},
	"two kinds of match": {KindLLMRoute, `{host: demo, rules: [{matches: [{headers: {x: {exact: a, prefix: b}}}], backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidMatch: spec.rules[0].matches[0].headers.x: more than one of exact, prefix and regex is set; keep one of them`},
	"bad regex": {KindLLMRoute, `{host: demo, rules: [{matches: [{headers: {x: {regex: "a("}}}], backendRefs: [{providerHost: good.example.com}]}]}`,
		"InvalidMatch: spec.rules[0].matches[0].headers.x.regex: the regex is not RE2: error parsing regexp: missing closing ): `a(`"},
	"lookahead": {KindLLMRoute, `{host: demo, rules: [{matches: [{headers: {x: {regex: "(?=a)"}}}], backendRefs: [{providerHost: good.example.com}]}]}`,
		"InvalidMatch: spec.rules[0].matches[0].headers.x.regex: the regex is not RE2: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
	"pseudo header": {KindLLMRoute, `{host: demo, rules: [{matches: [{headers: {":authority": {exact: a}}}], backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidMatch: spec.rules[0].matches[0].headers.:authority: this is not a header name; write host for the request's host`},
	"claim": {KindLLMRoute, `{host: demo, rules: [{matches: [{headers: {"@request.auth.claims.group": {exact: a}}}], backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidMatch: spec.rules[0].matches[0].headers.@request.auth.claims.group: claims of a token are not matched; write the name of a header`},
	"match header twice": {KindLLMRoute, `{host: demo, rules: [{matches: [{headers: {X: {exact: a}, x: {exact: b}}}], backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidMatch: spec.rules[0].matches[0].headers.x: the header is named twice, written in two ways; keep one of them`},
	"gateway name": {KindLLMRoute, `{host: demo, gateways: [mesh, a/b/c], rules: [{backendRefs: [{providerHost: good.example.com}]}]}`,
		`InvalidField: spec.gateways[1]: "a/b/c" is not the name of a Gateway; write namespace/name, name for one in namespace default, or mesh`},
	"missing Gateway": {KindLLMRoute, `{host: demo, gateways: [mesh, gw], rules: [{backendRefs: [{providerHost: good.example.com}]}]}`,
		`GatewayNotFound (used): spec.gateways[1]: there is no Gateway default/gw; create it, or serve the table of that name from a site of your own`},
	"everything of a sidecar": {KindLLMRoute, `{host: "*", rules: [{backendRefs: [{providerHost: good.example.com}]}]}`,
		`CatchAllHost (used): spec.host: * takes every request of a sidecar, those to other services included; name a host, or the gateways that the route is for`},
	"misspelt field": {KindLLMRoute, `{host: demo, rules: [{match: [], backendRefs: [{providerHost: good.example.com}]}]}`,
		`UnknownField: spec.rules[0].match: unknown field; write matches`},
}

// TestBadObjects checks that each bad object is found out, that its host is
// then not served from elsewhere, and that the good objects beside it work.
func TestBadObjects(t *testing.T) {
	for name, bad := range badObjects {
		t.Run(name, func(t *testing.T) {
			objects := mustDecode(t, fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {text: sk-1}
---
apiVersion: v1
kind: Secret
metadata: {name: bad}
data: {k: "!"}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: good}
spec: {host: good.example.com}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: good}
spec: {host: good-service, rules: [{backendRefs: [{providerHost: good.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: %s
metadata: {name: bad}
spec:
  %s
`, bad.kind, bad.spec))
			state := Translate(objects, llmroute.Identity{Namespace: "default"}, Options{})
			provision(t, state)
			var got []string
			for _, f := range state.Findings {
				if f.Object != bad.kind+" default/bad" || f.Origin != "x.yaml:21" {
					t.Errorf("finding for %s at %s: %s", f.Object, f.Origin, f.Message)
				}
				used := ""
				if f.Used {
					used = " (used)"
				}
				got = append(got, f.Reason+used+": "+f.Message)
			}
			if strings.Join(got, "\n") != bad.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), bad.want)
			}
			refused := !strings.Contains(bad.want, " (used)")
			good := false
			for _, route := range state.Tables[MeshTable] {
				switch {
				case strings.HasPrefix(route.Origin, bad.kind+" default/bad "):
					if refused != (route.Unusable != "") {
						t.Errorf("unusable is %q", route.Unusable)
					}
				case route.Hosts[0] == "good-service":
					good = route.Unusable == "" && route.Rules[0].Backends[0].Provider == "default/good"
				}
			}
			if !good {
				t.Error("the good route does not work")
			}
		})
	}
}

func TestBadObjectsHoldNoKeyInFindings(t *testing.T) {
	for _, key := range []string{"sk-1 2", "sk-1\n", "${sk-1}", "<sk-1>", "{{sk-1}}", "{env.sk-1}", "sk-1\u0001"} {
		objects := &Objects{Providers: []*Item[LLMProvider]{{Object: LLMProvider{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"},
			Spec: LLMProviderSpec{
				Host: "a.example.com", Headers: map[string]string{"x-api-key": key},
				Configs: &ProviderConfigs{DefaultConfig: &ProviderConfig{OpenAIConfig: &OpenAIConfig{APIKey: &key}}},
			},
		}}}}
		state := Translate(objects, llmroute.Identity{}, Options{})
		if text, err := Redacted(state); err != nil || strings.Contains(string(text), "sk-1") {
			t.Errorf("%q: %v\n%s", key, err, text)
		}
	}
}

func TestHostsThatOptionsAllow(t *testing.T) {
	objects := mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: 169.254.169.254}\n")
	if state := Translate(objects, llmroute.Identity{}, Options{AllowAnyHost: true}); len(state.Findings) > 0 || len(state.Providers) != 1 {
		t.Errorf("got %+v", state.Findings)
	}
}
