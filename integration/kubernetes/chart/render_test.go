package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// matches compares a file with what was rendered, or writes it.
func matches(t *testing.T, file, rendered string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(rendered), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, got := strings.Split(read(t, file), "\n"), strings.Split(rendered, "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Fatalf("%s differs from what the chart renders, from line %d on; run the test with -update to write it", file, i+1)
		}
	}
}

const plainHeader = `# The gateway as plain manifests: what the chart beside this file renders with its
# defaults, without the CRDs. It is written by a test; change the chart instead.
`

func TestPlainManifests(t *testing.T) {
	matches(t, filepath.Join(examples, "gateway.yaml"), plainHeader+render(t, "--set", "crds.install=false"))
}

const injectionHeader = `# The gateway as plain manifests, with the webhook that adds it to pods as a sidecar:
# what the chart beside this file renders with injection.enabled=true, without the
# CRDs. It is written by a test; change the chart instead.
`

func TestPlainManifestsWithInjection(t *testing.T) {
	matches(t, filepath.Join(examples, "gateway-injection.yaml"), injectionHeader+render(t, "--set", "crds.install=false,injection.enabled=true"))
}

func TestAllOptions(t *testing.T) {
	matches(t, "testdata/all.yaml", render(t, "--set", "crds.install=false", "--values", "testdata/all-values.yaml"))
}

// TestCRDs holds that the chart, also as a package, has the CRDs as they are made
// from the Go types, and that they outlive the release.
func TestCRDs(t *testing.T) {
	files, err := filepath.Glob(examples + "/crds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	r := helm(t, nil, "template", "llm-gateway", packaged(t), kubeVersion)
	if r.failed {
		t.Fatal(r.stderr)
	}
	rendered := objects(t, r.stdout)
	for _, file := range files {
		for _, want := range objects(t, read(t, file)) {
			got := find(t, rendered, "CustomResourceDefinition", want.name())
			annotations, _ := got.at("metadata", "annotations").(map[string]any)
			if annotations["helm.sh/resource-policy"] != "keep" {
				t.Errorf("%s: would be deleted with the release", want.name())
			}
			delete(annotations, "helm.sh/resource-policy")
			if want.at("metadata", "annotations") == nil {
				delete(got["metadata"].(map[string]any), "annotations")
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s is not as in %s", want.name(), file)
			}
		}
	}
}

// packaged returns the chart as a package.
func packaged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if r := helm(t, nil, "package", chartDir, "--destination", dir); r.failed {
		t.Fatal(r.stderr)
	}
	packages, err := filepath.Glob(dir + "/*.tgz")
	if err != nil || len(packages) != 1 {
		t.Fatalf("%v, %v", packages, err)
	}
	return packages[0]
}

// TestRulesAndDashboard holds that the chart, also as a package, has the rules and
// the dashboard as they are.
func TestRulesAndDashboard(t *testing.T) {
	r := helm(t, nil, "template", "llm-gateway", packaged(t), kubeVersion, "--set", "crds.install=false",
		"--set", "prometheusRule.enabled=true,prometheusRule.labels.release=prometheus,grafanaDashboard.enabled=true")
	if r.failed {
		t.Fatal(r.stderr)
	}
	rendered := objects(t, r.stdout)
	rule := find(t, rendered, "PrometheusRule", "llm-gateway")
	want := objects(t, read(t, examples+"/../observability/rules.yaml"))[0]
	if !reflect.DeepEqual(rule["spec"], map[string]any(want)) || len(want) == 0 {
		t.Error("the rules are not those of the example")
	}
	if rule.at("metadata", "labels", "release") != "prometheus" {
		t.Errorf("the labels are %v", rule.at("metadata", "labels"))
	}
	dashboard := find(t, rendered, "ConfigMap", "llm-gateway-dashboard")
	if dashboard.at("data", "llm-gateway.json") != read(t, examples+"/../observability/dashboard.json") {
		t.Error("the dashboard is not that of the example")
	}
	if dashboard.at("metadata", "labels", "grafana_dashboard") != "1" {
		t.Errorf("the labels are %v", dashboard.at("metadata", "labels"))
	}
}

func TestLint(t *testing.T) {
	for _, args := range [][]string{nil, {"--values", "testdata/all-values.yaml"}} {
		r := helm(t, nil, append([]string{"lint", chartDir, "--strict", "--namespace", "istio-system", kubeVersion}, args...)...)
		if r.failed {
			t.Errorf("%s%s", r.stdout, r.stderr)
		}
	}
}

// TestValuesThatAreRefused holds that values which are misspelt, or cannot work,
// are met before anything is installed.
func TestValuesThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, set, want string }{
		{"misspelt", "replica=3", "'replica'"},
		{"misspelt inside", "service.portz=1", "'portz'"},
		{"type", "replicas=two", "/replicas"},
		{"choice", "service.externalTrafficPolicy=Remote", "/service/externalTrafficPolicy"},
		{"no port", "service.ports=null", "missing property 'ports'"},
		{"port", "service.ports[0].port=70000,service.ports[0].name=http,service.ports[0].targetPort=8080", "/service/ports/0/port"},
		{"port of the status listener", "service.ports[0].port=15021,service.ports[0].name=http,service.ports[0].targetPort=15021", "/service/ports/0/targetPort"},
		{"Secrets without names", "secrets[0].namespace=team-a", "/secrets/0"},
		{"two entries for a namespace", "secrets[0].names={a},secrets[1].names={b}", "is there twice"},
		{"all Secrets", "secrets[0].names={*}", "/secrets/0/names/0"},
		{"range of addresses", "service.loadBalancerSourceRanges={203.0.113.1}", "/service/loadBalancerSourceRanges/0"},
		{"failure policy", "injection.failurePolicy=Maybe", "/injection/failurePolicy"},
		{"time", "injection.timeoutSeconds=60", "/injection/timeoutSeconds"},
		{"digest", "image.digest=0123", "/image/digest"},
		{"right that is no choice", "rbac.meshConfig=maybe", "/rbac/meshConfig"},
		{"labels that are no strings", "labels.istio=true", "/labels/istio"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := helm(t, nil, "template", "llm-gateway", chartDir, kubeVersion, "--set", test.set)
			if !r.failed || !strings.Contains(strings.ReplaceAll(r.stderr, ".", "/"), test.want) {
				t.Errorf("want an error at %s: %s", test.want, r.stderr)
			}
		})
	}
}

// TestValuesAreDescribed holds that the schema knows exactly the values there are.
func TestValuesAreDescribed(t *testing.T) {
	values := objects(t, read(t, chartDir+"/values.yaml"))[0]
	schema := objects(t, read(t, chartDir+"/values.schema.json"))[0]
	described := schema.at("properties").(map[string]any)
	for name := range values {
		if described[name] == nil {
			t.Errorf("the schema does not know %s", name)
		}
	}
	for name := range described {
		if _, ok := values[name]; !ok && name != "global" { // is Helm's
			t.Errorf("the schema knows %s, which is no value", name)
		}
	}
}

var drain = regexp.MustCompile(`drain_timeout (\S+)`)

// TestStop holds that a pod has the time to do what it is told to do when it
// stops.
func TestStop(t *testing.T) {
	for _, test := range []struct{ preStop, timeout int }{{15, 600}, {0, 1}, {60, 3600}} {
		all := objects(t, render(t, "--set", fmt.Sprintf("drain.preStopSeconds=%d,drain.timeoutSeconds=%d", test.preStop, test.timeout)))
		pod := object(find(t, all, "Deployment", "llm-gateway").at("spec", "template").(map[string]any))
		grace := pod.at("spec", "terminationGracePeriodSeconds").(float64)
		container := object(pod.at("spec", "containers").([]any)[0].(map[string]any))
		sleep, _ := container.at("lifecycle", "preStop", "sleep", "seconds").(float64)
		m := drain.FindStringSubmatch(caddyfile(t, all))
		if m == nil {
			t.Fatal("the Caddyfile has no drain_timeout")
		}
		timeout, err := time.ParseDuration(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if int(sleep) != test.preStop || timeout != time.Duration(test.timeout)*time.Second {
			t.Errorf("%+v: sleeps for %v s, drains for %v", test, sleep, timeout)
		}
		if margin := grace - sleep - timeout.Seconds(); margin < 10 {
			t.Errorf("%+v: killed after %v s, %v s after all it may wait for", test, grace, margin)
		}
	}
}

// caddyfile returns what the pods run.
func caddyfile(t *testing.T, all []object) string {
	t.Helper()
	return find(t, all, "ConfigMap", "llm-gateway").at("data", "Caddyfile").(string)
}

// TestCaddyfileReplacesPods holds that a change of the Caddyfile is one of the
// pods, which would not see it otherwise.
func TestCaddyfileReplacesPods(t *testing.T) {
	sum := func(args ...string) any {
		return find(t, objects(t, render(t, args...)), "Deployment", "llm-gateway").at("spec", "template", "metadata", "annotations", "checksum/caddyfile")
	}
	if before := sum(); before == nil || before == sum("--set", "extraCaddyfile=:9000 {}") || before != sum("--set", "service.type=NodePort") {
		t.Errorf("checksum %v", before)
	}
}

// TestPorts holds that each port of the Service leads to one of the pods', and
// that the gateway listens there.
func TestPorts(t *testing.T) {
	all := objects(t, render(t, "--values", "testdata/all-values.yaml", "--set", "fullnameOverride="))
	listens := make(map[string]string)
	for _, pair := range strings.Fields(regexp.MustCompile(`port_map (.*)`).FindStringSubmatch(caddyfile(t, all))[1]) {
		from, to, _ := strings.Cut(pair, ":")
		listens[from] = to
	}
	pods := make(map[string]string)
	container := find(t, all, "Deployment", "llm-gateway").at("spec", "template", "spec", "containers").([]any)[0].(map[string]any)
	for _, p := range container["ports"].([]any) {
		port := p.(map[string]any)
		pods[port["name"].(string)] = strconv.Itoa(int(port["containerPort"].(float64)))
	}
	ports := find(t, all, "Service", "llm-gateway").at("spec", "ports").([]any)
	for _, p := range ports {
		port := p.(map[string]any)
		number := strconv.Itoa(int(port["port"].(float64)))
		want := number
		if listens[number] != "" {
			want = listens[number]
		}
		if got := pods[port["targetPort"].(string)]; got != want {
			t.Errorf("port %s leads to %s, and the gateway listens at %s", number, got, want)
		}
	}
	if len(ports) != 3 {
		t.Errorf("%d ports", len(ports))
	}
}

// TestIstioVersion holds that the page installs the CRDs of Istio that are tested.
func TestIstioVersion(t *testing.T) {
	page := regexp.MustCompile(`/istio/api/(v[\d.]+)/`).FindStringSubmatch(read(t, examples+"/README.md"))
	tested := regexp.MustCompile(`(?m)^\s+istio\.io/api (v[\d.]+)$`).FindStringSubmatch(read(t, "../lab/go.mod"))
	if page == nil || tested == nil || page[1] != tested[1] {
		t.Errorf("the page has %v, the tests %v", page, tested)
	}
}
