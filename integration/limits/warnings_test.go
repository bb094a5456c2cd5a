package limits

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
)

const (
	warnedPrices = "currency: USD\nprices:\n  - {model: m1, input: 1, output: 10}\n"
	warned       = `{
	llm {
		provider main http://127.0.0.1:1/v1/chat/completions
		prices prices.yaml
		limits {
			limit clients {
				key client
				rules chat nowhere
				requests 60 per 1m
			}
			limit money {
				models m1 m2 m3
				cost 1 per day
			}
		}
	}
}

http://:1 {
	llm_route {
		rule chat {
			to main model m1
			to main model m2
		}
	}
}
`
)

// TestWarnings holds what the built commands say of limits that cannot do what they are written for, before any gateway is
// started.
func TestWarnings(t *testing.T) {
	const (
		keys  = "limit counts by what no authentication supplies, so all requests count together; put llm_keys or llm_authz before llm_route, for claims llm_authz with jwt"
		price = "limit of cost has no price for a model, whose requests are refused; add the price"
		want  = "Caddyfile:6: limit clients: warning: NeverMatches: limit names a rule that does not exist: rule nowhere; those that exist: chat\n" +
			"Caddyfile:6: limit clients: warning: NotSupplied: " + keys + ": key client\n" +
			"Caddyfile:11: limit money: warning: NeverMatches: limit names a model that no request is sent with: model m3; those that exist: m1, m2\n" +
			"Caddyfile:11: limit money: warning: NoPrice: " + price + ": model m2\n" +
			"Caddyfile:11: limit money: warning: NoPrice: " + price + ": model m3\n"
		failed = "Error: Caddyfile: warnings about limits: 5\n"
	)
	prices := gateway.File("prices.yaml", warnedPrices)
	run := func(config string, args ...string) gateway.Result {
		return gateway.Exec(t, "", args, prices, gateway.File("Caddyfile", config))
	}
	if r := run(warned, "llm", "check", "Caddyfile"); r.Code != 1 || r.Stdout != want || r.Stderr != failed {
		t.Errorf("check: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := run(warned, "validate"); r.Code != 0 || strings.Count(r.Stderr, `"level":"warn"`) != 5 || !strings.Contains(r.Stderr, `"`+price+`","model":"m3","limit":"money"`) {
		t.Errorf("validate: %d\n%s", r.Code, r.Stderr)
	}
	good := strings.NewReplacer(" nowhere", "", "key client", "key ip", " m2 m3", "").Replace(warned)
	for _, command := range [][]string{{"llm", "check", "Caddyfile"}, {"validate"}} {
		if r := run(good, command...); r.Code != 0 || strings.Contains(r.Stdout+r.Stderr, "limit") {
			t.Errorf("%q of limits that work: %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
	}
	// One fault is enough: warnings beside it could follow from it.
	if r := run(warned+"\nhttp://:2 {\n\tllm_keys none.txt\n}\n", "validate"); r.Code == 0 || strings.Contains(r.Stderr, "nowhere") {
		t.Errorf("validate with a fault: %d\n%s", r.Code, r.Stderr)
	}
	if r := run(strings.Replace(warned, "prices.yaml", "none.yaml", 1), "llm", "check", "Caddyfile"); r.Code != 1 || !strings.HasPrefix(r.Stderr, "Error: Caddyfile: limits cannot be checked: ") {
		t.Errorf("check without the prices: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
