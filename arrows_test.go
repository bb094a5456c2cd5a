package gateway

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is what each package may import of the project's own: a package that is not
// named here may import nothing of it. A line that ends in a slash stands for all
// packages below.
var allowed = map[string][]string{
	"internal/options":      {"llmprovider"},
	"llmprovider":           {"internal/"},
	"llmprovider/dialect":   {"internal/jsonscan", "llmprovider"},
	"llmprovider/dialect/":  {"internal/jsonscan", "llmprovider", "llmprovider/dialect"},
	"llmprovider/kind":      {"internal/options", "llmprovider", "llmprovider/dialect"},
	"llmprovider/cloud":     {"llmprovider", "llmprovider/dialect", "llmprovider/dialect/"},
	"llmprovider/azure":     {"internal/options", "llmprovider", "llmprovider/cloud", "llmprovider/kind", "llmprovider/openai"},
	"llmprovider/translate": {"llmprovider", "llmprovider/dialect", "llmprovider/dialect/"},
	"llmprovider/":          {"internal/options", "llmprovider", "llmprovider/dialect", "llmprovider/dialect/", "llmprovider/cloud", "llmprovider/kind", "llmprovider/translate"}, // kinds
	"llmroute":              {"internal/", "llmprovider", "llmprovider/dialect", "llmroute/authz", "llmroute/filter", "llmroute/guard", "llmroute/limit", "llmroute/limit/", "llmroute/pool"},
	"llmroute/filter":       {"llmprovider"},
	"llmroute/authz":        {"internal/", "llmprovider"},
	"llmroute/guard":        {"internal/jsonscan", "llmprovider", "llmroute/filter"},
	"llmroute/limit":        {"internal/jsonscan"},
	"llmroute/limit/":       {"internal/options", "llmprovider", "llmroute/filter", "llmroute/limit"}, // how limits look in a protocol, and stores
	"llmroute/mock":         {"internal/jsonscan"},
	"llmroute/picker":       {"llmprovider"},
	"llmroute/pool":         {"internal/jsonscan"},
	"llmroute/sidecar":      {"internal/options", "llmroute"},
	"k8ssource":             {"internal/", "k8ssource/api/", "llmprovider", "llmprovider/kind", "llmroute", "llmroute/authz"},
	"k8ssource/api/v1":      {"k8ssource/api/v1beta1"},
	"k8ssource/":            {"internal/", "k8ssource", "k8ssource/", "llmroute", "llmroute/sidecar"},
	"caddyfile":             {"internal/", "llmprovider", "llmprovider/", "llmroute", "llmroute/"},
	"cmd/":                  {"", "internal/version", "caddyfile", "k8ssource", "k8ssource/", "llmprovider/", "llmroute", "llmroute/"},
}

// TestArrows holds which package may import which.
func TestArrows(t *testing.T) {
	const module = "github.com/caddy-llm/gateway"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./internal/...", "./llmprovider/...", "./llmroute/...",
		"./k8ssource/...", "./caddyfile", "./cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], module+"/")
		for _, path := range fields[1:] {
			imported, own := strings.CutPrefix(path, module)
			if imported = strings.TrimPrefix(imported, "/"); own && !mayImport(name, imported) {
				t.Errorf("%s imports %s, which it may not: turn the arrow around, or allow it here with a reason", name, imported)
			}
		}
	}
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
