package inject

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

const jsonPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"containers":[{"name":"app","image":"app:1"}]}}`

// podsOf counts the pods in the documents of a file that have the sidecar, and all.
func podsOf(t *testing.T, data []byte) (with, all int) {
	t.Helper()
	if err := eachDocument("f", data, func(_ document, value json.RawMessage) error {
		return eachObject(value, "", func(o *anyObject, raw json.RawMessage, _ string) error {
			if o.Kind == "Pod" {
				all++
				if strings.Contains(string(raw), `"`+gatewayName+`"`) {
					with++
				}
			}
			return nil
		})
	}); err != nil {
		t.Fatalf("%v, of\n%s", err, data)
	}
	return with, all
}

// TestInjectsEveryPod holds that no pod of a file is left without the sidecar in silence,
// in whatever form it is written.
func TestInjectsEveryPod(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	refused := 0
	for range 500 {
		pods := 0
		pod := func() string {
			pods++
			return fmt.Sprintf(jsonPod, fmt.Sprint("p", pods))
		}
		var text strings.Builder
		text.WriteString(pick("", "---\n", "\xef\xbb\xbf", "# c\n"))
		for range 1 + random.IntN(4) {
			switch random.IntN(5) {
			case 0:
				y, _ := yaml.JSONToYAML([]byte(pod()))
				text.Write(y)
			case 1:
				for range 1 + random.IntN(3) {
					text.WriteString(pod() + pick("", "\n", " "))
				}
			case 2:
				fmt.Fprintf(&text, `{"apiVersion":"v1","kind":"List","items":[%s,{"apiVersion":"v1","kind":"List","items":[%s]}]}`, pod(), pod())
			case 3:
				fmt.Fprintf(&text, "apiVersion: v1\nkind: PodList\nitems:\n- %s\n", strings.Replace(pod(), `"apiVersion":"v1","kind":"Pod",`, "", 1))
			case 4: // what YAML cannot say
				text.WriteString(strings.Replace(pod(), `"metadata":{`, `"metadata":{"annotations":{"x":"\ud83d\ude00"},`, 1))
			}
			text.WriteString(pick("\n---\n", "\n---\n", "\n...\n---\n", "\n"))
		}
		out, _, err := injected(options(t, nil), "f", []byte(text.String()))
		if err != nil {
			if !strings.Contains(err.Error(), "f:") {
				t.Fatalf("%v names no place", err)
			}
			refused++
			continue
		}
		if with, all := podsOf(t, out); with != pods || all != pods {
			t.Fatalf("%d of %d pods have the sidecar, want %d, of\n%s\nin\n%s", with, all, pods, text.String(), out)
		}
		// What reads manifests reads the result, too.
		if _, err := object.Decode("f", out); err != nil {
			t.Fatalf("%v, of\n%s", err, out)
		}
	}
	if refused > 350 {
		t.Errorf("%d of 500 files were refused, so that little was tried", refused)
	}
}

// TestInjectsAStream holds that a stream of JSON objects stays one.
func TestInjectsAStream(t *testing.T) {
	out, _, err := injected(options(t, nil), "f", []byte(fmt.Sprintf(jsonPod, "a")+fmt.Sprintf(jsonPod, "b")))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var o anyObject
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%v, of %s", err, out)
		}
		names = append(names, o.Metadata.Name)
	}
	if !slices.Equal(names, []string{"a", "b"}) || strings.Count(string(out), `"name":"`+gatewayName+`"`)+strings.Count(string(out), `"name": "`+gatewayName+`"`) < 2 {
		t.Errorf("got %s", out)
	}
	for text, want := range map[string]string{
		`{"kind":"Pod"}` + "\nkind: Pod\n":        "f:2: something follows",
		"{kind: Pod}\n{kind: Pod}\n":              "f:2: something follows",
		"apiVersion: v1\nkind: List\nitems: {}\n": "has no list of items",
		"apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b, a: c}}\nspec: {containers: [{name: app}]}\n": "the field a is there twice",
	} {
		if _, _, err := injected(options(t, nil), "f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	const merged = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations: &a {x: '1', y: '2'}\n  labels: {<<: *a, y: '3'}\nspec: {containers: [{name: app}]}\n"
	out, _, err = injected(options(t, nil), "f", []byte(merged))
	if with, _ := podsOf(t, out); err != nil || with != 1 {
		t.Errorf("got %v, %s", err, out)
	}
}
