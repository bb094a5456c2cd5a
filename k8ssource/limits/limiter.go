package limits

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/matcher"
)

// limiterBuilder turns an ASMLocalRateLimiter or an ASMGlobalRateLimiter into limits of
// requests, and collects what is wrong with it.
type limiterBuilder struct {
	t      *Translation
	object *object.RateLimiter
	kind   string
	out    []*limit.Definition
	faults []object.Fault
}

// AddLimiters adds the limits of the rate limiters that select the workload.
func (t *Translation) AddLimiters(kind string, items []*object.Item[object.RateLimiter]) {
	for _, item := range slices.SortedFunc(slices.Values(items), func(a, b *object.Item[object.RateLimiter]) int {
		return strings.Compare(object.Key(&a.Object), object.Key(&b.Object))
	}) {
		if !t.limits(&item.Object) {
			continue
		}
		b := &limiterBuilder{t: t, object: &item.Object, kind: kind}
		b.build()
		faults := slices.Concat(item.Faults, b.faults)
		if object.Refusal(item.Faults) != "" {
			faults = item.Faults
		}
		t.useLimits(object.OriginOf(kind, item), kind+" "+object.Key(&item.Object), faults, b.out)
	}
}

// limits reports whether a rate limiter is for the workload.
func (t *Translation) limits(l *object.RateLimiter) bool {
	labels := l.Spec.WorkloadSelector.Labels
	return !t.Workload.Known || t.Workload.MaySelect(l.Namespace) && object.HasLabels(t.Workload.Identity.Labels, labels)
}

func (b *limiterBuilder) fault(format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(object.ReasonInvalidField, format, args...))
}

// unused reports a field that has no meaning here.
func (b *limiterBuilder) unused(set bool, format string, args ...any) {
	if set {
		b.faults = append(b.faults, *object.Warningf(object.ReasonUnsupportedField, format, args...))
	}
}

func (b *limiterBuilder) build() {
	spec := &b.object.Spec
	if len(b.object.Name) > object.MaxLimiterName {
		b.fault("metadata.name: "+object.TooLong, object.MaxLimiterName)
	}
	if len(spec.Configs) > object.MaxLimitNames {
		b.fault("spec.configs: "+object.TooMany, object.MaxLimitNames)
		return
	}
	if len(spec.Configs) == 0 {
		b.fault("spec.configs: there are none, so nothing is limited; write at least one with a limit")
	}
	if !spec.IsGateway && strings.EqualFold(spec.ApplyToTraffic, "sidecar_inbound") {
		b.fault("spec.applyToTraffic: the gateway sees only what leaves a workload; write sidecar_outbound")
	}
	b.unused(spec.RateLimitService != nil, "spec.rateLimitService: not used, since the gateway counts by itself; to count over several gateways, name a store in its configuration, such as limits { store redis redis://HOST:6379 } or store envoy")
	for i := range spec.Configs {
		b.config(i, &spec.Configs[i])
	}
}

// config adds the limits of a config: each override is one, for the requests that it is
// the first to match, and the config's own is for the rest.
func (b *limiterBuilder) config(i int, c *object.LimiterConfig) {
	path := fmt.Sprintf("spec.configs[%d]", i)
	vhost := &c.Match.VHost
	b.unused(vhost.Port != "", "%s.match.vhost.port: not used; the limit is about all ports of the host", path)
	hosts := b.hosts(path, c)
	base, not := b.headers(path+".match.vhost.route", &vhost.Route)
	add := func(name, path string, l *object.LimiterLimit, not []caddy.ModuleMap) {
		d := &limit.Definition{Name: Name(b.object.Namespace, b.object.Name) + "." + name, Scope: &limit.Scope{AnyGateway: b.object.Spec.IsGateway, Sidecars: !b.object.Spec.IsGateway, Local: b.kind == object.KindLocalRateLimiter}}
		if vhost.Route.NameMatch != "" {
			d.Rules = []string{vhost.Route.NameMatch}
		}
		d.MatcherSetsRaw = matcherSets(hosts, base, not)
		if a, ok := b.amount(path, l); ok {
			d.Amounts = []limit.Amount{a}
			b.out = append(b.out, d)
		}
	}
	id := map[string]string{object.KindLocalRateLimiter: "local-", object.KindGlobalRateLimiter: "global-"}[b.kind] + strconv.Itoa(i)
	for j := range c.LimitOverrides {
		o, path := &c.LimitOverrides[j], fmt.Sprintf("%s.limit_overrides[%d]", path, j)
		if len(o.RequestMatch.HeaderMatch) == 0 {
			b.fault("%s.request_match: there is no header_match, so it would match everything; write one", path)
			continue
		}
		values, inverted := b.headers(path+".request_match", &o.RequestMatch)
		set := matcherSets(nil, values, inverted)[0]
		add(id+"-"+strconv.Itoa(j), path+".limit", &o.Limit, append(slices.Clone(not), noneOf(set)))
		not = append(slices.Clone(not), set)
	}
	add(id, path+".limit", &c.Limit, not)
}

// hosts are those that the config is about, none for all.
func (b *limiterBuilder) hosts(path string, c *object.LimiterConfig) []matcher.HeaderValue {
	var out []matcher.HeaderValue
	exact := func(host string) {
		host = object.CanonicalHost(host)
		out = append(out, matcher.HeaderValue{Exact: &host})
	}
	switch name := object.WithoutPort(c.Match.VHost.Name); {
	case name == "" || name == "*":
	case object.CheckRouteHost(name) != "":
		b.fault("%s.match.vhost.name: this is not a host; write a DNS name, *.suffix or \"*\"", path)
	case strings.HasPrefix(name, "*."):
		pattern := ".+" + regexp.QuoteMeta(object.CanonicalHost(name)[1:])
		out = append(out, matcher.HeaderValue{Regex: &pattern})
	default:
		exact(name)
	}
	for i, s := range c.TargetServices {
		namespace := s.Namespace
		if namespace == "" {
			namespace = b.object.Namespace
		}
		name := strings.Split(s.Name, ".")
		if len(name) > 1 {
			namespace = name[1]
		}
		b.unused(s.Port != "", "%s.target_services[%d].port: not used; the limit is about all ports of the Service", path, i)
		if !object.IsNamespace(name[0]) || !object.IsNamespace(namespace) {
			b.fault("%s.target_services[%d].name: this is not the name of a Service", path, i)
			continue
		}
		full := name[0] + "." + namespace
		for _, host := range []string{full, full + ".svc", full + object.ClusterSuffix} {
			exact(host)
		}
		if b.t.Workload.IsHome(namespace) {
			exact(name[0])
		}
	}
	return out
}

// headers are what a route's headers must be, and what none of them may be.
func (b *limiterBuilder) headers(path string, route *object.LimiterRoute) (values map[string]matcher.HeaderValue, not []caddy.ModuleMap) {
	values = make(map[string]matcher.HeaderValue)
	if route.QueryMatch != nil {
		b.fault("%s.query_match: queries are not matched; write header_match", path)
	}
	if route.RemoteAddress != nil {
		b.fault("%s.remote_address: addresses are not matched; write header_match", path)
	}
	for i, h := range route.HeaderMatch {
		path := fmt.Sprintf("%s.header_match[%d]", path, i)
		name := strings.ToLower(h.Name)
		if !object.IsHeaderName(name) {
			b.fault("%s.name: this is not the name of a header; pseudo-headers such as :path are not matched", path)
			continue
		}
		if h.IsExactMatchEmpty && h.ExactMatch == nil {
			h.ExactMatch = new(string)
		}
		value := matcher.HeaderValue{Exact: h.ExactMatch, Prefix: h.PrefixMatch, Regex: h.RegexMatch}
		set := 0
		for _, field := range []*string{h.ExactMatch, h.PrefixMatch, h.RegexMatch, h.SuffixMatch} {
			if field != nil {
				set++
			}
		}
		if h.SuffixMatch != nil {
			pattern := "(?s).*" + regexp.QuoteMeta(*h.SuffixMatch)
			value.Regex = &pattern
		}
		value.Present = set == 0
		if set > 1 {
			b.fault("%s: more than one match is set; keep one of them", path)
			continue
		}
		if h.RegexMatch != nil {
			if _, err := matcher.CompileFullMatch(*h.RegexMatch, name == "host"); err != nil || len(*h.RegexMatch) > object.MaxRegex {
				b.fault("%s.regex_match: this is not an expression of RE2 of at most %d bytes", path, object.MaxRegex)
				continue
			}
		}
		b.faults = append(b.faults, (&header.Matched{Path: path + ".name", Name: name}).UnlessExpected()...)
		one := map[string]matcher.HeaderValue{name: value}
		_, twice := values[name]
		switch {
		case h.InvertMatch:
			not = append(not, headersAre(one))
		case twice: // which one matcher cannot say
			not = append(not, noneOf(headersAre(one)))
		default:
			values[name] = value
		}
	}
	return values, not
}

// headersAre matches requests with all of the headers.
func headersAre(values map[string]matcher.HeaderValue) caddy.ModuleMap {
	return caddy.ModuleMap{"llm_header": caddyconfig.JSON(values, nil)}
}

// noneOf matches requests that none of the sets matches.
func noneOf(sets ...caddy.ModuleMap) caddy.ModuleMap {
	return caddy.ModuleMap{"not": caddyconfig.JSON(sets, nil)}
}

// matcherSets are those of requests to one of the hosts, if there are any, with all of the
// headers and nothing of what is not to match. There is none if everything matches.
func matcherSets(hosts []matcher.HeaderValue, values map[string]matcher.HeaderValue, not []caddy.ModuleMap) []caddy.ModuleMap {
	if len(hosts) == 0 && len(values) == 0 && len(not) == 0 {
		return nil
	}
	set := make(caddy.ModuleMap)
	if len(values) > 0 {
		set = headersAre(values)
	}
	if len(not) > 0 {
		maps.Copy(set, noneOf(not...))
	}
	if len(hosts) == 0 {
		return []caddy.ModuleMap{set}
	}
	var out []caddy.ModuleMap
	for _, host := range hosts {
		at := noneOf(append(slices.Clone(not), noneOf(headersAre(map[string]matcher.HeaderValue{"host": host})))...)
		if len(values) > 0 {
			at["llm_header"] = set["llm_header"]
		}
		out = append(out, at)
	}
	return out
}

// units are those of an ASMGlobalRateLimiter, with the windows that they are.
var units = map[string]string{"SECOND": "1s", "MINUTE": "1m", "HOUR": "hour", "DAY": "day", "WEEK": "week", "MONTH": "month", "YEAR": "year"}

// amount is how many requests a limit lets through.
func (b *limiterBuilder) amount(path string, l *object.LimiterLimit) (a limit.Amount, ok bool) {
	b.unused(l.PerDownstreamConnection != nil && l.PerDownstreamConnection != false, "%s.per_downstream_connection: not used; all connections have one counter", path)
	b.unused(l.CustomResponseBody != nil, "%s.custom_response_body: not used; refusals are in the API that the client speaks", path)
	b.unused(l.ResponseHeaderToAdd != nil || l.ResponseHeadersToAdd != nil, "%s.response_headers_to_add: not used; the headers say where the limit stands", path)
	b.unused(l.Status != nil && l.Status != float64(429), "%s.status: not used; refusals have the status 429, which clients know how to deal with", path)
	if l.Quota == nil || *l.Quota < 1 || *l.Quota > object.MaxQuota {
		b.fault("%s.quota: a quota is required; write a number of requests from 1 to %d", path, object.MaxQuota)
		return a, false
	}
	a = limit.Amount{Unit: limit.UnitRequests, Amount: json.Number(strconv.FormatInt(*l.Quota, 10))}
	if b.kind == object.KindGlobalRateLimiter {
		if a.Window, ok = units[strings.ToUpper(l.Unit)]; !ok {
			b.fault("%s.unit: there is no such unit; write SECOND, MINUTE, HOUR, DAY, WEEK, MONTH or YEAR", path)
		}
		return a, ok
	}
	every := time.Duration(l.FillInterval.Nanos)
	if l.FillInterval.Seconds >= 0 && l.FillInterval.Seconds <= int64(object.MaxInterval/time.Second) && every >= 0 && every < time.Second {
		every += time.Duration(l.FillInterval.Seconds) * time.Second
	} else {
		every = 0
	}
	if every < time.Millisecond || every > object.MaxInterval {
		b.fault("%s.fill_interval: an interval is required; write seconds and nanos, from a millisecond to %d seconds", path, object.MaxInterval/time.Second)
		return a, false
	}
	a.Burst = a.Amount
	if every < time.Second { // the shortest window there is: as many in it
		a.Amount, every = json.Number(strconv.FormatInt(*l.Quota*int64(time.Second)/int64(every), 10)), time.Second
	}
	a.Window = every.String()
	return a, true
}
