package k8ssource

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestNever holds that what has no effect is reported, with its place, and nothing else
// is.
func TestNever(t *testing.T) {
	const to = "backendRefs: [{providerHost: p.example.com}]"
	rule := func(rest string) string { return "{" + rest + to + "}" }
	header := func(entries ...string) string {
		return rule("matches: [{headers: {" + strings.Join(entries, "}}, {headers: {") + "}}], ")
	}
	for name, test := range map[string]struct{ rules, want string }{
		"after a rule without matches":      {rule("") + ", " + rule("name: b, "), "NeverReached spec.rules[1]"},
		"after an empty entry":              {rule("matches: [{headers: {x: {exact: a}}}, {}], ") + ", " + header("x: {exact: b}"), "NeverReached spec.rules[1]"},
		"the last rule matches all":         {header("x: {exact: a}") + ", " + rule(""), ""},
		"the same match":                    {header("x: {exact: a}") + ", " + header("X: {exact: a}"), "NeverReached spec.rules[1]"},
		"a prefix before a value":           {header("x: {prefix: a}") + ", " + header("x: {exact: ab}"), "NeverReached spec.rules[1]"},
		"a value before its prefix":         {header("x: {exact: ab}") + ", " + header("x: {prefix: a}"), ""},
		"present before any":                {header("x: {}") + ", " + header("x: {regex: a+}"), "NeverReached spec.rules[1]"},
		"fewer headers before more":         {header("x: {exact: a}") + ", " + header("y: {}, x: {exact: a}"), "NeverReached spec.rules[1]"},
		"more headers before fewer":         {header("y: {}, x: {exact: a}") + ", " + header("x: {exact: a}"), ""},
		"one of two entries is reached":     {header("x: {exact: a}") + ", " + header("x: {exact: a}", "x: {exact: b}"), ""},
		"entries matched by several":        {header("x: {exact: a}") + ", " + header("x: {exact: b}") + ", " + header("x: {exact: a}", "x: {exact: b}"), "NeverReached spec.rules[2]"},
		"values in another case":            {header("x: {exact: a}") + ", " + header("x: {exact: A}"), ""},
		"hosts in another case":             {header("host: {exact: a.com}") + ", " + header("HOST: {exact: A.com}"), "NeverReached spec.rules[1]"},
		"labels of some":                    {rule("matches: [{sourceLabels: {app: a}}], ") + ", " + rule(""), ""},
		"labels of all before some":         {rule("matches: [{headers: {x: {}}}], ") + ", " + rule("matches: [{headers: {x: {}}, sourceLabels: {app: a}}], "), "NeverReached spec.rules[1]"},
		"for a gateway only":                {rule("matches: [{gateways: [gw]}], ") + ", " + rule(""), ""},
		"for the route's and for a gateway": {rule("") + ", " + rule("matches: [{gateways: [gw]}], "), ""},
		"for the same gateway":              {rule("matches: [{gateways: [gw, mesh]}], ") + ", " + rule("matches: [{gateways: [default/gw], headers: {x: {}}}], "), "NeverReached spec.rules[1]"},
		"two rules of one name":             {header("x: {}")[:1] + "name: a, " + header("x: {}")[1:] + ", " + rule("name: a, "), "DuplicateName spec.rules[1].name"},
		"rules without names":               {header("x: {}") + ", " + rule(""), ""},
		"a host with a port":                {header("host: {exact: 'a.com:80'}"), "NeverMatches spec.rules[0].matches[0].headers[host]"},
		"a host's prefix with a port":       {header("host: {prefix: 'test.com:8'}"), "NeverMatches spec.rules[0].matches[0].headers[host]"},
		"a host's regex with a port":        {header("host: {regex: 'test[.]com:(80|443)'}"), "NeverMatches spec.rules[0].matches[0].headers[host]"},
		"a host's regex that allows a port": {header("host: {regex: 'test[.]com(:80)?'}"), ""},
		"an IPv6 host":                      {header("host: {exact: '2001:db8::1'}"), ""},
		"an IPv6 host's prefix":             {header("host: {prefix: '2001:'}"), ""},
		"an IPv6 host's regex":              {header("host: {regex: '2001:db8:.*'}"), ""},
		"an empty host":                     {header("host: {exact: ''}"), "NeverMatches spec.rules[0].matches[0].headers[host]"},
		"a port in another header":          {header("x: {exact: 'a:80'}"), ""},
		"an impossible regex":               {header("x: {regex: '[^\\x00-\\x{10FFFF}]'}"), "NeverMatches spec.rules[0].matches[0].headers[x]"},
		"an impossible part of a regex":     {header("x: {regex: 'a|[^\\x00-\\x{10FFFF}]'}"), ""},
		"a value with a space":              {header("x: {exact: ' a'}"), "NeverMatches spec.rules[0].matches[0].headers[x]"},
		"a prefix that ends in a space":     {header("x: {prefix: 'Bearer '}"), ""},
		"a value with a line break":         {header("x: {exact: \"a\\nb\"}"), "NeverMatches spec.rules[0].matches[0].headers[x]"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := mustDecode(t, "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n---\n"+
				"apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: p}\nspec: {host: p.example.com}\n---\n"+
				"apiVersion: istio.alibabacloud.com/v1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {host: a.example.com, rules: ["+test.rules+"]}\n")
			var got []string
			for _, f := range Translate(objects, spec.Identity{Namespace: "default", Labels: map[string]string{"app": "a"}}, Options{}).Findings {
				path, _, _ := strings.Cut(f.Message, ": ")
				got = append(got, f.Reason+" "+path)
				if !f.Used || f.Object != "LLMRoute default/r" {
					t.Errorf("the finding is %+v", f)
				}
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestUnusedSettings holds that settings for rules that nobody has are reported, if
// there are any rules at all.
func TestUnusedSettings(t *testing.T) {
	provider := "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: p}\nspec: {host: p.example.com, configs: {routeSpecificConfigs: {vip: {}, other: {}}}}\n---\n" +
		"apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: q}\nspec: {host: q.example.com}\n---\n"
	route := func(name, host string) string {
		return "apiVersion: istio.alibabacloud.com/v1\nkind: LLMRoute\nmetadata: {name: r" + name + "}\nspec: {host: " + name + ".example.com, rules: [{name: " + name + ", backendRefs: [{providerHost: " + host + "}]}]}\n---\n"
	}
	for name, test := range map[string]struct {
		manifests string
		want      []string
	}{
		"no routes":             {provider, nil},
		"both are there":        {provider + route("vip", "p.example.com") + route("other", "P.example.com."), nil},
		"one is there":          {provider + route("vip", "p.example.com"), []string{"other"}},
		"for another provider":  {provider + route("vip", "p.example.com") + route("other", "q.example.com"), []string{"other"}},
		"routes without either": {provider + route("third", "q.example.com"), []string{"other", "vip"}},
	} {
		var got []string
		for _, f := range Translate(mustDecode(t, test.manifests), spec.Identity{Namespace: "default"}, Options{}).Findings {
			if m := regexp.MustCompile(`^spec\.configs\.routeSpecificConfigs\[(.*?)\]`).FindStringSubmatch(f.Message); m != nil && f.Reason == object.ReasonUnusedSettings && f.Used {
				got = append(got, m[1])
				continue
			}
			t.Errorf("%s: %+v", name, f)
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// TestNeverReachedIsTrue makes up routes, and holds that no request of a small world
// reaches a rule that is said never to be reached.
func TestNeverReachedIsTrue(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	texts := []string{"", "a", "ab", "b"}
	reported := 0
	for range 20_000 {
		route := &v1beta1.LLMRoute{}
		for range 1 + random.IntN(4) {
			var rule v1beta1.LLMRouteRule
			for range random.IntN(3) {
				m := v1beta1.LLMRouteMatch{Headers: make(map[string]v1beta1.StringMatch)}
				for _, name := range []string{"x", "y"} {
					text := texts[random.IntN(len(texts))]
					switch random.IntN(5) {
					case 0:
						m.Headers[name] = v1beta1.StringMatch{Exact: &text}
					case 1:
						m.Headers[strings.ToUpper(name)] = v1beta1.StringMatch{Prefix: &text}
					case 2:
						m.Headers[name] = v1beta1.StringMatch{}
					}
				}
				rule.Matches = append(rule.Matches, m)
			}
			route.Spec.Rules = append(route.Spec.Rules, rule)
		}
		b := &routeBuilder{object: route}
		b.neverReached()
		never := make(map[string]bool)
		for _, f := range b.faults {
			path, _, _ := strings.Cut(f.Message, ": ")
			never[path] = true
			reported++
		}
		for _, x := range append(texts, "-") { // which is no header
			for _, y := range append(texts, "-") {
				request := map[string]string{"x": x, "y": y}
				i := slices.IndexFunc(route.Spec.Rules, func(r v1beta1.LLMRouteRule) bool {
					return slices.ContainsFunc(matchesOf(&r), func(m v1beta1.LLMRouteMatch) bool {
						for name, value := range m.Headers {
							got := request[strings.ToLower(name)]
							if got == "-" || value.Exact != nil && got != *value.Exact || value.Prefix != nil && !strings.HasPrefix(got, *value.Prefix) {
								return false
							}
						}
						return true
					})
				})
				if i >= 0 && never[fmt.Sprintf("spec.rules[%d]", i)] {
					t.Fatalf("%v reaches rule %d of %+v, of which it is said: %+v", request, i, route.Spec.Rules, b.faults)
				}
			}
		}
	}
	if reported < 1000 {
		t.Errorf("only %d rules are never reached", reported)
	}
}
