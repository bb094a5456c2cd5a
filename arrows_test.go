package gateway

import (
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed is what each package may import of the project's own: a package that is not
// named here may import nothing of it. A line that ends in a slash stands for all
// packages below.
var allowed = map[string][]string{
	"internal/options":       {"llmprovider/upstream"},
	"internal/redisclient":   {"internal/options"},
	"llmprovider":            {"internal/", "llmprovider/headername"},
	"llmprovider/headername": {"internal/hopbyhop"},
	"llmprovider/tap":        {"internal/jsonscan", "llmprovider"},
	"llmprovider/upstream":   {"internal/", "llmprovider", "llmprovider/headername"},
	"llmprovider/dialect":    {"internal/jsonscan", "llmprovider"},
	"llmprovider/dialect/":   {"internal/jsonscan", "llmprovider", "llmprovider/dialect", "llmprovider/tap"},
	"llmprovider/kind":       {"internal/options", "llmprovider", "llmprovider/upstream", "llmprovider/headername", "llmprovider/dialect", "llmprovider/media"},
	"llmprovider/cloud":      {"internal/jsonscan", "llmprovider", "llmprovider/dialect", "llmprovider/dialect/"},
	"llmprovider/azure":      {"internal/options", "llmprovider", "llmprovider/upstream", "llmprovider/cloud", "llmprovider/kind", "llmprovider/openai"},
	"llmprovider/vertex":     {"internal/options", "llmprovider", "llmprovider/upstream", "llmprovider/cloud", "llmprovider/dialect", "llmprovider/dialect/", "llmprovider/google", "llmprovider/kind", "llmprovider/translate"},
	"llmprovider/media":      {"internal/jsonscan", "llmprovider", "llmprovider/upstream", "llmprovider/dialect"},
	"llmprovider/translate":  {"llmprovider", "llmprovider/dialect", "llmprovider/dialect/"},
	"llmprovider/":           {"internal/options", "llmprovider", "llmprovider/upstream", "llmprovider/dialect", "llmprovider/dialect/", "llmprovider/cloud", "llmprovider/kind", "llmprovider/translate"}, // kinds
	"llmroute":               {"internal/", "llmprovider", "llmprovider/tap", "llmprovider/upstream", "llmprovider/headername", "llmprovider/dialect", "llmroute/accesslog", "llmroute/authz", "llmroute/authz/jwt", "llmroute/cache", "llmroute/capture", "llmroute/cooldown", "llmroute/crosssite", "llmroute/filter", "llmroute/guard", "llmroute/httproute", "llmroute/inbound", "llmroute/inflight", "llmroute/known", "llmroute/life", "llmroute/limit", "llmroute/limit/", "llmroute/listen", "llmroute/meter", "llmroute/modellist", "llmroute/pool", "llmroute/price", "llmroute/prompt", "llmroute/receive", "llmroute/selection", "llmroute/sources", "llmroute/spec", "llmroute/status", "llmroute/virtualkey"},
	"llmroute/accesslog":     {"llmprovider/headername"},
	"llmroute/cache":         {"internal/jsonscan", "internal/options", "llmprovider", "llmprovider/tap", "llmroute/filter"},
	"llmroute/cache/":        {"internal/options", "internal/redisclient", "internal/service", "llmroute/cache", "llmroute/cache/sealed"}, // stores, and what they are given
	"llmroute/capture":       {"internal/host", "internal/options", "llmprovider"},
	"llmroute/command":       {},
	"llmroute/cooldown":      {},
	"llmroute/crosssite":     {"internal/host", "llmprovider", "llmroute/virtualkey"},
	"llmroute/filter":        {"llmprovider"},
	"llmroute/httproute":     {"internal/hopbyhop", "internal/host", "llmprovider", "llmprovider/headername"},
	"llmroute/inbound":       {"llmprovider", "llmroute/authz", "llmroute/matcher", "llmroute/meter", "llmroute/virtualkey"},
	"llmroute/inflight":      {},
	"llmroute/known":         {},
	"llmroute/authz":         {"internal/", "llmprovider", "llmprovider/headername", "llmroute/authz/jwt"},
	"llmroute/authz/jwt":     {"internal/", "llmprovider/upstream", "llmprovider/headername"},
	"llmroute/guard":         {"internal/jsonscan", "llmprovider", "llmroute/filter", "llmroute/guard/decide", "llmroute/guard/detect"},
	"llmroute/guard/decide":  {"internal/jsonscan", "llmprovider/upstream"},
	"llmroute/guard/detect":  {},
	"llmroute/limit":         {"llmroute/limit/estimate", "llmroute/limit/grant", "llmroute/limit/health", "llmroute/limit/period", "llmroute/limit/tuple"},
	"llmroute/limit/":        {"internal/options", "internal/redisclient", "internal/service", "llmprovider", "llmroute/filter", "llmroute/limit", "llmroute/limit/countup", "llmroute/limit/estimate", "llmroute/limit/grant"}, // how limits look in a protocol, and stores
	"llmroute/limit/inforce": {"llmroute/life", "llmroute/limit", "llmroute/limit/limithttp"},
	"llmroute/limit/unmet":   {"llmroute/limit", "llmroute/price"},
	"llmroute/matcher":       {"internal/host"},
	"llmroute/modellist":     {"llmprovider"},
	"llmroute/mock":          {"internal/jsonscan"},
	"llmroute/picker":        {"llmprovider", "llmprovider/headername"},
	"llmroute/pool":          {"internal/jsonscan"},
	"llmroute/receive":       {"llmprovider", "llmprovider/dialect", "llmprovider/tap", "llmprovider/upstream"},
	"llmroute/selection":     {},
	"llmroute/life":          {},
	"llmroute/sources":       {"llmroute/spec"},
	"llmroute/spec":          {"llmprovider", "llmroute/authz", "llmroute/cache", "llmroute/cooldown", "llmroute/filter", "llmroute/guard", "llmroute/httproute", "llmroute/inbound", "llmroute/life", "llmroute/limit", "llmroute/listen", "llmroute/prompt", "llmroute/selection", "llmroute/virtualkey"}, // what rules and states are made of
	"llmroute/status":        {"internal/host", "internal/version", "llmprovider", "llmroute/authz", "llmroute/cache", "llmroute/guard", "llmroute/httproute", "llmroute/limit", "llmroute/listen", "llmroute/meter", "llmroute/pool", "llmroute/spec"},
	"llmroute/prompt":        {"internal/jsonscan", "llmprovider", "llmroute/filter"},
	"llmroute/meter":         {"internal/version", "llmprovider", "llmroute/authz", "llmroute/cache", "llmroute/cooldown", "llmroute/guard", "llmroute/httproute", "llmroute/limit", "llmroute/pool", "llmroute/price"},
	"llmroute/listen":        {"internal/host", "llmprovider", "llmroute/capture"},
	"llmroute/virtualkey":    {"internal/livefile", "llmprovider", "llmroute/authz", "llmroute/authz/jwt", "llmroute/command", "llmroute/matcher", "llmroute/meter"},
	"llmroute/sidecar":       {"internal/options", "llmroute/command"},
	"k8ssource":              {"internal/", "k8ssource/api/", "llmprovider/upstream", "llmprovider/kind", "k8ssource/gatewayapi", "k8ssource/object", "llmroute/capture", "llmroute/filter", "llmroute/guard", "llmroute/httproute", "llmroute/limit", "llmroute/listen", "llmroute/prompt", "llmroute/spec", "llmroute/virtualkey", "k8ssource/authorization", "k8ssource/header", "k8ssource/workload", "k8ssource/provider", "k8ssource/limits", "k8ssource/httprule", "k8ssource/policy", "k8ssource/condition"},
	"k8ssource/object":       {"internal/", "k8ssource/api/", "k8ssource/gatewayapi", "llmprovider/kind", "llmprovider/upstream"},
	"k8ssource/gatewayapi":   {"internal/host"},
	"k8ssource/source":       {"internal/options", "k8ssource", "llmroute/capture", "llmroute/listen", "llmroute/spec", "k8ssource/provider"},
	"k8ssource/files":        {"internal/", "k8ssource", "k8ssource/object", "k8ssource/source", "llmroute/spec"},
	"k8ssource/manifests":    {"internal/", "k8ssource", "k8ssource/api/", "k8ssource/files", "k8ssource/object", "k8ssource/source", "llmprovider", "llmprovider/headername", "llmprovider/kind", "llmroute", "llmroute/authz", "llmroute/authz/jwt", "llmroute/command", "llmroute/limit", "llmroute/listen", "llmroute/spec", "k8ssource/authorization", "k8ssource/limits", "k8ssource/policy", "k8ssource/redact"},
	"k8ssource/api/v1":       {"k8ssource/api/v1beta1"},
	"k8ssource/api/v1alpha1": {"k8ssource/api/v1beta1"},
	"k8ssource/":             {"internal/", "k8ssource", "k8ssource/", "llmroute/capture", "llmroute/command", "llmroute/sidecar", "llmroute/spec"},
	"caddyfile":              {"internal/", "llmprovider/", "llmroute", "llmroute/"},
	"cmd/":                   {"", "internal/version", "caddyfile", "k8ssource", "k8ssource/", "llmprovider/", "llmroute", "llmroute/"},

	"k8ssource/authorization": {"k8ssource/header", "k8ssource/object", "k8ssource/workload", "llmprovider/upstream", "llmroute/authz", "llmroute/authz/jwt", "llmroute/listen"},
	"k8ssource/condition":     {"k8ssource/gatewayapi", "k8ssource/object", "llmroute/spec"},
	"k8ssource/header":        {"k8ssource/api/", "k8ssource/object", "llmprovider/headername", "llmroute/listen", "llmroute/matcher"},
	"k8ssource/httprule":      {"k8ssource/gatewayapi", "k8ssource/object", "llmroute/httproute", "llmroute/matcher"},
	"k8ssource/limits":        {"k8ssource/api/", "k8ssource/header", "k8ssource/object", "k8ssource/workload", "llmprovider/kind", "llmroute/limit", "llmroute/limit/period", "llmroute/listen", "llmroute/matcher", "llmroute/spec"},
	"k8ssource/policy":        {"k8ssource/api/", "k8ssource/header", "k8ssource/object", "llmprovider/headername", "llmprovider/upstream", "llmroute/cache", "llmroute/guard", "llmroute/guard/decide", "llmroute/guard/detect", "llmroute/prompt", "llmroute/spec"},
	"k8ssource/provider":      {"internal/options", "k8ssource/api/", "k8ssource/header", "k8ssource/object", "llmprovider", "llmprovider/headername", "llmprovider/kind", "llmprovider/upstream"},
	"k8ssource/redact":        {"llmprovider", "llmprovider/headername", "llmprovider/kind", "llmroute/authz", "llmroute/guard", "llmroute/limit", "llmroute/listen", "llmroute/prompt", "llmroute/spec"},
	"k8ssource/workload":      {"llmroute/spec"},

	"llmroute/limit/estimate": {"internal/jsonscan", "llmprovider"},
	"llmroute/limit/grant":    {"llmroute/limit/tuple"},
	"llmroute/limit/health":   {},
	"llmroute/limit/period":   {},
	"llmroute/limit/tuple":    {},
	"llmroute/price":          {"internal/livefile", "llmprovider"},
}

// TestArrows holds which package may import which.
func TestArrows(t *testing.T) {
	const module = "github.com/caddy-llm/gateway"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./internal/...", "./llmprovider/...", "./llmroute/...",
		"./k8ssource/...", "./caddyfile", "./cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	imports := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], module+"/")
		imports[name] = nil
		for _, imported := range fields[1:] {
			imported, own := strings.CutPrefix(imported, module)
			if imported = strings.TrimPrefix(imported, "/"); own && !mayImport(name, imported) {
				t.Errorf("%s imports %s, which it may not: turn the arrow around, or allow it here with a reason", name, imported)
			}
			if own {
				imports[name] = append(imports[name], imported)
			}
		}
	}
	for name, may := range allowed {
		if strings.HasSuffix(name, "/") {
			continue // stands for several, each of which may need less
		}
		if _, ok := imports[name]; !ok {
			t.Errorf("there is no package %s: take its line out", name)
		}
		for _, one := range may {
			if !strings.HasSuffix(one, "/") && !slices.Contains(imports[name], one) {
				t.Errorf("%s may import %s, and does not: take it out", name, one)
			}
		}
	}
	table, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range imports {
		if !isInTable(string(table), name) {
			t.Errorf("the table of CONTRIBUTING.md does not name %s", name)
		}
	}
}

// isInTable reports whether a table of folders has a package, with its path or its last name. One
// that is below another may go without. Those below internal and cmd do.
func isInTable(table, name string) bool {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	return dir == "internal" || dir == "cmd" || strings.Contains(table, "`"+name+"`") || strings.Contains(table, "`"+base+"`") ||
		strings.Contains(dir, "/") && isInTable(table, dir)
}

func mayImport(name, imported string) bool {
	list, ok := allowed[name]
	for dir := name; !ok; {
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			return false
		}
		dir = dir[:i]
		list, ok = allowed[dir+"/"]
	}
	return slices.ContainsFunc(list, func(may string) bool {
		return imported == may || strings.HasSuffix(may, "/") && strings.HasPrefix(imported, may)
	})
}
