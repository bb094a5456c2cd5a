package inject

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what is produced into testdata")

// change is how the options of a test's file differ from the others'.
var change = map[string]func(*Options){
	"http_proxy": func(o *Options) { o.Mode = ModeHTTPProxy },
	"list_of_a_kind": func(o *Options) {
		o.Source, o.RootNamespace, o.AccessLog, o.ImagePullPolicy = SourceKubernetes, "mesh", true, "Always"
		o.CaptureImage, o.Env = "registry.example.com/nft:1", []map[string]any{{"name": "SSL_CERT_FILE", "value": "/etc/ca.pem"}}
	},
}

// injected returns a file with the sidecar in its pods, and the notes.
func injected(o *Options, name string, data []byte) ([]byte, string, error) {
	var notes strings.Builder
	m := &manifests{options: o, namespaces: make(map[string]map[string]string), note: func(origin, text string) { fmt.Fprintf(&notes, "%s: %s\n", origin, text) }}
	if err := m.lookUp(name, data); err != nil {
		return nil, "", err
	}
	out, err := m.inject(name, data)
	return out, notes.String(), err
}

// TestManifests holds what each file becomes, and what is told of it. Whatever the
// file: a second time changes nothing, and all of it is still there.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, extension := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), filepath.Ext(file)
		if extension == ".want" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			data := read(t, file)
			o := options(t, change[name])
			got, notes, err := injected(o, filepath.Base(file), data)
			if err != nil {
				t.Fatal(err)
			}
			golden := file + ".want"
			text := []byte(strings.ReplaceAll("# "+notes, "\n", "\n# ") + "\n" + string(got))
			if *update {
				if err := os.WriteFile(golden, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(text, read(t, golden)) {
				t.Errorf("differs from %s; run the test with -update and look at the difference\n%s", golden, text)
			}
			contained(t, data, got)
			if name != "anchors" {
				inOrder(t, data, got)
			}
			again, _, err := injected(o, file, got)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("a second time, %v, it is\n%s", err, again)
			}
		})
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// inOrder holds that each line of a file is still in another, in the same order.
// Where lines were filled in, they begin and end as before.
func inOrder(t *testing.T, before, after []byte) {
	t.Helper()
	rest := strings.Split(string(after), "\n")
	for line := range strings.Lines(string(before)) {
		line = strings.TrimSuffix(line, "\n")
		i := 0
		for i < len(rest) && !filledIn(line, rest[i]) {
			i++
		}
		if i == len(rest) {
			t.Errorf("the line %q is gone", line)
			return
		}
		rest = rest[i+1:]
	}
}

// filledIn reports whether a line is another one with something inserted, which only
// happens at brackets and after keys.
func filledIn(before, after string) bool {
	if before == after {
		return true
	}
	for i := range before {
		if strings.ContainsRune("{[:", rune(before[i])) && strings.HasPrefix(after, before[:i+1]) {
			return true
		}
	}
	return false
}

func mustSplit(t testing.TB, data []byte) []document {
	t.Helper()
	documents, err := split("", data)
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

// contained holds that all that a file makes up is in what another makes up.
func contained(t testing.TB, before, after []byte) {
	t.Helper()
	was, is := mustSplit(t, before), mustSplit(t, after)
	if len(was) != len(is) && !bytes.Contains(before, []byte("&")) {
		t.Fatalf("%d documents became %d", len(was), len(is))
	}
	values := func(documents []document) (out []any) {
		for _, d := range documents {
			var v any
			data, err := d.text, error(nil)
			if !json.Valid(data) { // which can say more than the parser of YAML takes
				data, err = yaml.YAMLToJSON(d.text)
			}
			if err == nil {
				err = json.Unmarshal(data, &v)
			}
			if err != nil {
				t.Fatal(err)
			}
			if v != nil {
				out = append(out, v)
			}
		}
		return out
	}
	w, i := values(was), values(is)
	if len(w) != len(i) {
		t.Fatalf("%d objects became %d", len(w), len(i))
	}
	for n := range w {
		if where := missing(w[n], i[n], ""); where != "" {
			t.Fatalf("of object %d, %s is gone or changed", n, where)
		}
	}
}

// missing returns where a value lacks something of another. A list may have more in
// front.
func missing(want, got any, at string) string {
	switch want := want.(type) {
	case nil:
		return ""
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return at
		}
		for key, value := range want {
			if where := missing(value, got[key], at+"/"+key); where != "" {
				return where
			}
		}
		return ""
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) < len(want) {
			return at
		}
		for i, value := range want {
			if where := missing(value, got[len(got)-len(want)+i], fmt.Sprintf("%s/%d", at, i)); where != "" {
				return where
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return at
	}
	return ""
}

// TestLineEnds holds that a file keeps those it has, and the lack of a last one.
func TestLineEnds(t *testing.T) {
	o := options(t, nil)
	unix := read(t, "testdata/deployment.yaml")
	want, _, err := injected(o, "", unix)
	if err != nil {
		t.Fatal(err)
	}
	windows := bytes.ReplaceAll(unix, []byte("\n"), []byte("\r\n"))
	got, notes, err := injected(o, "", windows)
	if err != nil || notes != "" || !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n"))) {
		t.Errorf("%v, %s\n%q", err, notes, got)
	}
	const open = "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{name: a, image: a}]\nmetadata:\n  name: a"
	got, notes, err = injected(o, "", []byte(open))
	if err != nil || notes != "" || !bytes.HasSuffix(got, []byte("name: a")) {
		t.Errorf("%v, %s\n%s", err, notes, got)
	}
}

func TestBadManifests(t *testing.T) {
	for name, tc := range map[string]struct{ text, err string }{
		"no YAML":           {"a: b\n---\nkind: [\n", "f.yaml:3: "},
		"no object":         {"a: b\n---\n- a\n", "f.yaml:2: this is not a Kubernetes object; write apiVersion, kind, metadata and spec"},
		"no template":       {"\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n", "f.yaml:2: Deployment shop/web: there is no pod template; write spec.template"},
		"no containers":     {"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: {spec: {}}}}}\n", "f.yaml:1: CronJob a: the pod has no containers; write spec.containers"},
		"a field twice":     {"a: b\n---\napiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, name: b}]}\n", `f.yaml:5: the field name is there twice`},
		"in a list":         {"apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, labels: {sidecar.llm-gateway/inject: maybe}}\n  spec: {containers: [{name: a}]}\n", `f.yaml:5: Pod a: pod: the label sidecar.llm-gateway/inject has another value`},
		"namespace's label": {"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {llm-gateway-injection: \"yes\"}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: a}]}\n", `f.yaml:5: Pod shop/a: namespace shop: the label llm-gateway-injection has another value`},
	} {
		if _, _, err := injected(options(t, nil), "f.yaml", []byte(tc.text)); err == nil || !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%s: %v\nwant %s", name, err, tc.err)
		}
	}
}

// TestPatchIsTheSame holds that a webhook's patch and the command make up the same.
func TestPatchIsTheSame(t *testing.T) {
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","annotations":{"b":"c"}},"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"a","env":[]}]}}`
	for _, mode := range []string{ModeCapture, ModeHTTPProxy} {
		o := options(t, func(o *Options) { o.Mode = mode })
		ops, d, err := o.Patch([]byte(pod), Place{NamespaceLabels: map[string]string{InjectionLabel: "enabled"}})
		if err != nil || !d.Inject {
			t.Fatal(d, err)
		}
		var got any
		want, err := apply(ops, []byte(pod))
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := injected(o, "", []byte(pod))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%s", mode, err, text)
		}
	}
}

// FuzzManifests holds for any file that what is in it stays, and that a second time
// changes nothing.
func FuzzManifests(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		for _, d := range mustSplit(f, read(f, file)) {
			f.Add(d.text, false)
		}
	}
	for _, char := range []string{"\x82", "\x7f", "\u0085", "\ufeff"} { // what JSON has and YAML's parser does not take, or takes otherwise
		f.Add([]byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","x`+char+`":1},"spec":{"containers":[{"name":"web"}]}}`), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, proxy bool) {
		o := options(t, func(o *Options) {
			if proxy {
				o.Mode = ModeHTTPProxy
			}
		})
		out, _, err := injected(o, "f", data)
		if err != nil {
			return
		}
		contained(t, data, out)
		again, _, err := injected(o, "f", out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("%v: of\n%s\nthe first time\n%s\nthe second time\n%s", err, data, out, again)
		}
	})
}
