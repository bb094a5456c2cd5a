package k8ssource

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// limiterObject is a rate limiter of the documented system, of the namespace istio-system.
func limiterObject(kind, spec string) string {
	return "apiVersion: istio.alibabacloud.com/v1beta1\nkind: " + kind + "\nmetadata: {name: a, namespace: istio-system}\nspec: " + spec + "\n---\n"
}

// TestRateLimiters holds what the documented system's limiters limit.
func TestRateLimiters(t *testing.T) {
	const local, global = object.KindLocalRateLimiter, object.KindGlobalRateLimiter
	for name, test := range map[string]struct{ kind, spec, want string }{
		"local":           {local, `{isGateway: true, configs: [{limit: {fill_interval: {seconds: 30}, quota: 5}}]}`, "istio-system.a.local-0: 5 per 30s burst 5"},
		"parts":           {local, `{configs: [{limit: {fill_interval: {nanos: 100000000}, quota: 5}}]}`, "istio-system.a.local-0: 50 per 1s burst 5"},
		"global":          {global, `{configs: [{limit: {unit: MINUTE, quota: 5}}, {limit: {unit: day, quota: 7}}]}`, "istio-system.a.global-0: 5 per 1m burst ; istio-system.a.global-1: 7 per day burst "},
		"with overrides":  {global, `{configs: [{limit: {unit: HOUR, quota: 5}, limit_overrides: [{request_match: {header_match: [{name: a, exact_match: b}]}, limit: {unit: HOUR, quota: 9}}]}]}`, "istio-system.a.global-0-0: 9 per hour burst ; istio-system.a.global-0: 5 per hour burst "},
		"of others":       {local, `{workloadSelector: {labels: {app: other}}, configs: [{limit: {fill_interval: {seconds: 30}, quota: 5}}]}`, ""},
		"inbound":         {local, `{applyToTraffic: sidecar_inbound, configs: [{limit: {fill_interval: {seconds: 30}, quota: 5}}]}`, "InvalidField used=false: spec.applyToTraffic"},
		"no configs":      {local, `{isGateway: true}`, "InvalidField used=false: spec.configs: there are none"},
		"no quota":        {local, `{configs: [{limit: {fill_interval: {seconds: 30}}}]}`, "InvalidField used=false: spec.configs[0].limit.quota"},
		"no interval":     {local, `{configs: [{limit: {quota: 3}}]}`, "InvalidField used=false: spec.configs[0].limit.fill_interval"},
		"no unit":         {global, `{configs: [{limit: {quota: 3}}]}`, "InvalidField used=false: spec.configs[0].limit.unit"},
		"unknown field":   {local, `{configs: [{nonsense: 1, limit: {fill_interval: {seconds: 30}, quota: 5}}]}`, "UnsupportedField used=true: spec.configs[0].nonsense: this field is not used"},
		"service":         {global, `{rateLimitService: {host: a, port: 1}, configs: [{limit: {unit: HOUR, quota: 5}}]}`, "UnsupportedField used=true: spec.rateLimitService"},
		"status":          {global, `{configs: [{limit: {unit: HOUR, quota: 5, status: 503}}]}`, "UnsupportedField used=true: spec.configs[0].limit.status"},
		"429":             {global, `{configs: [{limit: {unit: HOUR, quota: 5, status: 429}}]}`, "istio-system.a.global-0: 5 per hour burst "},
		"path":            {global, `{configs: [{match: {vhost: {route: {header_match: [{name: ":path", exact_match: /}]}}}, limit: {unit: HOUR, quota: 5}}]}`, "InvalidField used=false: spec.configs[0].match.vhost.route.header_match[0].name"},
		"query":           {local, `{configs: [{match: {vhost: {route: {query_match: [{name: a, exact_match: b}]}}}, limit: {fill_interval: {seconds: 30}, quota: 5}}]}`, "InvalidField used=false: spec.configs[0].match.vhost.route.query_match"},
		"other's query":   {local, `{configs: [{limit: {fill_interval: {seconds: 30}, quota: 5}, limit_overrides: [{request_match: {header_match: [{name: a, exact_match: b}], query_match: [{name: a}]}, limit: {fill_interval: {seconds: 30}, quota: 9}}]}]}`, "InvalidField used=false: spec.configs[0].limit_overrides[0].request_match.query_match"},
		"other's address": {local, `{configs: [{limit: {fill_interval: {seconds: 30}, quota: 5}, limit_overrides: [{request_match: {header_match: [{name: a, exact_match: b}], remote_address: {address: 192.0.2.1}}, limit: {fill_interval: {seconds: 30}, quota: 9}}]}]}`, "InvalidField used=false: spec.configs[0].limit_overrides[0].request_match.remote_address"},
		"wrong type":      {global, `{configs: [{limit: {unit: HOUR, quota: many}}]}`, "InvalidField used=false: spec.configs[0].limit.quota"},
	} {
		state := Translate(mustDecode(t, limiterObject(test.kind, test.spec)), spec.Identity{Namespace: "istio-system", Labels: map[string]string{"app": "gw"}}, Options{})
		var got []string
		for _, d := range state.Limits {
			got = append(got, fmt.Sprintf("%s: %s per %s burst %s", d.Name, d.Amounts[0].Amount, d.Amounts[0].Window, d.Amounts[0].Burst))
			if err := d.Check(); err != nil || d.Scope.Local != (test.kind == local) {
				t.Errorf("%s: %v, %+v", name, err, d.Scope)
			}
		}
		limits, findings := strings.Join(got, "; "), said(state)
		if test.want != limits && !strings.HasPrefix(findings, test.kind+" istio-system/a "+test.want) || test.want == "" && findings != "" {
			t.Errorf("%s: %s\n%s\nwant %s", name, limits, findings, test.want)
		}
		if refused := strings.Contains(findings, "used=false"); refused && len(state.Limits) > 0 {
			t.Errorf("%s: refused, and %s", name, limits)
		}
	}
}

// TestRateLimitersMatch holds which of a limiter's limits a request is under: the first
// override that matches it, else the config's own.
func TestRateLimitersMatch(t *testing.T) {
	const fields = `{isGateway: true, configs: [{match: {vhost: {name: "*.example.com", route: {header_match: [{name: x-a, prefix_match: p}, {name: x-a, suffix_match: s}, {name: x-b, present_match: true, invert_match: true}]}}},
 limit: {unit: HOUR, quota: 1}, limit_overrides: [
 {request_match: {header_match: [{name: x-c, exact_match: "1"}]}, limit: {unit: HOUR, quota: 2}},
 {request_match: {header_match: [{name: x-d, is_exact_match_empty: true}]}, limit: {unit: HOUR, quota: 4}},
 {request_match: {header_match: [{name: x-a, regex_match: "p[0-9]+s"}]}, limit: {unit: HOUR, quota: 3}}]}]}`
	state := Translate(mustDecode(t, limiterObject(object.KindGlobalRateLimiter, fields)), spec.Identity{}, Options{})
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for request, want := range map[string]string{
		"a.example.com x-a=ps":            "1",
		"a.example.com x-a=pxs x-c=2":     "1",
		"a.example.com x-a=ps x-c=1":      "2",
		"a.example.com x-a=p7s x-c=1":     "2",
		"a.example.com x-a=p7s":           "3",
		"a.example.com x-a=ps x-d=":       "4",
		"a.example.com x-a=ps x-d=1":      "1",
		"example.com x-a=ps":              "",
		"a.example.org x-a=ps":            "",
		"a.example.com x-a=p":             "",
		"a.example.com x-a=ps x-b=1":      "",
		"a.example.com x-a=p7s x-c=1 x-b": "",
	} {
		fields := strings.Fields(request)
		r := httptest.NewRequest("POST", "http://"+fields[0]+"/", nil)
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			r.Header.Set(name, value)
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
		var got []string
		for _, d := range state.Limits {
			copied := limit.Definition{}
			for _, set := range d.MatcherSetsRaw {
				one := make(caddy.ModuleMap)
				for k, v := range set {
					one[k] = append(json.RawMessage(nil), v...)
				}
				copied.MatcherSetsRaw = append(copied.MatcherSetsRaw, one)
			}
			loaded, err := ctx.LoadModule(&copied, "MatcherSetsRaw")
			if err != nil {
				t.Fatal(err)
			}
			var sets caddyhttp.MatcherSets
			if err := sets.FromInterface(loaded); err != nil {
				t.Fatal(err)
			}
			if ok, err := sets.AnyMatchWithError(r); err != nil {
				t.Fatal(err)
			} else if ok {
				got = append(got, string(d.Amounts[0].Amount))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is under %v, want %s", request, got, want)
		}
	}
}
