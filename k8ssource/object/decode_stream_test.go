package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// names are the objects that are read, and those of which something is wrong.
func names(o *Set) (out []string, faults []string) {
	add := func(kind, name string, found []Fault) {
		out = append(out, kind+" "+name)
		for _, f := range found {
			faults = append(faults, name+": "+f.Message)
		}
	}
	for _, i := range o.Providers {
		add("LLMProvider", i.Object.Name, i.Faults)
	}
	for _, i := range o.Policies {
		add("AuthorizationPolicy", i.Object.Name, i.Faults)
	}
	for _, i := range o.Secrets {
		add("Secret", i.Object.Name, i.Faults)
	}
	for _, i := range o.Strays {
		add("stray", i.Object.Name, i.Faults)
	}
	slices.Sort(out)
	return out, faults
}

const (
	jsonProvider = `{"apiVersion":"istio.alibabacloud.com/v1","kind":"LLMProvider","metadata":{"name":"p"},"spec":{"host":"a.example.com"}}`
	jsonDeny     = `{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"d"},"spec":{"action":"DENY","rules":[{}]}}`
)

// TestDecodeDropsNothing holds what was once left out in silence, and what kubectl takes.
func TestDecodeDropsNothing(t *testing.T) {
	const both = "AuthorizationPolicy d, LLMProvider p"
	yamlOf := func(text string) string {
		out, err := yaml.JSONToYAML([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	provider, deny := yamlOf(jsonProvider), yamlOf(jsonDeny)
	bare := strings.NewReplacer(`"apiVersion":"istio.alibabacloud.com/v1","kind":"LLMProvider",`, "").Replace(jsonProvider)
	for name, test := range map[string]struct{ text, want string }{
		"stream":                     {jsonProvider + jsonDeny, both},
		"stream by lines":            {jsonProvider + "\n" + jsonDeny + "\n", both},
		"stream in a document":       {"---\n" + jsonProvider + "\n\n" + jsonDeny + "\n---\n", both},
		"stream after YAML":          {provider + "---\n" + jsonDeny + jsonDeny, "AuthorizationPolicy d, AuthorizationPolicy d, LLMProvider p"},
		"stream with comments":       {"# a\n" + jsonProvider + "\n# b\n" + jsonDeny + " # c\n", both},
		"stream with CRLF":           {jsonProvider + "\r\n" + jsonDeny + "\r\n", both},
		"stream with BOMs":           {"\xef\xbb\xbf" + jsonProvider + "\n\xef\xbb\xbf" + jsonDeny, both},
		"stream, then YAML":          {jsonProvider + "\n" + deny, "x.yaml:2: something follows after the end of the object"},
		"stream, then flow mapping":  {jsonProvider + "\n{apiVersion: v1, kind: Secret, metadata: {name: s}}", "x.yaml:2: something follows"},
		"stream, then rubbish":       {jsonProvider + "\n,", "x.yaml:2: something follows"},
		"flow mappings":              {"{kind: Secret, apiVersion: v1, metadata: {name: a}}\n{kind: Secret, apiVersion: v1, metadata: {name: b}}", "x.yaml:2: something follows"},
		"flow mappings in a line":    {"{kind: Secret}{kind: Secret}", "x.yaml:1: something follows"},
		"less indented":              {"  kind: Secret\napiVersion: v1\n", "x.yaml:2: something follows"},
		"a directive in between":     {provider + "%YAML 1.1\n" + deny, "something follows"},
		"an escape of two":           {strings.Replace(jsonProvider, `"spec":{`, `"spec":{"path":"/\ud83d\ude00",`, 1) + jsonDeny, both},
		"no marker":                  {deny + provider, "x.yaml:9: the field apiVersion is there twice; write a line of ---"},
		"no marker before another":   {deny + "apiVersion: apps/v1\nkind: Deployment\n", "is there twice; write a line of ---"},
		"carriage returns":           {"# one\r" + strings.ReplaceAll(provider+"---\n"+deny, "\n", "\r"), both},
		"a BOM before a marker":      {provider + "\xef\xbb\xbf---\n" + deny, both},
		"a BOM after a marker":       {provider + "---\n\xef\xbb\xbf" + deny, both},
		"CRLF":                       {strings.ReplaceAll("%YAML 1.1\n---\n"+provider+"...\n---\n"+deny+"...\n", "\n", "\r\n"), both},
		"an end and no marker":       {provider + "...\n" + deny, both},
		"comments only":              {"# nothing\n---\n# here\n...\n%YAML 1.1\n", ""},
		"an anchor across documents": {"apiVersion: &v security.istio.io/v1\nkind: X\n---\napiVersion: *v\n", "x.yaml:4: this is not YAML: a value begins with *"},
		"typed list":                 {`{"apiVersion":"istio.alibabacloud.com/v1","kind":"LLMProviderList","items":[` + bare + `,` + jsonDeny + `]}`, both},
		"typed list of policies":     {"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicyList\nitems:\n- metadata: {name: d}\n  spec: {action: DENY, rules: [{}]}\n", "AuthorizationPolicy d"},
		"typed list of Secrets":      {"apiVersion: v1\nkind: SecretList\nitems: [{metadata: {name: s}}]\n", "Secret s"},
		"typed list, no version":     {"kind: LLMProviderList\nitems: [{metadata: {name: p}, spec: {host: a}}]\n", "stray p"},
		"typed list without items":   {"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicyList\nspec: {}\n", "x.yaml:1: the list has no items"},
		"list without items":         {"apiVersion: v1\nkind: List\nItems: []\n", "x.yaml:1: the list has no items"},
		"items that are none":        {"apiVersion: v1\nkind: List\nitems: {a: {}}\n", "x.yaml:1: items is not a list"},
		"an item that is none":       {"apiVersion: v1\nkind: List\nitems: [a]\n", "x.yaml:1: this is not a Kubernetes object"},
		"an empty list":              {"apiVersion: v1\nkind: List\nitems: []\n", ""},
		"a list in a list":           {`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List","items":[` + jsonDeny + `]},` + jsonProvider + `]}`, both},
		"too many lists in lists":    {strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 9) + strings.Repeat("]}", 9), "there are lists inside of lists"},
		"a kind that ends in List":   {"apiVersion: example.com/v1\nkind: AllowList\nspec: {}\nitems: [a]\n", ""},
		"kind in capitals":           {strings.Replace(jsonDeny, `"kind"`, `"Kind"`, 1), "stray d"},
		"two kinds":                  {strings.Replace(jsonDeny, `"kind"`, `"Kind":"Service","kind"`, 1), "AuthorizationPolicy d"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Decode("x.yaml", []byte(test.text))
			if err != nil {
				if test.want == "" || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			got, _ := names(o)
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

// TestDecodeMerges holds that `<<` is what kubectl makes of it, and that a field which is
// there twice is one all the same.
func TestDecodeMerges(t *testing.T) {
	const head = "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: p, annotations: &a {one: '1', two: '2'}, labels: "
	for labels, want := range map[string]string{
		"{<<: *a, two: '3'}":           "",
		"{two: '3', <<: *a}":           "",
		"{<<: [*a, *a], two: '3'}":     "",
		"{<<: *a, two: '3', two: '4'}": "the field two is there twice; keep one of them",
		"{two: '3', two: '4'}":         "the field two is there twice; keep one of them",
		"{'on': '3', on: '4'}":         "",
	} {
		text := head + labels + "}\nspec: {host: a.example.com}\n"
		o := mustDecode(t, text)
		if got := texts(o.Providers[0].Faults); want != "" && got != ReasonInvalidField+": "+want || want == "" && strings.Contains(got, "twice") {
			t.Errorf("%s: got %q, want %q", labels, got, want)
		}
		var kubectl struct {
			Metadata struct{ Labels map[string]string }
		}
		if err := yaml.Unmarshal([]byte(text), &kubectl); err != nil {
			t.Fatal(err)
		}
		if got := o.Providers[0].Object.Labels; fmt.Sprint(got) != fmt.Sprint(kubectl.Metadata.Labels) {
			t.Errorf("%s: got %v, kubectl has %v", labels, got, kubectl.Metadata.Labels)
		}
	}
	for text, want := range map[string]string{
		strings.Replace(jsonProvider, `"spec":{`, `"spec":{"host":"b",`, 1): "the field host is there twice; keep one of them",
		strings.Replace(jsonProvider, `"spec"`, `"metadata":{},"spec"`, 1):  "the field metadata is there twice; keep one of them",
	} {
		if got := texts(mustDecode(t, text).Providers[0].Faults); !strings.Contains(got, want) {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

// TestDecodeForms writes objects in any mixture of the forms that there are: all of them
// are read, or there is an error that says where.
func TestDecodeForms(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	refused := 0
	for range 3000 {
		var want []string
		object := func() (string, string, string) { // JSON, its kind and version
			name := fmt.Sprint("o", len(want))
			kind, version, spec := "LLMProvider", "istio.alibabacloud.com/v1", `"spec":{"host":"a.example.com"}`
			switch random.IntN(3) {
			case 0:
				kind, version, spec = "AuthorizationPolicy", "security.istio.io/v1", `"spec":{"action":"DENY","rules":[{}]}`
			case 1:
				kind, version, spec = "Secret", "v1", `"stringData":{"k":"}{--- \"x"}`
			}
			want = append(want, kind+" "+name)
			return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q},%s}`, version, kind, name, spec), kind, version
		}
		var text strings.Builder
		text.WriteString(pick("", "", "\xef\xbb\xbf", "# a comment\n", "%YAML 1.1\n---\n", "---\n"))
		for range 1 + random.IntN(5) {
			switch random.IntN(6) {
			case 0: // YAML
				o, _, _ := object()
				y, _ := yaml.JSONToYAML([]byte(o))
				text.Write(y)
			case 1: // a JSON stream
				for range 1 + random.IntN(3) {
					o, _, _ := object()
					text.WriteString(o + pick("", "\n", " ", "\n\n", "\n# c\n"))
				}
			case 2: // indented JSON
				o, _, _ := object()
				var tree any
				_ = json.Unmarshal([]byte(o), &tree)
				data, _ := json.MarshalIndent(tree, "", pick("\t", "  "))
				text.Write(data)
			case 3: // List
				var items []string
				for range random.IntN(3) {
					o, _, _ := object()
					items = append(items, o)
				}
				list := `{"apiVersion":"v1","kind":"List","items":[` + strings.Join(items, ",") + "]}"
				if random.IntN(2) == 0 {
					y, _ := yaml.JSONToYAML([]byte(list))
					list = string(y)
				}
				text.WriteString(list)
			case 4: // a typed list
				o, kind, version := object()
				o = strings.Replace(o, fmt.Sprintf(`"apiVersion":%q,"kind":%q,`, version, kind), "", 1)
				fmt.Fprintf(&text, "apiVersion: %s\nkind: %sList\nitems:\n- %s\n", version, kind, o)
			case 5: // nothing
				text.WriteString(pick("# nothing\n", "\n", "null\n", "{}"[:0]))
			}
			text.WriteString(pick("\n---\n", "\n---\n", "\n--- # next\n", "\n...\n", "\n...\n---\n", "\n"+"\xef\xbb\xbf"+"---\n", "\n", ""))
		}
		file := text.String()
		if random.IntN(4) == 0 {
			file = strings.ReplaceAll(file, "\n", pick("\r\n", "\r"))
		}
		o, err := Decode("x.yaml", []byte(file))
		if err != nil {
			var at *FileError
			if !errors.As(err, &at) || at.Line < 1 {
				t.Fatalf("%v names no place", err)
			}
			refused++
			continue
		}
		got, faults := names(o)
		if slices.Sort(want); !slices.Equal(got, want) || len(faults) > 0 {
			t.Fatalf("got %v %v, want %v, of\n%q", got, faults, want, file)
		}
	}
	if refused > 2000 {
		t.Errorf("%d of 3000 files were refused, so that little was tried", refused)
	}
}
