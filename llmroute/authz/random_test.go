package authz

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/integration/policycases"
)

// words are values, some of which match some of the requests of randomRequest.
var words = map[string][]string{
	"source.ip":              {"10.0.0.1", "10.0.0.0/8", "10.0.0.0/30", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"},
	"remote.ip":              {"10.0.0.1", "203.0.113.0/24", "203.0.113.9", "::/0", "10.0.0.0/9"},
	"destination.ip":         {"198.51.100.1", "198.51.100.0/24", "10.0.0.0/8"},
	"destination.port":       {"80", "443", "8080"},
	"method":                 {"GET", "POST", "P*", "*T", "*"},
	"host":                   {"a.com", "b.a.com", "*.a.com", "a.*", "a.com:80", "*:80", "*", "B.com", "b.*"},
	"path":                   {"/", "/a", "/a/b", "/a*", "/a/*", "*/b", "*", "/{*}", "/a/{*}", "/a/{**}", "/{**}/b", "/{*}/b", "/a%2Fb", "/a%2F*", "/v1/embeddings", "/v1/chat/*"},
	"connection.sni":         {"a.com", "*.com", "*", "b*"},
	"source.principal":       {"td/ns/prod/sa/x", "td/*", "*/sa/y", "*"},
	"source.namespace":       {"prod", "test", "p*", "*t", "*", "p*d"},
	"source.serviceAccount":  {"prod/x", "x", "test/y", "y"},
	"source.trustDomain":     {"td", "t*", "*d", "other", "*"},
	"request.auth.principal": {"i/s", "i/*", "*/s", "*", "i*", "*s", "j/s2", "i/s*"},
	"request.auth.audiences": {"aud1", "aud*", "*2", "*"},
	"request.auth.presenter": {"azp", "*p", "*"},

	"request.auth.claims[group]": {"g1", "g2", "g*", "*"},
	"request.headers[x-a]":       {"1", "2", "1*", "*2", "*", "1,2"},
	"request.headers[x-b]":       {"1", "*"},
}

func keysOfWords() []string {
	var keys []string
	for key := range words {
		if strings.Contains(key, ".") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

type random struct{ *rand.Rand }

func (g random) one(key string) string { return words[key][g.IntN(len(words[key]))] }

// some is values of a key, mostly none.
func (g random) some(key string) []string {
	if g.IntN(3) > 0 {
		return nil
	}
	return g.values(key)
}

func (g random) values(key string) []string {
	values := []string{g.one(key)}
	for g.IntN(2) == 0 {
		values = append(values, g.one(key))
	}
	return values
}

func (g random) not(values []string, none bool) []string {
	if none || g.IntN(2) == 0 {
		return nil
	}
	return values
}

func (g random) rule(positive bool) *Rule {
	r := &Rule{}
	for g.IntN(2) == 0 {
		source := &Source{
			IPBlocks: g.some("source.ip"), NotIPBlocks: g.not(g.some("source.ip"), positive),
			RemoteIPBlocks: g.some("remote.ip"), NotRemoteIPBlocks: g.not(g.some("remote.ip"), positive),
			Principals: g.not(g.some("source.principal"), false), NotPrincipals: g.not(g.some("source.principal"), positive),
			Namespaces: g.not(g.some("source.namespace"), false), NotNamespaces: g.not(g.some("source.namespace"), positive),
			ServiceAccounts: g.not(g.some("source.serviceAccount"), false), TrustDomains: g.not(g.some("source.trustDomain"), false),
			RequestPrincipals: g.not(g.some("request.auth.principal"), false), NotRequestPrincipals: g.not(g.some("request.auth.principal"), positive),
		}
		if reflect.DeepEqual(source, &Source{}) {
			source.IPBlocks = g.values("source.ip")
		}
		r.From = append(r.From, source)
	}
	for g.IntN(3) > 0 {
		operation := &Operation{
			Hosts: g.some("host"), NotHosts: g.not(g.some("host"), positive),
			Ports: g.some("destination.port"), NotPorts: g.not(g.some("destination.port"), positive),
			Methods: g.some("method"), NotMethods: g.not(g.some("method"), positive),
			Paths: g.some("path"), NotPaths: g.not(g.some("path"), positive),
		}
		if reflect.DeepEqual(operation, &Operation{}) {
			operation.Paths = g.values("path")
		}
		r.To = append(r.To, operation)
	}
	keys := keysOfWords()
	for g.IntN(3) == 0 {
		key := keys[g.IntN(len(keys))]
		w := &Condition{Key: key, Values: g.values(key)}
		if !positive && g.IntN(2) == 0 {
			w.NotValues = g.values(key)
			if g.IntN(2) == 0 {
				w.Values = nil
			}
		}
		r.When = append(r.When, w)
	}
	return r
}

func (g random) policy(action Action, positive bool) *Policy {
	p := &Policy{Name: fmt.Sprint("p", g.IntN(100)), Namespace: "prod", Action: action}
	for range 1 + g.IntN(6) {
		p.Rules = append(p.Rules, g.rule(positive))
	}
	return p
}

// filed is a policy of many rules that are filed under values.
func (g random) filed(action Action) *Policy {
	p := &Policy{Name: "filed", Action: action}
	for range 3 * fewRules {
		r := &Rule{}
		switch g.IntN(4) {
		case 0:
			r.To = []*Operation{{Hosts: []string{g.one("host")}, Methods: g.some("method")}}
		case 1:
			r.To = []*Operation{{Paths: []string{g.one("path")}, NotMethods: g.values("method")}}
		case 2:
			r.When = []*Condition{{Key: "request.headers[x-a]", Values: []string{g.one("request.headers[x-a]")}, NotValues: []string{"1"}}}
		default:
			r.From = []*Source{{IPBlocks: []string{g.one("source.ip")}, NotIPBlocks: []string{g.one("source.ip")}}}
		}
		if r.To == nil || g.IntN(2) == 0 {
			r.When = append(r.When, &Condition{Key: "request.headers[x-b]", NotValues: []string{"*"}})
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

func (g random) config() *Config {
	if g.IntN(2) == 0 {
		action := []Action{Allow, Deny}[g.IntN(2)]
		return &Config{Policies: []*Policy{g.filed(action)}}
	}
	c := &Config{TrustedProxies: g.IntN(3)}
	for range 1 + g.IntN(8) {
		action := []Action{Allow, Deny}[g.IntN(2)]
		c.Policies = append(c.Policies, g.policy(action, false))
	}
	return c
}

func (g random) request() *policycases.Request {
	pick := func(values ...string) string { return values[g.IntN(len(values))] }
	host := pick("a.com", "A.com:80", "b.a.com.", "b.com", "", "b.com.:8080")
	local := pick("198.51.100.1", "")
	c := &policycases.Request{
		Method: pick("GET", "POST", "PUT"),
		Host:   &host, Local: &local,
		Target:  pick("/", "/a", "/a/b", "/a%2Fb", "/x/../a", "/%61", "/a//b", "//a", "/%2Fa%2F%2fb", "///a%2Fb", "//", "/embeddings", "//embeddings", "/%2Fv1//embeddings", "/b", "http://a.com/a", "/c%2F..%2Fa", "/a%20b"),
		Peer:    pick("10.0.0.1", "10.0.0.3", "192.0.2.1", "2001:db8::1", "@"),
		Port:    []int{80, 443, 9000}[g.IntN(3)],
		SNI:     pick("", "a.com", "B.com"),
		SPIFFE:  pick("", "spiffe://td/ns/prod/sa/x", "spiffe://other/ns/test/sa/y", "spiffe://td"),
		Headers: map[string]any{},
	}
	for _, name := range []string{"x-a", "x-b"} {
		switch g.IntN(4) {
		case 0:
			c.Headers[name] = pick("1", "2", "", "12")
		case 1:
			c.Headers[name] = []any{"1", "2"}
		}
	}
	if g.IntN(2) == 0 {
		c.Headers["x-forwarded-for"] = pick("203.0.113.9", "10.0.0.1, 203.0.113.9", "203.0.113.9, 10.0.0.1", "unknown")
	}
	if g.IntN(2) == 0 {
		c.Token = map[string]any{"iss": pick("i", "j", ""), "sub": pick("s", "s2"), "aud": pick("aud1", "x2"), "azp": pick("azp", ""), "group": pick("g1", "g3")}
	}
	return c
}

// passes says whether a request passes, and that the plain way says the same.
func passes(t *testing.T, config *Config, c *policycases.Request) bool {
	t.Helper()
	passed := passesAs(t, config, c, false)
	if !passesAs(t, config, c, true) {
		return passed
	}
	// With slashes merged, a request passes only if it does as it is and with single slashes.
	merged := *c
	if c.Target[0] == '/' { // else it names the host as well
		merged.Target = mergedSentPath(c.HTTP(t, "").URL)
	}
	if !passed || !passesAs(t, config, &merged, false) {
		t.Fatalf("passes with slashes merged only\nrequest %+v\n%s", *c, dump(config))
	}
	return passed
}

// passesAs is passes for a path that is, or is not, also read with single slashes.
func passesAs(t *testing.T, config *Config, c *policycases.Request, merges bool) bool {
	t.Helper()
	p, problems := compilePolicies(config)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r, ports, token := c.HTTP(t, ""), []int{c.GatewayPort(), 8080}, tokenOf(c.Token)
	req := p.request(r, ports...)
	defer req.release()
	req.token, req.mergesSlashes = token, merges
	d := p.decide(req, zap.NewNop())
	if want := (&plain{config}).passes(req); want != (d.Refusal == nil) {
		t.Fatalf("passes is %v, the plain way %v\nrequest %+v\n%s", d.Refusal == nil, want, *c, dump(config))
	}
	// It is the first rule that decides, however rules are filed.
	if d.Policy == "filed" {
		for i, rule := range config.Policies[0].Rules[:d.Rule] {
			if (&plain{config}).rule(config.Policies[0], rule, req) {
				t.Fatalf("rule %d decided, but %d matches\nrequest %+v\n%s", d.Rule, i, *c, dump(config))
			}
		}
	}
	return d.Refusal == nil
}

func TestRandomPolicies(t *testing.T) {
	var passed [2]int
	for seed := range uint64(150) {
		g := random{rand.New(rand.NewPCG(seed, 1))}
		config := g.config()
		for range 5 {
			c := g.request()
			ok := passes(t, config, c)
			if ok {
				passed[1]++
			} else {
				passed[0]++
			}

			// The order of policies and of rules means nothing.
			other := *config
			other.Policies = slices.Clone(config.Policies)
			g.Shuffle(len(other.Policies), func(i, j int) {
				other.Policies[i], other.Policies[j] = other.Policies[j], other.Policies[i]
			})
			if passes(t, &other, c) != ok {
				t.Fatalf("another order, another response\n%s", dump(config))
			}

			// No ALLOW undoes a DENY.
			deny := *config
			deny.Policies = slices.DeleteFunc(slices.Clone(config.Policies), func(p *Policy) bool { return p.Action != Deny })
			if !passes(t, &deny, c) {
				deny.Policies = append(deny.Policies, g.policy(Allow, false), &Policy{Rules: []*Rule{{}}, Action: Allow})
				if passes(t, &deny, c) {
					t.Fatalf("an ALLOW undid a DENY\n%s", dump(&deny))
				}
			}
		}
	}
	if min(passed[0], passed[1]) < 100 {
		t.Errorf("%d refused, %d passed; that tests little", passed[0], passed[1])
	}
}

// Less to go by never passes where more does not: with ALLOW policies that have
// no `not_` fields, a request that is refused is refused too when it has no
// host, header, token, certificate, name in its TLS hello or local address. The
// client's address behind proxies is not among them: without the header it is
// another one.
func TestLessNeverPasses(t *testing.T) {
	refused := 0
	for seed := range uint64(2000) {
		g := random{rand.New(rand.NewPCG(seed, 2))}
		config := &Config{TrustedProxies: g.IntN(3), Policies: []*Policy{{Action: Allow, Namespace: "prod", Rules: []*Rule{g.rule(true), g.rule(true)}}}}
		c := g.request()
		if passes(t, config, c) {
			continue
		}
		refused++
		none := ""
		for name, less := range map[string]func(*policycases.Request){
			"host": func(c *policycases.Request) {
				if !strings.HasPrefix(c.Target, "http:") { // which names the host as well
					c.Host = &none
				}
			},
			"header":      func(c *policycases.Request) { delete(c.Headers, "x-a") },
			"token":       func(c *policycases.Request) { c.Token = nil },
			"certificate": func(c *policycases.Request) { c.SPIFFE = "" },
			"TLS":         func(c *policycases.Request) { c.SPIFFE, c.SNI = "", "" },
			"local":       func(c *policycases.Request) { c.Local = &none },
		} {
			with := *c
			with.Headers = map[string]any{}
			for k, v := range c.Headers {
				with.Headers[k] = v
			}
			less(&with)
			if passes(t, config, &with) {
				t.Fatalf("passes without %s\nrequest %+v\n%s", name, *c, dump(config))
			}
		}
	}
	if refused < 500 {
		t.Errorf("%d refused; that tests little", refused)
	}
}

// dump is a configuration as JSON.
func dump(config *Config) string {
	data, _ := json.MarshalIndent(config, "", " ")
	return string(data)
}
