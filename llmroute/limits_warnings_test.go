package llmroute

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestWarningsOfLimits holds which limits are reported at the start since they cannot work as they are written, and
// that CheckLimits reports the same.
func TestWarningsOfLimits(t *testing.T) {
	u := newUpstream(t, answers("x"))
	keys := writeKeys(t, keyLine("alice", aliceKey))
	const (
		countsBy = "limit counts by what no authentication supplies"
		noModel  = "limit names a model that no request is sent with"
		noPrice  = "limit of cost has no price for a model"
		byKeys   = `llm_keys {"file":%q}`
		byTokens = `llm_authz {"jwt":[{"issuer":"i","jwks_uri":"http://127.0.0.1:1/keys"}]}`
		byName   = `llm_authz {"policies":[{"name":"a","action":"ALLOW"}]}`
		fixed    = `"config":{"model":"m-1"}`
		cost     = `"amounts":[{"unit":"cost","amount":1,"window":"day"}]`
		count    = `"concurrent":1`
	)
	for _, test := range []struct {
		limit, provider, rule, handlers, app string
		want                                 []string
	}{
		{limit: `"key":["client"],` + count, want: []string{countsBy + " client"}},
		{limit: `"key":["client","claim team","claim a.b"],` + count, handlers: fmt.Sprintf(byKeys, keys), want: []string{countsBy + " claim a.b", countsBy + " claim team"}},
		{limit: `"key":["client","claim team"],` + count, handlers: byTokens},
		{limit: `"key":["client"],` + count, handlers: byName, want: []string{countsBy + " client"}},
		{limit: `"key":["client"],` + count, app: fmt.Sprintf(`,"keys":{"file":%q}`, keys)},
		{limit: `"key":["ip","header A","provider","model","rule"],` + count},
		{limit: `"key":["workload","namespace"],` + count, want: []string{"limit counts by what the gateway does not know namespace", "limit counts by what the gateway does not know workload"}},
		{limit: `"key":["workload"],` + count, app: `,"identity":{"workload":"w"}`},
		{limit: `"models":["n*"],"rules":["nowhere"],` + count, provider: fixed, want: []string{"limit names a rule that does not exist nowhere"}},
		{limit: `"rules":["here","nowhere"],` + count, want: []string{"limit names a rule that does not exist nowhere"}},
		{limit: `"models":["m-*","m-1","n*"],` + count, provider: fixed, want: []string{noModel + " n*"}},
		{limit: `"models":["m-1","m-2"],` + count, provider: fixed, rule: `"model":"m-2"`, want: []string{noModel + " m-1"}},
		{limit: `"models":["n*"],` + count},
		{limit: `"models":["n*"],"providers":["p"],` + count, provider: fixed, want: []string{noModel + " n*"}},
		{limit: `"models":["m1","n*","n1"],` + cost, app: "prices", want: []string{noPrice + " n1"}},
		{limit: `"models":["n1"],` + count, app: "prices"},
		{limit: `"models":["n*"],"providers":["p"],` + count, provider: fixed, rule: `"weight":1},{"provider":"q","weight":1`, want: []string{noModel + " n*"}},
		{limit: `"models":["n*"],` + count, provider: fixed, rule: `"weight":1},{"provider":"q","weight":1`},
		{limit: cost, app: "prices"},
		{limit: cost, app: "prices", provider: `"config":{"model":"n1"}`, want: []string{noPrice + " n1"}},
		{limit: cost, app: "prices", provider: fixed},
	} {
		app := limited(t, `{"name":"l",`+test.limit+`}`, "p", u.provider(test.provider), "q", u.provider(""))
		if test.app == "prices" {
			app = priced(t, app)
		} else {
			app = strings.TrimSuffix(app, "}") + test.app + "}"
		}
		ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"llm": json.RawMessage(app)}})
		if err != nil {
			t.Fatalf("%s: %v", test.limit, err)
		}
		rule := ""
		if test.rule != "" {
			rule = "," + test.rule
		}
		var unstarted []map[string]any
		handlers := []string{`llm_route {"rules":[{"name":"here","backends":[{"provider":"p"` + rule + `}]}]}`}
		if test.handlers != "" {
			handlers = append(handlers, test.handlers)
		}
		for _, h := range handlers {
			name, config, _ := strings.Cut(h, " ")
			if _, err := ctx.LoadModuleByID("http.handlers."+name, json.RawMessage(config)); err != nil {
				t.Fatalf("%s: %v", h, err)
			}
			handler := map[string]any{"handler": name}
			if err := json.Unmarshal([]byte(config), &handler); err != nil {
				t.Fatal(err)
			}
			unstarted = append(unstarted, handler)
		}
		module, err := ctx.App("llm")
		if err != nil {
			t.Fatal(err)
		}
		a := module.(*App)
		core, logged := observer.New(zap.WarnLevel)
		a.logger = zap.New(core)
		a.snapshot() // as Start does
		a.warnOfLimits(a.configured())
		if logged.Len() != len(test.want) {
			t.Errorf("%s: logged %d warnings, want each once: %d", test.limit, logged.Len(), len(test.want))
		}
		warned := slices.Sorted(maps.Keys(a.limitsWarned))
		var checked []string
		found, err := CheckLimits(json.RawMessage(app), unstarted)
		for _, w := range found {
			checked = append(checked, w.Message+" "+w.Limit+" "+w.Name)
		}
		if slices.Sort(checked); err != nil || !slices.Equal(checked, warned) {
			t.Errorf("%s: without a start, warnings %q, %v, want those of the start: %q", test.limit, checked, err, warned)
		}
		if len(warned) != len(test.want) {
			t.Errorf("%s with %s %s: warnings %q, want %q", test.limit, filepath.Base(test.handlers), test.provider, warned, test.want)
			continue
		}
		for i, want := range test.want {
			at := strings.LastIndex(want, " ")
			if strings.Contains(want, "claim ") {
				at = strings.LastIndex(want, " claim")
			}
			if !strings.HasPrefix(warned[i], want[:at]) || !strings.HasSuffix(warned[i], want[at:]) {
				t.Errorf("%s: warning %q, want %q", test.limit, warned[i], want)
			}
		}
	}
}

// TestCheckLimits holds what is not looked at, and with which faults limits cannot be checked.
func TestCheckLimits(t *testing.T) {
	const rules = `"limits":[{"name":"l","rules":["nowhere"],"concurrent":1}]`
	for _, test := range []struct {
		app, handler string
		warnings     int
		fails        string
	}{
		{app: `{}`},
		{app: `{"limits":{` + rules + `}}`, warnings: 1},
		{app: `{"limits":{` + rules + `},"source":{"source":"files"}}`},
		{app: `{"limits":{"store":{"store":"none"},` + rules + `},"guards":{"g":{"none":1}},"keys":{"file":"none"}}`, warnings: 1},
		{app: `{"limits":{` + rules + `}}`, handler: `{"handler":"llm_route","rules":[{"name":"nowhere","guards":["g"],"match":[{"none":{}}]}]}`},
		{app: `{"limits":{` + rules + `}}`, handler: `{"handler":"llm_route","rules":[{"name":"here"},{}]}`, warnings: 1},
		{app: `{"limits":{` + rules + `},"routes":{"t":[{"hosts":["*"],"rules":[{"name":"nowhere"}]}]}}`},
		{app: `{"limits":{` + rules + `}}`, handler: `{"handler":"llm_route","rules":1}`, fails: "reading llm_route"},
		{app: `{"limits":{` + rules + `},"routes":1}`, fails: "cannot unmarshal number"},
		{app: `{"limits":{"limits":[{"name":"l","amounts":[{"unit":"cost","amount":1,"window":"day"}]}]}}`, fails: "the gateway knows no prices"},
		{app: `{"limits":{"limits":[{"name":"l","providers":["p"],"concurrent":1}]}}`, fails: "there is no provider \"p\""},
	} {
		var handlers []map[string]any
		if test.handler != "" {
			handler := make(map[string]any)
			if err := json.Unmarshal([]byte(test.handler), &handler); err != nil {
				t.Fatal(err)
			}
			handlers = append(handlers, handler)
		}
		got, err := CheckLimits(json.RawMessage(test.app), handlers)
		if len(got) > 0 && slices.Contains(got[0].Known, "") {
			t.Errorf("%s with %s: of rules that exist, it names %q", test.app, test.handler, got[0].Known)
		}
		if len(got) != test.warnings || (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%s with %s: %v, %v", test.app, test.handler, got, err)
		}
	}
}
