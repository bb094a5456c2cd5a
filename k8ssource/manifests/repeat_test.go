package manifests

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// secretTexts are secrets at places where they do not belong, each with the part of it
// that nobody may be shown.
var secretTexts = []struct{ text, secret string }{
	{"sk-proj-Ab3dEfGh1jKlMn0pQrStUv", "Ab3dEfGh1jKlMn0pQrStUv"},
	{"sk-ab3defgh1jklmn0pqrstuv", "ab3defgh1jklmn0pqrstuv"}, // which may be a name
	{"https://user:Ab3dEfGh1j@host.example.com/v1", "Ab3dEfGh1j"},
	{"/v1/chat/completions?key=Ab3dEfGh1j", "Ab3dEfGh1j"},
	{"Bearer Ab3dEfGh1j.KlMn", "Ab3dEfGh1j"},
	{"*Ab3d{EfGh[1j", "EfGh"},
	{"Ab3d: \"EfGh\n  1j'", "EfGh"},
}

// eachString calls f for each text in a value that can be set, with what sets it.
func eachString(path string, v reflect.Value, f func(path string, set func(string))) {
	switch v.Kind() {
	case reflect.String:
		f(path, v.SetString)
	case reflect.Pointer:
		if v.Type() != reflect.TypeFor[*metav1.Time]() && !v.IsNil() {
			eachString(path, v.Elem(), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch name {
			case "CreationTimestamp", "ManagedFields", "OwnerReferences", "Status", "TypeMeta":
				continue
			}
			eachString(path+"."+name, v.Field(i), f)
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[[]byte]() {
			f(path, func(s string) { v.SetBytes([]byte(s)) })
			return
		}
		for i := range v.Len() {
			eachString(fmt.Sprintf("%s[%d]", path, i), v.Index(i), f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			entry := reflect.New(v.Type().Elem()).Elem()
			entry.Set(v.MapIndex(key))
			eachString(path+"["+key.String()+"]", entry, func(path string, set func(string)) {
				f(path, func(s string) {
					set(s)
					v.SetMapIndex(key, entry)
				})
			})
			f(path+" as a name", func(s string) {
				value := v.MapIndex(key)
				v.SetMapIndex(key, reflect.Value{})
				v.SetMapIndex(reflect.ValueOf(s), value)
			})
		}
	}
}

// fill gives each field of a value something that is there, so that every text can be
// reached.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		if v.String() == "" {
			v.SetString("x")
		}
	case reflect.Bool:
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*metav1.Time]() || depth > 12 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			switch v.Type().Field(i).Name {
			case "CreationTimestamp", "ManagedFields", "OwnerReferences", "Status", "TypeMeta", "SelfLink", "UID", "ResourceVersion", "Finalizers":
				continue
			}
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[[]byte]() {
			v.SetBytes([]byte("x"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		entry := reflect.New(v.Type().Elem()).Elem()
		fill(entry, depth+1)
		v.SetMapIndex(reflect.ValueOf("x"), entry)
	}
}

// shownOfFile is all that people are shown of manifests: findings, conditions, the log
// of findings, what `caddy llm check` and `caddy llm translate` print, the warnings of
// the adapter, and errors.
func shownOfFile(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	say := func(values ...any) { fmt.Fprintln(&out, values...) }
	cmd := newCheckCommand()
	cmd.SetArgs([]string{file})
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	say(cmd.Execute())
	objects, err := object.Decode("x.yaml", []byte(text))
	if err != nil {
		say(err)
		return out.String()
	}
	for _, identity := range []spec.Identity{{}, {Namespace: "default", Labels: map[string]string{"x": "x"}}} {
		state := k8ssource.Translate(objects, identity, k8ssource.Options{})
		core, logs := observer.New(zapcore.DebugLevel)
		new(source.FindingLog).Log(zap.New(core), state.Findings)
		for _, l := range logs.All() {
			say(l.Message, l.ContextMap())
		}
		for _, f := range state.Findings {
			say(f)
		}
		for _, w := range warnings(state.Findings) {
			say(w)
		}
		for _, o := range k8ssource.Outcomes(objects, state, k8ssource.Options{}, nil) {
			for _, c := range o.Conditions {
				say(c.Reason, c.Message)
			}
		}
	}
	_, _, err = adapter{}.Adapt([]byte(text), nil)
	say(err)
	return out.String()
}

// TestSecretsAtTheWrongPlace plants secrets in each text of each kind and
// looks for them in all that people are shown. The names of objects are shown.
func TestSecretsAtTheWrongPlace(t *testing.T) {
	t.Setenv("LLM_NAMESPACE", "")
	type planted struct {
		kind   string
		object func() any
	}
	version := map[string]string{
		object.KindLLMProvider: object.Group + "/v1", object.KindLLMRoute: object.Group + "/v1", object.KindGateway: "networking.istio.io/v1", object.KindAuthorizationPolicy: object.SecurityGroup + "/v1",
		object.KindRequestAuthentication: object.SecurityGroup + "/v1", object.KindSecret: "v1", object.KindConfigMap: "v1", "Service": "v1",
	}
	kinds := []planted{
		{object.KindLLMProvider, func() any { return new(v1beta1.LLMProvider) }}, {object.KindLLMRoute, func() any { return new(v1beta1.LLMRoute) }}, {object.KindGateway, func() any { return new(object.Gateway) }},
		{object.KindAuthorizationPolicy, func() any { return new(object.AuthorizationPolicy) }}, {object.KindRequestAuthentication, func() any { return new(object.RequestAuthentication) }},
		{object.KindSecret, func() any { return new(object.Secret) }}, {"Service", func() any { return new(object.Service) }},
	}
	var manifests []struct {
		path, text, secret string
	}
	for _, k := range kinds {
		build := func() any {
			object := k.object()
			fill(reflect.ValueOf(object).Elem(), 0)
			return object
		}
		var paths []string
		eachString(k.kind, reflect.ValueOf(build()).Elem(), func(path string, _ func(string)) { paths = append(paths, path) })
		for i, path := range paths {
			for j, planted := range secretTexts {
				if (i+j)%3 != 0 {
					continue // two or three of them at each place; all of them at all places take four times as long
				}
				if strings.HasSuffix(path, ".ObjectMeta.Name") || strings.HasSuffix(path, ".ObjectMeta.Namespace") {
					if object.IsName(planted.text) {
						continue // it is the object's name
					}
				}
				object := build()
				n := 0
				eachString(k.kind, reflect.ValueOf(object).Elem(), func(_ string, set func(string)) {
					if n == i {
						set(planted.text)
					}
					n++
				})
				data, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				var tree map[string]any
				if err := json.Unmarshal(data, &tree); err != nil {
					t.Fatal(err)
				}
				tree["apiVersion"], tree["kind"] = version[k.kind], k.kind
				if data, err = json.Marshal(tree); err != nil {
					t.Fatal(err)
				}
				manifests = append(manifests, struct{ path, text, secret string }{path, badobjects.Beside + "---\n" + string(data) + "\n", planted.secret})
			}
		}
	}
	// The good objects of the tables too, with a secret in each of their texts.
	for _, bad := range badobjects.All(t) {
		tree, err := yamlToTree(bad.Manifest(t))
		if err != nil {
			t.Fatal(err)
		}
		eachLeaf(tree, func(path string, set func(any)) {
			if path == ".metadata.name" {
				return
			}
			for _, planted := range secretTexts[1:2] {
				set(planted.text)
				data, _ := json.Marshal(tree)
				manifests = append(manifests, struct{ path, text, secret string }{bad.Name + path, badobjects.Beside + "---\n" + string(data) + "\n", planted.secret})
			}
		})
	}
	if len(manifests) < 1000 {
		t.Fatalf("only %d manifests", len(manifests))
	}
	for _, m := range manifests {
		if shown := shownOfFile(t, m.text); strings.Contains(shown, m.secret) {
			at := strings.Index(shown, m.secret)
			t.Errorf("%s: %s", m.path, shown[max(0, at-160):min(len(shown), at+40)])
		}
	}
	t.Logf("%d manifests", len(manifests))
}

func yamlToTree(text string) (map[string]any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	err = json.Unmarshal(data, &tree)
	return tree, err
}

// eachLeaf calls f for each text of a tree, and restores it afterwards.
func eachLeaf(tree any, f func(path string, set func(any))) {
	var walk func(path string, value any, set func(any))
	walk = func(path string, value any, set func(any)) {
		switch value := value.(type) {
		case string:
			f(path, set)
			set(value)
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				walk(path+"."+key, value[key], func(v any) { value[key] = v })
			}
		case []any:
			for i := range value {
				walk(fmt.Sprintf("%s[%d]", path, i), value[i], func(v any) { value[i] = v })
			}
		}
	}
	walk("", tree, func(any) {})
}

// TestSecretsInBrokenFiles breaks files with secrets in them at any place, in the ways
// that an editor, a merge or a template does, and looks for the secrets in what is said
// about it.
func TestSecretsInBrokenFiles(t *testing.T) {
	const secret = "Ab3dEfGh1jKlMn0pQrStUv"
	base := "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec:\n  host: a.example.com\n  headers:\n    x-api-key: sk-" + secret +
		"\n  configs:\n    defaultConfig:\n      openAIConfig:\n        model: m\n        apiKey: sk-" + secret + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {key: " +
		base64.StdEncoding.EncodeToString([]byte(secret)) + "}\nstringData: {other: \"" + secret + "\"}\n"
	pieces := []string{
		"", "\n", " ", "\t", ":", ": ", "-", "- ", "\"", "'", "`", "{", "}", "[", "]", ",", "*", "&", "&a ", "*a ", "!", "!!int ", "!!binary ", "!!float ", "!!timestamp ", "!x ", "|", ">", "%", "@", "#", "?", "? ", "\\", "\"\\",
		"<<: ", "<<: *a", "---\n", "...\n", "\x00", "\xff", "\u2028", "sk-" + secret, "sk-" + secret + ": ", "{sk-" + secret + ": ", "[sk-" + secret + "]: x\n", "*sk-" + secret, "&sk-" + secret + " *sk-" + secret, "!!int sk-" + secret, "!!float sk-" + secret,
		"!!bool sk-" + secret, "!!binary sk-" + secret + "=", "!sk-" + secret + " ", "%sk-" + secret + "\n", "%TAG ! sk-" + secret + "\n", "\"\\sk-" + secret + "\"", "sk-" + secret + ": a\nsk-" + secret + ": b\n", "? {a: sk-" + secret + "}\n: b\n", "? [sk-" + secret + "]\n: b\n",
		"apiVersion: sk-" + secret + "\n", "kind: sk-" + secret + "\n", "kind: LLMProvider\napiVersion: alibaba sk-" + secret + "\n", "items: [sk-" + secret + "]\n", "metadata: sk-" + secret + "\n", "metadata: {name: sk-" + secret + "}\n",
	}
	random := rand.New(rand.NewPCG(1, 2))
	hidden := []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))}
	for _, text := range append([]string{base}, jsonOf(t, base)...) {
		for n := range 6000 {
			broken := []byte(text)
			for range 1 + random.IntN(2) {
				at := random.IntN(len(broken) + 1)
				until := min(len(broken), at+random.IntN(3)*random.IntN(12))
				broken = bytes.Join([][]byte{broken[:at], []byte(pieces[random.IntN(len(pieces))]), broken[until:]}, nil)
			}
			shown := shownOfBytes(broken)
			for _, h := range hidden {
				if at := strings.Index(shown, h); at >= 0 {
					t.Errorf("%d: %s\n%s", n, shown[max(0, at-160):min(len(shown), at+60)], broken)
				}
			}
			if t.Failed() {
				break
			}
		}
	}
}

// shownOfBytes is what findings and errors say of a file.
func shownOfBytes(data []byte) string {
	objects, err := object.Decode("x.yaml", data)
	if err != nil {
		return err.Error()
	}
	state := k8ssource.Translate(objects, spec.Identity{}, k8ssource.Options{})
	var out strings.Builder
	for _, f := range state.Findings {
		fmt.Fprintln(&out, f)
	}
	for _, d := range describe(objects, state) {
		fmt.Fprintln(&out, d)
	}
	return out.String()
}

func jsonOf(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for doc := range strings.SplitSeq(text, "---\n") {
		data, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(data))
	}
	return out
}

func TestShown(t *testing.T) {
	for form, values := range map[string]struct {
		shown func(string) string
		yes   []string
		no    []string
	}{
		"name": {object.ShownName, []string{"x-api-key", "vip-route", "apiKeey", "app.kubernetes.io/name", "", "@request.auth.claims.group", ":authority", "tls.crt"},
			[]string{"a b", "sk-abc", "Bearer x", strings.Repeat("a", 70), "0123456789abcdef0123456789abcdef", "a=b", "sk_live_1", "ghp_0123", "AIzaSyA"}},
		"host":  {object.ShownHost, []string{"dashscope.aliyuncs.com", "*.example.com", "*", "::1", "10.0.0.1", "demo"}, []string{"u:p@h", "sk-1234", "h/p", "gsk_abc.example.com"}},
		"model": {object.ShownModel, []string{"qwen1.5-72b-chat", "Qwen/Qwen2.5-72B-Instruct:latest", "gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929"}, []string{"sk-1", "a b", "u:p@h"}},
		"path":  {object.ShownPath, []string{"/v1/chat/completions", "/compatible-mode/v1/chat/completions", "/v1beta/openai", "/v1/*", "*/embeddings", "/v1/{**}", "/"}, []string{"/v1?key=x", "/v1/0a9f8e7d/chat", "/a b"}},
		"url":   {object.ShownURL, []string{"https://issuer.example.com", "https://issuer.example.com:8443/realms/main"}, []string{"https://u:p@h", "https://h/?key=x", "https://h/a9b8c7"}},
	} {
		for _, s := range values.yes {
			if got := values.shown(s); got != s {
				t.Errorf("%s %q is shown as %q", form, s, got)
			}
		}
		for _, s := range values.no {
			if got := values.shown(s); got == s || !strings.Contains(got, object.Hidden) && form != "url" {
				t.Errorf("%s %q is shown as %q", form, s, got)
			}
		}
	}
}
