// Package observability_test holds examples/observability to real things: the
// dashboard's queries and the rules are asked of Prometheus, which scrapes the
// built gateway under load.
package observability_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds each wait; it is long because machines may be busy.
const patience = 2 * time.Minute

const (
	root    = "../.."
	example = root + "/examples/observability"
)

// dashboard is what is read of Grafana's model.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
	Annotations   struct {
		List []struct{ Name, Expr string }
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               datasource
	FieldConfig              struct {
		Defaults struct{ Unit string }
	}
	Targets []struct {
		RefID, Expr    string
		Instant, Range bool
		Datasource     datasource
	}
}

type datasource struct{ Type, UID string }

type variable struct {
	Name, Type, Label, Description string
	AllValue                       string
	Query                          any // a text, or an object with one
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(example, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	d := new(dashboard)
	if err := json.Unmarshal(data, d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	return d
}

// TestDashboardIsWhole holds what Grafana does not complain of, and users do.
func TestDashboardIsWhole(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 38 {
		t.Errorf("uid %q, title %q, schemaVersion %d", d.UID, d.Title, d.SchemaVersion)
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	taken := map[[2]int]string{} // cells of the grid
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
		}
		if titles[p.Title] || p.Title == "" {
			t.Errorf("there are two panels %q", p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s: is at %+v, outside of 24 columns", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("%s and %s overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%s: description %q, unit %q, %d queries; all are needed", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.RefID] || q.RefID == "" || q.Instant == q.Range {
				t.Errorf("%s: query %q: its name must be its own, and it must be an instant or a range query", p.Title, q.RefID)
			}
			refs[q.RefID] = true
			if from := (datasource{"prometheus", "${datasource}"}); q.Datasource != from || p.Datasource != from {
				t.Errorf("%s: the data source is %v and %v, want %v", p.Title, p.Datasource, q.Datasource, from)
			}
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Label == "" || v.Description == "" || v.Type == "query" && v.AllValue != ".*" { // an empty label must be among all
			t.Errorf("variable %s: label %q, description %q, value of All %q", v.Name, v.Label, v.Description, v.AllValue)
		}
	}
	if want := []string{"datasource", "job", "namespace", "workload", "provider", "model", "rule"}; !slices.Equal(names, want) {
		t.Errorf("the variables are %v, want %v", names, want)
	}
}

const (
	noRow        = "depends on what a gateway is for; there is no row for it yet"
	onStatusPage = "the status page shows it; there is no row for it yet"
)

// unshown are the metrics that the dashboard has not, and why.
var unshown = map[string]string{
	"llm_build_info": "versions are for inventories and to join with, not to watch",

	"llm_translated_total":           noRow,
	"llm_translation_loss_total":     noRow,
	"llm_service_requests_total":     noRow,
	"llm_pool_choices_total":         onStatusPage,
	"llm_pool_retries_total":         onStatusPage,
	"llm_pool_picker_failures_total": onStatusPage,
	"llm_pool_scrapes_total":         onStatusPage,
	"llm_pool_endpoint_in_flight":    onStatusPage,
}

var documented = regexp.MustCompile("(?m)^\\| `((?:asm|llm|gen_ai)_\\w+)` \\| (?:counter|gauge|histogram) \\|")

// documentedMetrics are those of the documentation's table, which is held to the
// code.
func documentedMetrics(t *testing.T) (out []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "caddyfile/docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range documented.FindAllStringSubmatch(string(data), -1) {
		out = append(out, m[1])
	}
	if len(out) < 20 {
		t.Fatalf("the documentation has only the metrics %v", out)
	}
	return out
}

// TestEachMetricIsShown holds that a new metric gets its place in the dashboard,
// or a reason why not; and that the dashboard and the rules name no other.
func TestEachMetricIsShown(t *testing.T) {
	known := documentedMetrics(t)
	shown := map[string]bool{}
	note := func(where, expr string, shows bool) {
		for _, name := range metricsIn(expr) {
			base := name
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if cut, is := strings.CutSuffix(name, suffix); is && slices.Contains(known, cut) {
					base = cut
				}
			}
			shown[base] = shown[base] || shows
			ours := strings.HasPrefix(base, "llm_") || strings.HasPrefix(base, "asm_") || strings.HasPrefix(base, "gen_ai_")
			if ours && !slices.Contains(known, base) {
				t.Errorf("%s: the metric %s is not documented", where, name)
			}
		}
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			note(p.Title, q.Expr, true)
		}
	}
	for _, a := range d.Annotations.List {
		note(a.Name, a.Expr, true)
	}
	for _, r := range readRules(t) {
		note(r.name(), r.Expr, false)
	}
	for _, name := range known {
		if reason, is := unshown[name]; is == shown[name] {
			t.Errorf("the metric %s: in the dashboard: %v; reason why it is not: %q", name, shown[name], reason)
		}
	}
}

var (
	notMetrics = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|group_left|without|ignoring)\s*\([^)]*\)`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\b(?:\s*\()?`)
	keywords   = []string{"and", "or", "unless", "offset", "by", "on", "bool"}
)

// metricsIn are the names of metrics in an expression.
func metricsIn(expr string) (out []string) {
	strings := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	bare := notMetrics.ReplaceAllString(strings.ReplaceAllString(expr, `""`), " ")
	for _, name := range identifier.FindAllString(bare, -1) {
		if name[len(name)-1] != '(' && !slices.Contains(keywords, name) && !regexp.MustCompile(`^\d*[smhd]$`).MatchString(name) {
			out = append(out, name)
		}
	}
	return out
}

func TestMetricsAreFoundInExpressions(t *testing.T) {
	for expr, want := range map[string]string{
		`sum by (a, b) (rate(llm_x_total{a="b{c", d!~"|e"}[5m])) > 0.05`:                           "[llm_x_total]",
		`up == 0 and on (job, instance) last_over_time(llm_ready[1h])`:                             "[up llm_ready]",
		`a:b:rate5m > 3 * avg_over_time(c:d[1d] offset 1h)`:                                        "[a:b:rate5m c:d]",
		`x * on (a) group_left (b) y / label_replace(z[1m], "p", "$1", "q", "(.+)")`:               "[x y z]",
		`time() - llm_t{job=~"$job"} and on (job) llm_workload_info{llmproxy_source_workload="w"}`: "[llm_t llm_workload_info]",
	} {
		if got := fmt.Sprint(metricsIn(expr)); got != want {
			t.Errorf("%s: got %s, want %s", expr, got, want)
		}
	}
}
