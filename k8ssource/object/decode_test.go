package object

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func TestDecodeFindsEachDocumentAndItsLine(t *testing.T) {
	const text = "\xef\xbb\xbf# a comment\n%YAML 1.1\n---\n" + // 1-3
		"apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: a.example.com}\n" + // 4-7
		"--- # the next\n\n# about b\napiVersion: istio.alibabacloud.com/v1\nkind: LLMRoute\nmetadata:\n  name: b\n  namespace: other\nspec: {host: x}\n" + // 8-16
		"...\n---\n---\n" + // 17-19
		"{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"c\"}}\r\n---\r\n" + // 20, 21
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {unknown: 1}\n" + // 22-25
		"---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: e}\n  data: {key: c2stMQ==}\n  stringData: {other: plain}\n" +
		"- apiVersion: istio.alibabacloud.com/v1beta1\n  kind: LLMProvider\n  metadata: {name: f}\n  spec: {host: f}\n"
	o := mustDecode(t, text)
	if len(o.Providers) != 2 || len(o.Routes) != 1 || len(o.Services) != 1 || len(o.Secrets) != 1 || len(o.Strays) != 0 {
		t.Fatalf("got %d providers, %d routes, %d services, %d secrets, %d strays", len(o.Providers), len(o.Routes), len(o.Services), len(o.Secrets), len(o.Strays))
	}
	for _, p := range o.Providers {
		if len(p.Faults) > 0 {
			t.Errorf("%s: %s", p.Object.Name, texts(p.Faults))
		}
	}
	if p := o.Providers[0]; p.Line != 4 || p.Object.Namespace != "default" || p.Object.Spec.Host != "a.example.com" {
		t.Errorf("first provider: line %d, %+v", p.Line, p.Object)
	}
	if r := o.Routes[0]; r.Line != 11 || r.Object.Namespace != "other" {
		t.Errorf("route: line %d, %+v", r.Line, r.Object)
	}
	if s := o.Services[0]; s.Line != 20 {
		t.Errorf("service: line %d", s.Line)
	}
	s := o.Secrets[0]
	if v, _ := s.Object.Value("key"); s.Line != 27 || v != "sk-1" {
		t.Errorf("secret: line %d, key %q", s.Line, v)
	}
	if v, _ := s.Object.Value("other"); v != "plain" {
		t.Errorf("secret: other %q", v)
	}
}

func TestDecodeRefusesWhatIsNotYAML(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"broken indentation": {"apiVersion: v1\nkind: Service\n---\nkind: x\n  spec: y\n", "x.yaml:5: this is not YAML: mapping values are not allowed in this context"},
		"tab":                {"kind: x\nspec:\n\thost: y\n", "x.yaml:3: this is not YAML: found character that cannot start any token"},
		"plain text":         {"\n\nhello world\n", "x.yaml:3: this is not a Kubernetes object; write apiVersion, kind, metadata and spec"},
		"list":               {"- a\n- b\n", "x.yaml:1: this is not a Kubernetes object; write apiVersion, kind, metadata and spec"},
		"unquoted star":      {"kind: x\nkey: *sk-secret\n", "x.yaml:1: this is not YAML: a value begins with *, which refers to an anchor that is not there; write it in quotes"},
		"binary":             {"kind: x\n\x00\xff\xfe", "x.yaml:2: the file is not UTF-8 text; save it as UTF-8"},
		"control character":  {"kind: \x01\n", "x.yaml:1: this is not YAML: control characters are not allowed"},
		"unclosed":           {"kind: \"x\nspec: {", "x.yaml:2: this is not YAML: found unexpected end of stream"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Decode("x.yaml", []byte(test.text))
			var fe *FileError
			if !errors.As(err, &fe) || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestDecodeBounds(t *testing.T) {
	big := strings.Repeat("# filler\n", maxDocumentSize/9+1)
	for name, text := range map[string]string{
		"document": "kind: x\n" + big + "a: b\n",
		"file":     strings.Repeat("#", MaxFileSize+1),
		"objects":  strings.Repeat("kind: x\n---\n", maxObjects+1),
	} {
		_, err := Decode("x.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), "split it") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	began := time.Now()
	if _, err := Decode("x.yaml", []byte(bomb)); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("aliases: got %v after %s", err, time.Since(began))
	}
	deep := "kind: List\napiVersion: v1\nitems: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	_, _ = Decode("x.yaml", []byte(deep))
}

func TestDecodeReportsFieldsByPath(t *testing.T) {
	const provider = "apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata: {name: a}\n"
	const route = "apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMRoute\nmetadata: {name: a}\n"
	tests := map[string]struct{ text, want string }{
		"misspelt": {provider + "spec: {host: a, config: {}}", "UnknownField: spec.config: unknown field; write configs"},
		"capital": {route + "spec: {host: a, rules: [{matches: [{Headers: {}}]}]}",
			"UnknownField: spec.rules[0].matches[0].Headers: unknown field; write headers"},
		"other API's name": {provider + "spec: {host: a, workloadSelector: {matchLabels: {a: b}}}",
			"UnknownField: spec.workloadSelector.matchLabels: unknown field; write labels"},
		"no such field": {route + "spec: {host: a, rules: [{backendRefs: [{providerHost: b, subset: v1}]}]}",
			"UnknownField: spec.rules[0].backendRefs[0].subset: unknown field; the fields here are backendRef, model, priority, providerHost, weight"},
		"in a map": {provider + "spec: {host: a, configs: {routeSpecificConfigs: {vip: {openaiConfig: {}}}}}",
			"UnknownField: spec.configs.routeSpecificConfigs[vip].openaiConfig: unknown field; write openAIConfig"},
		"top level":     {provider + "spec: {host: a}\nextra: 1", "UnknownField: extra: unknown field; the fields here are apiVersion, kind, metadata, spec, status"},
		"metadata":      {provider + "spec: {host: a}", ""},
		"status":        {provider + "spec: {host: a}\nstatus: {anything: [1]}", ""},
		"bad status":    {provider + "spec: {host: a}\nstatus: {conditions: [{lastTransitionTime: today}], workload: 1}", ""},
		"null":          {provider + "spec: {host: a, configs: null, workloadSelector: }", ""},
		"text for bool": {provider + "spec: {host: a, configs: {defaultConfig: {openAIConfig: {stream: 'false'}}}}", "InvalidField: spec.configs.defaultConfig.openAIConfig.stream: this is text; write true or false, without quotes"},
		"number for key": {provider + "spec: {host: a, configs: {defaultConfig: {openAIConfig: {apiKey: 123456}}}}",
			"InvalidField: spec.configs.defaultConfig.openAIConfig.apiKey: this is a number; write text, in quotes if need be"},
		"text for weight": {route + "spec: {host: a, rules: [{backendRefs: [{providerHost: b, weight: '50'}]}]}",
			"InvalidField: spec.rules[0].backendRefs[0].weight: this is text; write a whole number, without quotes"},
		"fraction": {route + "spec: {host: a, rules: [{backendRefs: [{providerHost: b, weight: 0.5}]}]}",
			"InvalidField: spec.rules[0].backendRefs[0].weight: this is a number; write a whole number, without quotes"},
		"bool for exact": {route + "spec: {host: a, rules: [{matches: [{headers: {x: {exact: yes}}}]}]}",
			"InvalidField: spec.rules[0].matches[0].headers[x].exact: this is true or false; write text, in quotes if need be"},
		"map for list": {route + "spec: {host: a, rules: {name: x}}", "InvalidField: spec.rules: this is a map; write a list, each entry after a dash"},
		"twice":        {provider + "spec:\n  host: a\n  host: b\n", "InvalidField: the field host is there twice; keep one of them"},
		"bad time":     {provider[:len(provider)-2] + ", creationTimestamp: today}\nspec: {host: a}", "InvalidField: metadata.creationTimestamp: not a time; write one such as 2026-01-31T12:00:00Z"},
		"no name":      {strings.Replace(provider, "name: a", "", 1) + "spec: {host: a}", "InvalidObject: metadata.name is required"},
		"bad name":     {strings.Replace(provider, "name: a", "name: A/b", 1) + "spec: {host: a}", `InvalidObject: metadata.name: this is not a name; write lower-case letters, digits, dashes and dots`},
		"bad namespace": {strings.Replace(provider, "name: a", "name: a, namespace: x.y", 1) + "spec: {host: a}",
			`InvalidObject: metadata.namespace: this is not a name; write lower-case letters, digits and dashes`},
		"kind in other case": {strings.Replace(provider, "LLMProvider", "LlmProvider", 1) + "spec: {host: a}", `InvalidObject: there is no kind of that name; write LLMProvider`},
		"version": {strings.Replace(provider, "v1beta1", "v1alpha1", 1) + "spec: {host: a}",
			`InvalidObject: there is no such apiVersion of LLMProvider; write istio.alibabacloud.com/v1beta1 or istio.alibabacloud.com/v1`},
		"group": {strings.Replace(provider, "istio.alibabacloud.com", "alibaba.com", 1) + "spec: {host: a}",
			`InvalidObject: there is no such apiVersion of LLMProvider; write istio.alibabacloud.com/v1beta1 or istio.alibabacloud.com/v1`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := mustDecode(t, test.text)
			var faults []Fault
			for _, p := range o.Providers {
				faults = append(faults, p.Faults...)
				if p.Object.Spec.Host == "" {
					t.Error("the host was not read")
				}
			}
			for _, r := range o.Routes {
				faults = append(faults, r.Faults...)
				if r.Object.Spec.Host == "" {
					t.Error("the host was not read")
				}
			}
			if len(o.Providers)+len(o.Routes) != 1 {
				t.Fatalf("got %d objects", len(o.Providers)+len(o.Routes))
			}
			if got := texts(faults); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// printed is an object as kubectl prints it with -o yaml --show-managed-fields.
const printed = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"istio.alibabacloud.com/v1beta1","kind":"LLMProvider"}
  creationTimestamp: "2026-01-31T12:00:00Z"
  deletionGracePeriodSeconds: 0
  deletionTimestamp: "2026-01-31T12:00:09Z"
  finalizers:
  - example.com/hold
  generateName: a-
  generation: 3
  labels:
    team: a
  managedFields:
  - apiVersion: istio.alibabacloud.com/v1beta1
    fieldsType: FieldsV1
    fieldsV1:
      f:spec:
        .: {}
        f:host: {}
    manager: kubectl-client-side-apply
    operation: Update
    time: "2026-01-31T12:00:00Z"
    subresource: status
  name: a
  namespace: other
  ownerReferences:
  - apiVersion: apps/v1
    blockOwnerDeletion: true
    controller: true
    kind: Deployment
    name: d
    uid: 5f1a7a33-6f0e-4c43-bd10-0b0e2d5d3a55
  resourceVersion: "4711"
  selfLink: /apis/istio.alibabacloud.com/v1beta1/namespaces/other/llmproviders/a
  uid: 0c5a7a33-6f0e-4c43-bd10-0b0e2d5d3a55
spec:
  host: a.example.com
status:
  conditions:
  - lastTransitionTime: "2026-01-31T12:00:00Z"
    message: ""
    observedGeneration: 3
    reason: Accepted
    status: "True"
    type: Accepted
`

func TestDecodeTakesWhatKubectlPrints(t *testing.T) {
	p := mustDecode(t, printed).Providers[0]
	if len(p.Faults) > 0 {
		t.Error(texts(p.Faults))
	}
	if created := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC); !p.Object.CreationTimestamp.Time.Equal(created) || p.Object.Generation != 3 {
		t.Errorf("created %v, generation %d", p.Object.CreationTimestamp, p.Object.Generation)
	}
}

func TestDecodeObject(t *testing.T) {
	data, err := yaml.YAMLToJSON([]byte(printed))
	if err != nil {
		t.Fatal(err)
	}
	o, err := DecodeObject(data)
	if err != nil || len(o.Providers) != 1 {
		t.Fatalf("got %+v, %v", o, err)
	}
	if p := o.Providers[0]; p.File != "" || p.Line != 0 || len(p.Faults) > 0 || p.Object.Spec.Host != "a.example.com" {
		t.Errorf("got %+v", p)
	}
	o, err = DecodeObject([]byte(`{"apiVersion": "istio.alibabacloud.com/v1", "kind": "LLMRoute", "metadata": {"name": "a"}, "spec": {"hosts": []}}`))
	if err != nil || len(o.Routes) != 1 || texts(o.Routes[0].Faults) != "UnknownField: spec.hosts: unknown field; write host" {
		t.Errorf("got %+v, %v", o, err)
	}
	o, err = DecodeObject([]byte(`{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}]}`))
	if err != nil || len(o.Services) != 0 {
		t.Errorf("other kind: got %+v, %v", o, err)
	}
	for _, text := range []string{"", "a: b", "[]", "{"} {
		if o, err := DecodeObject([]byte(text)); err == nil {
			t.Errorf("%q: got %+v", text, o)
		}
	}
}

// BenchmarkDecodeObject measures what a watch pays for each event.
func BenchmarkDecodeObject(b *testing.B) {
	data, err := yaml.YAMLToJSON([]byte(printed))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = DecodeObject(data)
	}
}

func TestDecodeReportsDocumentsWithoutKind(t *testing.T) {
	o := mustDecode(t, "replicas: 1\nimage: x\n")
	if len(o.Strays) != 1 || texts(o.Strays[0].Faults) != "InvalidObject: apiVersion and kind are both required; write the ones of the object's type, such as istio.alibabacloud.com/v1beta1 and LLMProvider" {
		t.Errorf("got %+v", o.Strays)
	}
}

func TestDecodeReportsSecretsWithPlainText(t *testing.T) {
	o := mustDecode(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {key: 'sk-plain!'}\n")
	if got := texts(o.Secrets[0].Faults); !strings.Contains(got, "stringData") || strings.Contains(got, "sk-plain") {
		t.Errorf("got %q", got)
	}
}

// yamlBreaks are the line breaks that YAML 1.1 knows.
var yamlBreaks = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: a}\n---\nkind: x\n"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: YQ==}}]\n"))
	f.Add([]byte("a: &a [x]\nb: *a\n...\n%TAG\n--- {}\n"))
	f.Add([]byte("kind: x\r\rb"))
	f.Add([]byte("{\"kind\":\"LLMRoute\",\"apiVersion\":\"istio.alibabacloud.com/v1\",\"spec\":{\"rules\":[{\"backendRefs\":[{\"weight\":1e99}]}]}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := len(yamlBreaks.FindAllIndex(data, -1)) + 1
		o, err := Decode("x.yaml", data)
		if err != nil {
			var fe *FileError
			if !errors.As(err, &fe) || fe.Line < 1 || fe.Line > lines+1 || len(fe.Text) > 400 {
				t.Fatalf("error %v of %d lines", err, lines)
			}
			return
		}
		for _, p := range o.Providers {
			if p.Line < 1 || p.Line > lines || p.Object.Namespace == "" || p.Object.Name == "" && len(p.Faults) == 0 {
				t.Fatalf("provider %+v", p)
			}
		}
	})
}

// TestDecodeKindsOfPolicies holds that a policy whose kind is misspelt does not go
// unnoticed.
func TestDecodeKindsOfPolicies(t *testing.T) {
	for kind, want := range map[string]struct{ as, fault string }{
		"AuthorizationPolicy":    {as: "policy"},
		"authorizationpolicy":    {"policy", `there is no kind of that name; write AuthorizationPolicy`},
		"AuthorizationPolicies":  {"policy", `there is no kind of that name; write AuthorizationPolicy`},
		"RequestAuthentication":  {as: "authentication"},
		"RequestAuthentications": {"authentication", `there is no kind of that name; write RequestAuthentication`},
		"AuthorisationPolicy":    {"stray", `there is no kind of that name in security.istio.io; write AuthorizationPolicy or RequestAuthentication`},
		"PeerAuthentication":     {},
	} {
		o := mustDecode(t, "apiVersion: security.istio.io/v1beta1\nkind: "+kind+"\nmetadata: {name: a}\n")
		var as string
		var faults []Fault
		for _, item := range o.Policies {
			as, faults = "policy", item.Faults
		}
		for _, item := range o.Authentications {
			as, faults = "authentication", item.Faults
		}
		for _, item := range o.Strays {
			as, faults = "stray", item.Faults
		}
		fault := ""
		if len(faults) > 0 {
			fault = faults[0].Message
		}
		if as != want.as || fault != want.fault || len(faults) > 1 {
			t.Errorf("%s: taken for %q with %v", kind, as, faults)
		}
	}
}
