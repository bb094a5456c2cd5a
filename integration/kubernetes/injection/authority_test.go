package injection_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestBundle holds that what somebody spoils is mended: the caBundle, the Secret, and
// both webhooks have the same.
func TestBundle(t *testing.T) {
	w := newWorld(t)
	first, second := w.start(), w.start()
	w.injects()
	before := w.bundles()
	if len(before) != 2 || before[0] == "" || before[0] != before[1] {
		t.Fatalf("the bundles are %q", before)
	}
	n, ns := 0, w.namespace("enabled")
	goesOn := func(what string) {
		t.Helper()
		for range 8 {
			n++
			if p, err := w.create(ns, fmt.Sprint("pod-", n), "", nil); err != nil || !p.injected() {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	patch := func(object, kind, text string) {
		t.Helper()
		if r := w.Kubectl("-n", root, "patch", object, "--type="+kind, "-p", text); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	configuration := "mutatingwebhookconfiguration/" + webhook

	patch(configuration, "json", `[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}, {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]`)
	until(t, "caBundle as before", func() (bool, string) {
		now := w.bundles()
		return now[0] == before[0] && now[1] == before[1], fmt.Sprint(now)
	})
	w.injects()
	goesOn("after the caBundle was emptied")

	// Applying the manifest again is what an upgrade does.
	patch("secret/"+caSecret, "merge", `{"metadata": {"annotations": {"example.com/a": "b"}}}`)
	goesOn("after somebody else wrote the Secret")
	if now := w.bundles(); now[0] != before[0] {
		t.Error("there is another authority")
	}

	// Spoilt or emptied, the Secret is filled in anew, and pods go on meanwhile.
	for _, spoil := range []string{`{"data": {"ca.key": "bm8ga2V5"}}`, `{"data": null}`} {
		last := roots(t, w.bundles()[0])[0]
		patch("secret/"+caSecret, "merge", spoil)
		patched := time.Now()
		until(t, "another root", func() (bool, string) {
			// Before the leader sees its own Secret it may fill it in once more: also
			// over what was spoilt just now, which is then to be done again.
			now := roots(t, w.bundles()[0])
			if now[0].Equal(last) && time.Since(patched) > 5*time.Second {
				patch("secret/"+caSecret, "merge", spoil)
				patched = time.Now()
			}
			return len(now) > 1 && !now[0].Equal(last) && slices.ContainsFunc(now[1:], last.Equal),
				fmt.Sprintf("%d roots, the first as before: %v", len(now), now[0].Equal(last))
		})
		goesOn("after " + spoil)
	}

	// Deleted, it cannot be created with these rights; the log says what to do.
	last := roots(t, w.bundles()[0])[0]
	if r := w.Kubectl("-n", root, "delete", "secret", caSecret); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	until(t, "word of it", func() (bool, string) {
		what := "kubectl -n istio-system create secret generic " + caSecret
		return len(first.FindLogs(what))+len(second.FindLogs(what)) > 0, ""
	})
	goesOn("without the Secret")
	if r := w.Kubectl("-n", root, "create", "secret", "generic", caSecret); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	until(t, "another root", func() (bool, string) {
		now := roots(t, w.bundles()[0])
		return len(now) > 1 && !now[0].Equal(last), fmt.Sprint(len(now), " roots")
	})
	goesOn("after the Secret was created")
	w.start()
	goesOn("with another gateway")
}

// TestRights holds that the log says which right is missing, and that the gateway works
// once it has it.
func TestRights(t *testing.T) {
	w := newWorld(t)
	change := func(object, patch string) {
		t.Helper()
		if r := w.Kubectl("-n", root, "patch", object, "--type=json", "-p", patch); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	// verbs sets those of the rule for a resource, wherever it stands.
	verbs := func(object, resource, verbs string) {
		t.Helper()
		var role struct {
			Rules []struct{ Resources []string }
		}
		if r := w.Kubectl("-n", root, "get", object, "-o", "json"); r.Code != 0 || json.Unmarshal([]byte(r.Stdout), &role) != nil {
			t.Fatal(r.Stderr)
		}
		for i, rule := range role.Rules {
			if slices.Contains(rule.Resources, resource) {
				change(object, fmt.Sprintf(`[{"op": "replace", "path": "/rules/%d/verbs", "value": [%s]}]`, i, verbs))
				return
			}
		}
		t.Fatalf("%s has no rule for %s", object, resource)
	}
	verbs("role/llm-gateway", "secrets", `"get"`)
	verbs("clusterrole/"+webhook, "mutatingwebhookconfigurations", `"list", "watch"`)
	g := w.start() // it becomes ready all the same: other requests are served
	g.WaitLog(`a Role in namespace istio-system needs the rule {apiGroups: [\"\"], resources: [secrets], resourceNames: [`+caSecret+`], verbs: [list, watch]}`, patience)
	g.WaitLog("injection webhook not ready", patience)
	verbs("role/llm-gateway", "secrets", `"list", "watch", "update"`)
	g.WaitLog("resources: [mutatingwebhookconfigurations], resourceNames: ["+webhook+"], verbs: [patch]}", patience)
	verbs("clusterrole/"+webhook, "mutatingwebhookconfigurations", `"list", "watch", "patch"`)
	w.injects()
}
