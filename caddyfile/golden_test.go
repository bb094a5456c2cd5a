package caddyfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	_ "github.com/caddy-llm/gateway/llmprovider/anthropic"
	_ "github.com/caddy-llm/gateway/llmprovider/azure"
	_ "github.com/caddy-llm/gateway/llmprovider/bedrock"
	_ "github.com/caddy-llm/gateway/llmprovider/google"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	_ "github.com/caddy-llm/gateway/llmprovider/openai"
	_ "github.com/caddy-llm/gateway/llmprovider/vertex"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/cache"
	_ "github.com/caddy-llm/gateway/llmroute/cache/asmstore"
	_ "github.com/caddy-llm/gateway/llmroute/cache/redisstore"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/limit"
	_ "github.com/caddy-llm/gateway/llmroute/limit/redisstore"
	_ "github.com/caddy-llm/gateway/llmroute/limit/rlsstore"
	_ "github.com/caddy-llm/gateway/llmroute/limit/tokenstore"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/selection"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

var update = flag.Bool("update", false, "write what is produced into the golden files")

const goldenSeparator = "----------\n"

// goldenSource stands for a source module, of which this package has none.
type goldenSource struct {
	spec.Source `json:"-"`
	Paths       []string `json:"paths,omitempty"`
}

func (goldenSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "llm.sources.golden", New: func() caddy.Module { return new(goldenSource) }}
}

// UseKeys implements spec.KeysSource.
func (*goldenSource) UseKeys(string) {}

func (s *goldenSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	s.Paths = d.RemainingArgs()
	for d.NextBlock(0) {
		if d.Val() != "path" {
			return d.Errf("unknown golden option %q", d.Val())
		}
		s.Paths = append(s.Paths, d.RemainingArgs()...)
	}
	return nil
}

// goldenPolicy stands for a selection policy with arguments.
type goldenPolicy struct {
	selection.Policy `json:"-"`
	Header           string `json:"header,omitempty"`
}

func (goldenPolicy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "llm.selection_policies.golden", New: func() caddy.Module { return new(goldenPolicy) }}
}

func (p *goldenPolicy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&p.Header) {
		return d.Errf("policy golden takes a header")
	}
	return nil
}

func init() {
	caddy.RegisterModule(goldenSource{})
	caddy.RegisterModule(goldenPolicy{})
}

// adapt returns the indented JSON, or the error's text, as golden files have
// them.
func adapt(t *testing.T, in []byte) (out string, failed bool) {
	t.Helper()
	got, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(in, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n", true
	}
	for _, w := range warnings { // an unformatted file is one
		t.Errorf("warning: %s", w)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String() + "\n", false
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(data), goldenSeparator)
			got, failed := adapt(t, []byte(in))
			if failed != strings.Contains(file, "_error") {
				t.Errorf("adapting failed: %v, against what the file's name says:\n%s", failed, got)
			}
			if strings.Contains(got, "not-shown") {
				t.Errorf("shows a secret: %s", got)
			}
			if got == want {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(in+goldenSeparator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("got\n%swant\n%s", got, want)
		})
	}
}

// TestGoldenForEveryOption holds that an option has one file that shows it and
// one that shows its mistakes.
func TestGoldenForEveryOption(t *testing.T) {
	blocks := map[string][]options.Option{
		"app":        appOptions(new(llmroute.App)),
		"route":      newRouteBlock(httpcaddyfile.Helper{}, nil).options(),
		"rule":       newRouteBlock(httpcaddyfile.Helper{}, nil).own.options(),
		"keys":       keysOptions(new(virtualkey.Keys), nil),
		"limits":     limitsOptions(new(limit.Config)),
		"limit":      limitOptions(new(limit.Definition)),
		"guard":      guardOptions(new(guard.Definition)),
		"webhook":    webhookOptions(new(decide.Webhook)),
		"moderation": moderationOptions(new(decide.Moderation)),
		"judge":      judgeOptions(new(decide.Judge)),
		"prompt":     promptOptions(new(prompt.Definition)),
		"cache":      cacheOptions(new(cache.Config)),
		"rule_cache": ruleCacheOptions(new(cache.Rule)),
	}
	for block, options := range blocks {
		for _, o := range options {
			hasGolden(t, block, o.Name)
		}
	}
	for _, info := range caddy.GetModules(kind.Namespace) {
		begin := "kind " + info.ID.Name() + "\n"
		for _, option := range optionNames(t, begin) {
			hasGolden(t, "provider", option)
		}
		for _, option := range optionNames(t, begin+"for r {\n") {
			hasGolden(t, "for", option)
		}
	}
}

// optionNames are those of a provider's block that begins so: an unknown option is
// answered with the names of those there are.
func optionNames(t *testing.T, begin string) []string {
	t.Helper()
	in := "{\nllm {\nprovider a.example.com {\n" + begin + "nonsense\n" + strings.Repeat("}\n", strings.Count(begin, "{")+3)
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(in), map[string]any{"filename": "Caddyfile"})
	if err == nil {
		t.Fatal("an unknown option is taken")
	}
	_, list, ok := strings.Cut(err.Error(), "expected one of ")
	if list, _, _ = strings.Cut(list, ", at "); !ok {
		t.Fatal(err)
	}
	return strings.Split(list, ", ")
}

func hasGolden(t *testing.T, block, option string) {
	t.Helper()
	if strings.HasPrefix(option, "tls_") {
		option = "tls"
	}
	name := block + "_" + option
	for _, file := range []string{name, name + "_error"} {
		if _, err := os.Stat(filepath.Join("testdata", file+".caddyfiletest")); err != nil {
			t.Errorf("no golden file for %s option %s: %v", block, option, err)
		}
	}
}
