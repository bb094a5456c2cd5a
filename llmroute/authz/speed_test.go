package authz

import (
	"fmt"
	"net/http"
	"testing"

	"go.uber.org/zap"
)

// manyPolicies are 50 policies of 20 rules: DENY of addresses and hosts, and
// ALLOW of hosts, paths, methods, headers and client addresses.
func manyPolicies() *Config {
	config := &Config{TrustedProxies: 1}
	for i := range 50 {
		p := &Policy{Name: fmt.Sprintf("default/p%d", i), Action: Allow}
		if i < 15 {
			p.Action = Deny
		}
		for j := range 20 {
			n := i*20 + j
			r := &Rule{To: []*Operation{{}}}
			to := r.To[0]
			switch {
			case p.Action == Deny && j%2 == 0:
				r.From = []*Source{{IPBlocks: []string{fmt.Sprintf("10.%d.%d.0/24", i, j), fmt.Sprintf("172.16.%d.%d", i, j)}}}
				r.To = nil
			case p.Action == Deny:
				to.Hosts = []string{fmt.Sprintf("internal%d.example.com", n), fmt.Sprintf("*.internal%d.example.com", n)}
			case j%5 == 0:
				to.Hosts, to.Methods = []string{fmt.Sprintf("tenant%d.example.com", n)}, []string{"POST"}
			case j%5 == 1:
				to.Paths, to.Methods = []string{fmt.Sprintf("/tenant%d/*", n)}, []string{"POST", "GET"}
			case j%5 == 2:
				to.Paths = []string{"/v1/chat/completions", "/v1/models"}
				r.When = []*Condition{{Key: "request.headers[X-Tenant]", Values: []string{fmt.Sprintf("tenant%d", n)}}}
			case j%5 == 3:
				to.Hosts, to.Paths = []string{"llm.example.com"}, []string{"/v1/chat/completions"}
				r.From = []*Source{{RemoteIPBlocks: []string{fmt.Sprintf("203.0.%d.%d/32", i, j)}}}
			default:
				to.Hosts, to.Paths = []string{fmt.Sprintf("tenant%d.example.com", n)}, []string{"/v1/*"}
			}
			p.Rules = append(p.Rules, r)
		}
		config.Policies = append(config.Policies, p)
	}
	return config
}

// samePolicies are 1,000 rules that no index tells apart: each has a prefix of
// its own and the same host.
func samePolicies(value string) *Config {
	config := &Config{}
	for i := range 50 {
		p := &Policy{Name: fmt.Sprintf("default/p%d", i)}
		for j := range 20 {
			p.Rules = append(p.Rules, &Rule{To: []*Operation{{
				Hosts: []string{"tenant999.example.com"}, Paths: []string{fmt.Sprintf(value, i*20+j)},
			}}})
		}
		config.Policies = append(config.Policies, p)
	}
	return config
}

func speedRequest(target string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, target, nil)
	if err != nil {
		panic(err)
	}
	r.RemoteAddr = "192.0.2.7:40000"
	r.Header.Set("X-Forwarded-For", "198.51.100.8")
	r.Header.Set("X-Tenant", "nobody")
	return r
}

var speedCases = []struct {
	name   string
	config *Config
	target string
}{
	{"many", manyPolicies(), "http://tenant999.example.com/v1/chat/completions"},
	{"same/prefixes", samePolicies("/v1/tenant%d/*"), "http://tenant999.example.com/v1/tenant999/x"},
	{"same/templates", samePolicies("/v1/{*}/tenant%d/{**}"), "http://tenant999.example.com/v1/x/tenant999/x"},
}

// The last of 1,000 rules lets a request pass, without allocations.
func TestManyPolicies(t *testing.T) {
	for _, c := range speedCases {
		t.Run(c.name, func(t *testing.T) {
			p, problems := compilePolicies(c.config)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			r := speedRequest(c.target)
			logger, ports := zap.NewNop(), []int{80}
			var d Decision
			allocations := testing.AllocsPerRun(100, func() {
				req := p.request(r, ports...)
				d = p.decide(req, logger)
				req.release()
			})
			if d.Refusal != nil || d.Policy != "default/p49" || d.Rule != 19 {
				t.Errorf("the decision is %+v", d)
			}
			if allocations > 0 {
				t.Errorf("%v allocations, want none", allocations)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, c := range speedCases {
		b.Run(c.name, func(b *testing.B) {
			p, _ := compilePolicies(c.config)
			r := speedRequest(c.target)
			logger, ports := zap.NewNop(), []int{80}
			b.ReportAllocs()
			for b.Loop() {
				req := p.request(r, ports...)
				p.decide(req, logger)
				req.release()
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	config := manyPolicies()
	b.ReportAllocs()
	for b.Loop() {
		compilePolicies(config)
	}
}
