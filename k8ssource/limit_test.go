package k8ssource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// limitObject is an LLMLimit of the namespace team.
func limitObject(name, spec string) string {
	return fmt.Sprintf("apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMLimit\nmetadata: {name: %s, namespace: team}\nspec: {%s}\n---\n", name, spec)
}

const oneADay = "amounts: [{unit: requests, amount: 1, window: day}]"

// said are the findings, a line each.
func said(state *spec.State) string {
	var lines []string
	for _, f := range state.Findings {
		lines = append(lines, fmt.Sprintf("%s %s used=%t: %s", f.Object, f.Reason, f.Used, f.Message))
	}
	return strings.Join(lines, "\n")
}

// TestLimitsAreOfTheRootNamespace holds that a limit without targets is about its
// namespace's routes, and in the root namespace about everything.
func TestLimitsAreOfTheRootNamespace(t *testing.T) {
	objects := mustDecode(t, limitObject("a", oneADay))
	for root, want := range map[string]limit.Scope{"": {Namespace: "team"}, "platform": {Namespace: "team"}, "team": {Everything: true}} {
		state := Translate(objects, spec.Identity{}, Options{RootNamespace: root})
		if got := *state.Limits[0].Scope; !reflect.DeepEqual(got, want) || state.Limits[0].Name != "team.a" {
			t.Errorf("with the root namespace %q: %+v, want %+v", root, got, want)
		}
	}
}

// TestLimitsHoldThroughInvalidChanges holds that an invalid change of a limit frees nobody.
func TestLimitsHoldThroughInvalidChanges(t *testing.T) {
	var tr Translator
	translate := func(text string) *spec.State {
		return tr.Translate(mustDecode(t, text), spec.Identity{}, Options{})
	}
	good := translate(limitObject("a", oneADay))
	for _, bad := range []string{"concurrent: -1", "nonsense: 1", oneADay + ", estimate: x"} {
		state := translate(limitObject("a", bad))
		if len(state.Limits) != 1 || !reflect.DeepEqual(state.Limits[0], good.Limits[0]) || !strings.Contains(said(state), "the limit holds as it was before") {
			t.Errorf("%s: the limits are %v\n%s", bad, state.Limits, said(state))
		}
	}
	if state := translate("---\n"); len(state.Limits) != 0 {
		t.Errorf("a limit that was deleted holds: %v", state.Limits[0])
	}
	if state := translate(limitObject("a", "concurrent: -1")); len(state.Limits) != 0 || strings.Contains(said(state), "holds") {
		t.Errorf("a limit that was never valid holds: %s", said(state))
	}
	if state := translate(limitObject("a", "concurrent: 5")); len(state.Limits) != 1 || state.Limits[0].Concurrent != 5 || len(state.Findings) != 0 {
		t.Errorf("the valid limit: %v\n%s", state.Limits, said(state))
	}
}

// TestLimitsAndTheConfiguration holds what limits are told of the configuration.
func TestLimitsAndTheConfiguration(t *testing.T) {
	const cost = "amounts: [{unit: cost, amount: 5, window: month}]"
	for name, test := range map[string]struct {
		spec       string
		configured *spec.LimitsConfig
		want       string
		limits     int
	}{
		"unknown":         {cost, nil, "", 1},
		"prices":          {cost, &spec.LimitsConfig{Prices: true, Names: []string{"a", "other.a"}}, "", 1},
		"no prices":       {cost, &spec.LimitsConfig{}, "LLMLimit team/a NoPrices used=true: spec.amounts", 1},
		"none are needed": {oneADay, &spec.LimitsConfig{}, "", 1},
		"same name":       {oneADay, &spec.LimitsConfig{Names: []string{"team.a"}}, "LLMLimit team/a Conflict used=false: metadata.name", 0},
		"another store": {oneADay, &spec.LimitsConfig{Holds: func(l []*limit.Definition) error {
			return fmt.Errorf("limit %s: store x cannot hold it", l[0].Name)
		}}, "LLMLimit team/a InvalidField used=false: spec: limit team.a: store x cannot hold it", 0},
	} {
		state := Translate(mustDecode(t, limitObject("a", test.spec)), spec.Identity{}, Options{Configured: test.configured})
		if got := said(state); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" || len(state.Limits) != test.limits {
			t.Errorf("%s: %d limits, %s", name, len(state.Limits), got)
		}
	}
}

// TestLimitsOfOneName holds that a name is one object's.
func TestLimitsOfOneName(t *testing.T) {
	limiter := "apiVersion: istio.alibabacloud.com/v1beta1\nkind: ASMLocalRateLimiter\nmetadata: {name: a, namespace: team}\nspec: {isGateway: true, configs: [{match: {vhost: {name: a.example}}, limit: {quota: 5, fill_interval: {seconds: 60}}}]}\n---\n"
	alone := Translate(mustDecode(t, limiter), spec.Identity{}, Options{})
	if len(alone.Limits) != 1 {
		t.Fatal(said(alone))
	}
	name := strings.TrimPrefix(alone.Limits[0].Name, "team.")
	both := Translate(mustDecode(t, limiter+limitObject(name, oneADay)), spec.Identity{}, Options{})
	if len(both.Limits) != 1 || !strings.Contains(said(both), "Conflict used=false") {
		t.Errorf("%d limits, %s", len(both.Limits), said(both))
	}
}

// TestMisspeltLimits holds that what was meant to be a limit does not go unnoticed.
func TestMisspeltLimits(t *testing.T) {
	for head, want := range map[string]string{
		"apiVersion: caddy-llm.github.io/v1\nkind: LLMLimit":          "write caddy-llm.github.io/v1alpha1",
		"apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMLimits":   "write LLMLimit",
		"apiVersion: caddy-llm.github.io/v1alpha1\nkind: LlmLimit":    "write LLMLimit",
		"apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMBudget":   "there is no kind of that name",
		"apiVersion: caddy-llm.io/v1alpha1\nkind: LLMLimit":           "write caddy-llm.github.io/v1alpha1",
		"apiVersion: istio.alibabacloud.com/v1alpha1\nkind: LLMLimit": "write caddy-llm.github.io/v1alpha1",
		"apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMProvider": "there is no kind of that name",
	} {
		objects := mustDecode(t, head+"\nmetadata: {name: a}\nspec: {concurrent: 1}\n")
		if state := Translate(objects, spec.Identity{}, Options{}); len(state.Limits) != 0 || !strings.Contains(said(state), want) {
			t.Errorf("%s: %d limits, %s", head, len(state.Limits), said(state))
		}
	}
	list := "apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMLimitList\nitems: [{metadata: {name: a}, spec: {concurrent: 1}}]\n"
	if state := Translate(mustDecode(t, list), spec.Identity{}, Options{}); len(state.Limits) != 1 {
		t.Errorf("of a list: %s", said(state))
	}
}

// TestLimitNames holds that a name is as long as it may be, and no longer.
func TestLimitNames(t *testing.T) {
	for length, want := range map[int]int{63: 1, 64: 0} {
		state := Translate(mustDecode(t, limitObject(strings.Repeat("a", length), oneADay)), spec.Identity{}, Options{})
		if len(state.Limits) != want {
			t.Errorf("%d letters: %s", length, said(state))
		}
	}
}

// TestLimitConditions holds what the status of a limit says.
func TestLimitConditions(t *testing.T) {
	text := "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec:\n  host: a.example.com\n" + "---\n" +
		limitObject("team", oneADay) + limitObject("refused", "concurrent: 0") + limitObject("unmet", oneADay+", targetRefs: [{kind: LLMRoute, name: none}]") +
		strings.ReplaceAll(limitObject("ours", oneADay), "namespace: team", "namespace: default")
	objects := mustDecode(t, text)
	state := Translate(objects, spec.Identity{}, Options{})
	got := make(map[string]string)
	for _, o := range Outcomes(objects, state, Options{}, nil) {
		if o.Kind != object.KindLLMLimit {
			continue
		}
		var all []string
		for _, c := range o.Conditions {
			all = append(all, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
		}
		got[o.Object.GetName()] = strings.Join(all, " ")
	}
	for name, want := range map[string]string{
		"ours":    "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Conflict=False/NoConflict",
		"team":    "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=False/NotSelected Conflict=False/NoConflict",
		"refused": "Accepted=False/InvalidField ResolvedRefs=True/ResolvedRefs Programmed=False/NotAccepted Conflict=False/NoConflict",
		"unmet":   "Accepted=True/Accepted ResolvedRefs=False/TargetNotFound Programmed=False/TargetNotFound Conflict=False/NoConflict",
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

// FuzzLimits holds that no object makes a limit that the gateway would leave out.
func FuzzLimits(f *testing.F) {
	f.Add(`{"concurrent":1,"key":["client"],"amounts":[{"unit":"cost","amount":"0.5","window":"month"}]}`)
	f.Add(`{"amounts":[{"unit":"tokens","amount":1e3,"window":"1m","burst":5}],"targetRefs":[{"kind":"Gateway","name":"a"}]}`)
	f.Add(`{"concurrent":1,"matches":[{}],"rules":["a"],"providers":["a/b"],"models":["*"],"tier":true}`)
	f.Add(`"text"`)
	f.Fuzz(func(t *testing.T, fields string) {
		if !json.Valid([]byte(fields)) {
			t.Skip()
		}
		isObject := strings.HasPrefix(strings.TrimSpace(fields), "{")
		objects, err := object.DecodeObject([]byte(`{"apiVersion":"caddy-llm.github.io/v1alpha1","kind":"LLMLimit","metadata":{"name":"a","namespace":"b"},"spec":` + fields + `}`))
		if err != nil {
			t.Skip()
		}
		state := Translate(objects, spec.Identity{}, Options{})
		refused := false
		for _, f := range state.Findings {
			refused = refused || !f.Used
			if isObject && strings.HasPrefix(f.Message, "spec: ") {
				t.Errorf("only the gateway finds that %s", f.Message)
			}
		}
		if refused != (len(state.Limits) == 0) {
			t.Errorf("refused: %v, but there are %d limits", refused, len(state.Limits))
		}
		for _, d := range state.Limits {
			if err := d.Check(); err != nil {
				t.Errorf("a limit that cannot be used: %v", err)
			}
			if _, err := json.Marshal(d); err != nil {
				t.Errorf("a limit that cannot be written: %v", err)
			}
		}
	})
}

// TestLimitsOfModels holds that a model that no request is sent with is a finding, where all that there is is known.
func TestLimitsOfModels(t *testing.T) {
	provider := func(name, config string) string {
		return fmt.Sprintf("apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata: {name: %s, namespace: team}\nspec: {host: %s.example, configs: {%s}}\n---\n", name, name, config)
	}
	const (
		route = "apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMRoute\nmetadata: {name: r, namespace: team}\nspec: {host: chat, rules: [{name: here, backendRefs: [{providerHost: a.example%s}]}]}\n---\n"
		fixed = "defaultConfig: {openAIConfig: {model: qwen-turbo}}"
		open  = "defaultConfig: {openAIConfig: {stream: false}}"
	)
	for name, test := range map[string]struct {
		objects, spec string
		identity      spec.Identity
		want          string // the index of the model
	}{
		"none":                     {objects: provider("a", fixed), spec: "models: [gpt-4o*]", want: "0"},
		"the second":               {objects: provider("a", fixed), spec: "models: [qwen*, gpt-4o]", want: "1"},
		"clients choose":           {objects: provider("a", open), spec: "models: [gpt-4o*]"},
		"clients choose at one":    {objects: provider("a", fixed) + provider("b", open), spec: "models: [gpt-4o*]"},
		"the other is meant":       {objects: provider("a", fixed) + provider("b", open), spec: "models: [gpt-4o*], providers: [a]", want: "0"},
		"the rule's":               {objects: provider("a", fixed+", routeSpecificConfigs: {here: {openAIConfig: {model: gpt-4o}}}") + fmt.Sprintf(route, ""), spec: "models: [gpt-4o], rules: [here]"},
		"not the rule's":           {objects: provider("a", fixed+", routeSpecificConfigs: {here: {openAIConfig: {model: gpt-4o}}}") + fmt.Sprintf(route, ""), spec: "models: [qwen-turbo], rules: [here]", want: "0"},
		"no providers":             {spec: "models: [gpt-4o*]"},
		"a workload that is known": {objects: provider("a", fixed), spec: "models: [gpt-4o*]", identity: spec.Identity{Namespace: "team", Labels: map[string]string{"app": "gw"}}},
	} {
		state := Translate(mustDecode(t, test.objects+limitObject("l", oneADay+", "+test.spec)), test.identity, Options{})
		want := ""
		if test.want != "" {
			want = "LLMLimit team/l NeverMatches used=true: spec.models[" + test.want + "]: no request is sent with such a model"
		}
		if got := said(state); strings.Count(got, "spec.models") != strings.Count(want, "spec.models") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
