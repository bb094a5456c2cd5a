package observability_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// quiet are the alerts that the load does not bring about, and what of them must
// have data all the same. promtool's tests show that they fire.
var quiet = map[string]string{
	"LLMGatewayAbsent": `count(llm_ready)`,                                                              // asked for a time before
	"LLMCostSpike":     `currency:llm_cost:increase1h`,                                                  // compares with the days before
	"LLMGatewaySlow":   `histogram_quantile(0.99, sum by (le) (rate(llm_overhead_seconds_bucket[5m])))`, // depends on the machine
}

// elsewhere are the metrics that need more than there is here, and where they are
// tested. What uses them must be understood all the same.
var elsewhere = map[string]string{
	"llm_limit_admitted_total":      "integration/limits",
	"llm_limit_refused_total":       "integration/limits",
	"llm_limit_would_refuse_total":  "integration/limits",
	"llm_limit_usage_missing_total": "integration/limits",
	"llm_limit_spent_total":         "integration/limits",
	"llm_limit_reserved":            "integration/limits",
	"llm_limit_overrun_total":       "integration/limits",
	"llm_limit_leased":              "integration/limits",
	"llm_limit_used_ratio":          "integration/limits",
	"llm_limit_store_errors_total":  "integration/limits",
	"llm_limit_store_down":          "integration/limits",

	"llm_injection_pods_total":                           "integration/kubernetes/injection",
	"llm_injection_certificate_expiry_timestamp_seconds": "integration/kubernetes/injection",
}

// needsMore reports whether an expression has such a metric.
func needsMore(expr string) bool {
	return slices.ContainsFunc(metricsIn(expr), func(name string) bool { return elsewhere[name] != "" })
}

// check is something that must be so in the end.
type check struct {
	name string
	ask  func() error
}

// TestQueriesHaveData runs every query of the dashboard and every rule against a
// Prometheus that scrapes gateways under mixed load, with all that can go wrong.
func TestQueriesHaveData(t *testing.T) {
	tool(t, "prometheus")
	began := time.Now()
	s := newScene(t)
	p := startPrometheus(t, scrapeConfig(t, s.jobs))
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		s.loading.Wait()
	}()
	s.load(ctx)

	checks := append(dashboardChecks(t, p, readDashboard(t), began), ruleChecks(t, p, began)...)
	for _, name := range documentedMetrics(t) {
		if elsewhere[name] != "" || unshown[name] == noRow || unshown[name] == onStatusPage {
			continue // what nobody has configured has no data
		}
		checks = append(checks, check{"metric " + name, func() error {
			names, err := p.values("__name__", fmt.Sprintf(`{__name__=~"%s(_count)?"}`, name))
			return some(len(names), err)
		}})
	}
	// What happens once has to be there for a while before it is replaced by what
	// comes next.
	s.good.WaitCount(1, patience)
	if err := s.spoil(); err == nil {
		t.Error("a configuration that is wrong was not refused")
	}
	s.leave()
	waitFor(t, patience, []check{firing(p, "LLMGatewayNotReady"), firing(p, "LLMFirstTokenSlow")})
	s.leaving.Kill()
	s.change()
	waitFor(t, 2*patience, checks)
	t.Logf("all queries had data after %v", time.Since(began).Round(time.Second))
}

// scrapeConfig is the example's configuration with these targets, and faster.
func scrapeConfig(t *testing.T, jobs map[string][]int) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(example, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs(filepath.Join(example, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(data), "scrape_configs:\n")
	if !found {
		t.Fatalf("the example scrapes nothing:\n%s", data)
	}
	config := strings.NewReplacer("15s", "1s", "rules.yaml", rules).Replace(head) + "scrape_configs:\n"
	for _, job := range slices.Sorted(maps.Keys(jobs)) {
		config += "- job_name: " + job + "\n  static_configs:\n"
		for _, port := range jobs[job] {
			config += fmt.Sprintf("  - targets: [\"localhost:%d\"]\n", port)
		}
	}
	return config
}

// asker makes questions of expressions with variables.
type asker struct {
	prometheus *prometheus
	began      time.Time
	all        map[string]string // the values of variables that stand for all
}

// chosen are values as Grafana writes those that a user has chosen, one or
// several.
var chosen = map[string]string{"job": "llm-gateway", "namespace": "default", "workload": "shop", "provider": "(good|tired)", "model": "(small|tired-1)", "rule": "(all|chain)"}

// ask returns what asks for data of an expression, now or since the beginning.
func (a *asker) ask(expr string, instant bool, values map[string]string) func() error {
	expr = fill(expr, values)
	return func() error {
		if instant {
			return data(a.prometheus.instant(expr, time.Now()))
		}
		return data(a.prometheus.between(expr, a.began, time.Now()))
	}
}

// dashboardChecks are that all queries of the dashboard have data.
func dashboardChecks(t *testing.T, p *prometheus, d *dashboard, began time.Time) (out []check) {
	a := &asker{p, began, make(map[string]string)}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			a.all[v.Name] = v.AllValue
			out = append(out, a.variable(t, v))
		}
	}
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			name := fmt.Sprintf("panel %s, query %s", panel.Title, q.RefID)
			if !needsMore(q.Expr) {
				out = append(out, check{name, a.ask(q.Expr, q.Instant, a.all)})
			}
			out = append(out, check{name + ", with values chosen", understood(a.ask(q.Expr, q.Instant, chosen))})
		}
	}
	for _, title := range []string{"Requests by provider", "Requests by workload", "Tokens by workload", "Cost in the time shown", "Fallbacks", "Overhead of the gateway"} {
		i := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == title })
		if i < 0 {
			t.Errorf("there is no panel %s", title)
			continue
		}
		out = append(out, a.choice(&d.Panels[i])...)
	}
	for _, annotation := range d.Annotations.List {
		if annotation.Expr != "" {
			out = append(out, check{"annotation " + annotation.Name, a.ask(annotation.Expr, false, a.all)})
		}
	}
	return out
}

// understood is that a question can be asked, whether or not there is data.
func understood(ask func() error) func() error {
	return func() error {
		if err := ask(); !errors.Is(err, errNoData) {
			return err
		}
		return nil
	}
}

// variable is that a variable of the dashboard has values.
func (a *asker) variable(t *testing.T, v variable) check {
	query, _ := v.Query.(map[string]any)
	text, _ := query["query"].(string)
	inner, is := strings.CutPrefix(text, "label_values(")
	comma := strings.LastIndex(inner, ", ")
	if !is || comma < 0 {
		t.Fatalf("variable %s: the query %q is not label_values(SELECTOR, LABEL)", v.Name, text)
	}
	selector, label := fill(inner[:comma], a.all), strings.TrimSuffix(inner[comma+2:], ")")
	return check{"variable " + v.Name, func() error {
		values, err := a.prometheus.values(label, selector)
		return some(len(values), err)
	}}
}

// choice is that a panel shows the values that were chosen, and none of others.
func (a *asker) choice(p *panel) []check {
	q, nobody := p.Targets[0], maps.Clone(chosen)
	nobody["workload"] = "nobody"
	none := a.ask(q.Expr, q.Instant, nobody)
	return []check{
		{"panel " + p.Title + ", data with values chosen", a.ask(q.Expr, q.Instant, chosen)},
		{"panel " + p.Title + ", of a workload that there is not", func() error {
			if err := none(); !errors.Is(err, errNoData) {
				return errors.Join(errors.New("there is data, or another error"), err)
			}
			return nil
		}},
	}
}

// ruleChecks are those of rules.yaml: what is recorded has data, and alerts fire, or
// wait for their time.
func ruleChecks(t *testing.T, p *prometheus, began time.Time) (out []check) {
	for _, r := range readRules(t) {
		switch expr, isQuiet := quiet[r.Alert]; {
		case r.Record != "":
			out = append(out, check{"record " + r.Record, func() error {
				return data(p.instant(r.Record, time.Now()))
			}})
		case isQuiet:
			out = append(out, check{"data of " + r.Alert, func() error {
				return data(p.between(expr, began, time.Now()))
			}})
		case needsMore(r.Expr): // that it is understood, its health tells
		default:
			out = append(out, firing(p, r.Alert))
		}
		if r.Alert == "LLMGatewayAbsent" {
			out = append(out, check{"alert " + r.Alert + ", an hour ago", func() error {
				return data(p.instant(r.Expr, began.Add(-time.Hour)))
			}})
		}
	}
	return append(out, check{"rules", func() error {
		var answer struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := p.ask("/api/v1/rules", nil, &answer); err != nil {
			return err
		}
		n := 0
		for _, g := range answer.Groups {
			for _, r := range g.Rules {
				if n++; r.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if want := len(readRules(t)); n != want {
			return fmt.Errorf("Prometheus has %d rules, want %d", n, want)
		}
		return nil
	}})
}

// firing holds that an alert fires, or waits for its time.
func firing(p *prometheus, alert string) check {
	return check{"alert " + alert, func() error {
		return data(p.instant(fmt.Sprintf("last_over_time(ALERTS{alertname=%q}[1h])", alert), time.Now()))
	}}
}

// fill replaces variables as Grafana does. Its own have the values of a dashboard
// that shows little, at a Prometheus that scrapes each second.
func fill(expr string, values map[string]string) string {
	pairs := []string{"$__rate_interval", "4s", "$__interval", "1s", "$__range", "600s"}
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value, "$"+name, value)
	}
	return strings.NewReplacer(pairs...).Replace(expr)
}

var errNoData = errors.New("no data")

// data reports whether a result has a number.
func data(result []series, err error) error {
	if err != nil {
		return err
	}
	for _, s := range result {
		if len(s.numbers()) > 0 {
			return nil
		}
	}
	return errNoData
}

func some(n int, err error) error {
	if err == nil && n == 0 {
		err = errNoData
	}
	return err
}

// waitFor waits until all checks have been met, in any order.
func waitFor(t *testing.T, limit time.Duration, checks []check) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Second) {
		var why []string
		checks = slices.DeleteFunc(slices.Clone(checks), func(c check) bool {
			err := c.ask()
			if err != nil {
				why = append(why, c.name+": "+err.Error())
			}
			return err == nil
		})
		if len(checks) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v:\n%s", limit, strings.Join(why, "\n"))
		}
	}
}
