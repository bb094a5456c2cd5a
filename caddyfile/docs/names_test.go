package docs_test

import (
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/cluster"
	"github.com/caddy-llm/gateway/k8ssource/cluster/webhook"
	"github.com/caddy-llm/gateway/k8ssource/files"
	"github.com/caddy-llm/gateway/k8ssource/inject"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
	"github.com/caddy-llm/gateway/llmroute/cache"
	cacheredis "github.com/caddy-llm/gateway/llmroute/cache/redisstore"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/httproute"
	"github.com/caddy-llm/gateway/llmroute/inbound"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/rlsstore"
	"github.com/caddy-llm/gateway/llmroute/limit/tokenstore"
	"github.com/caddy-llm/gateway/llmroute/matcher"
	"github.com/caddy-llm/gateway/llmroute/mock"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

var (
	fenced = regexp.MustCompile("(?ms)^```.*?^```$")
	span   = regexp.MustCompile("`[^`\n]+`")
)

// mentions holds that a page has each of the names in a code span.
func mentions(t *testing.T, page string, names ...string) {
	t.Helper()
	if len(names) == 0 {
		t.Errorf("there are no names to look for in %s", page)
	}
	spans := strings.Join(span.FindAllString(fenced.ReplaceAllString(read(t, page), ""), -1), "\n")
	for _, name := range names {
		if !regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(name) + `([^\w-]|$)`).MatchString(spans) {
			t.Errorf("%s does not mention %s", page, name)
		}
	}
}

// TestOptions holds that each option is on its page. An unknown option is
// answered with the names of those there are.
func TestOptions(t *testing.T) {
	const providers = "{\n\tllm {\n\t\tprovider a.example.com\n\t}\n}\n\n"
	tests := []struct{ page, config string }{
		{"llm.md", "{\n\tllm {\n\t\tnonsense\n\t}\n}\n"},
		{"llm.md", "{\n\tllm {\n\t\tprovider a.example.com {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm.md", "{\n\tllm {\n\t\tprovider a.example.com {\n\t\t\tfor rule {\n\t\t\t\tnonsense\n\t\t\t}\n\t\t}\n\t}\n}\n"},
		{"budgets.md", "{\n\tllm {\n\t\tlimits {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"budgets.md", "{\n\tllm {\n\t\tlimits {\n\t\t\tlimit a {\n\t\t\t\tnonsense\n\t\t\t}\n\t\t}\n\t}\n}\n"},
		{"guards.md", "{\n\tllm {\n\t\tguard a {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"cache.md", "{\n\tllm {\n\t\tcache {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"cache.md", "{\n\tllm {\n\t\tcache {\n\t\t\tstore nonsense\n\t\t}\n\t}\n}\n"},
		{"prompts.md", "{\n\tllm {\n\t\tprompt a {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm_route.md", providers + ":8080 {\n\tllm_route {\n\t\tnonsense\n\t}\n}\n"},
		{"llm_route.md", providers + ":8080 {\n\tllm_route {\n\t\trule {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm_route.md", providers + ":8080 {\n\tllm_route {\n\t\tpolicy nonsense\n\t}\n}\n"},
		{"llm_keys.md", ":8080 {\n\tllm_keys {\n\t\tnonsense\n\t}\n}\n"},
		{"llm_authz.md", ":8080 {\n\tllm_authz {\n\t\tnonsense\n\t}\n}\n"},
		{"llm_authz.md", ":8080 {\n\tllm_authz {\n\t\tdeny {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm_authz.md", ":8080 {\n\tllm_authz {\n\t\tdeny {\n\t\t\tfrom nonsense\n\t\t}\n\t}\n}\n"},
		{"llm_authz.md", ":8080 {\n\tllm_authz {\n\t\tdeny {\n\t\t\tto nonsense\n\t\t}\n\t}\n}\n"},
		{"llm_authz.md", ":8080 {\n\tllm_authz {\n\t\tjwt a {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm_authz.md", ":8080 {\n\tllm_authz {\n\t\text_authz a {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm_mock.md", ":8080 {\n\tllm_mock {\n\t\tnonsense\n\t}\n}\n"},
		{"source_files.md", "{\n\tllm {\n\t\tsource files a.yaml {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"webhook.md", "{\n\tllm {\n\t\tsource kubernetes {\n\t\t\tinjection a {\n\t\t\t\tnonsense\n\t\t\t}\n\t\t}\n\t}\n}\n"},
		{"source_kubernetes.md", "{\n\tllm {\n\t\tsource kubernetes {\n\t\t\tnonsense\n\t\t}\n\t}\n}\n"},
		{"llm.md", "{\n\tllm {\n\t\tsource nonsense\n\t}\n}\n"},
	}
	list := regexp.MustCompile(`(?:expected one of|its options are|this build has:) ([\w, ]+), at `)
	for _, test := range tests {
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(test.config), nil)
		if err == nil {
			t.Errorf("%s: there is no error for\n%s", test.page, test.config)
			continue
		}
		m := list.FindStringSubmatch(err.Error())
		if m == nil {
			t.Errorf("%s: the error names no options: %v", test.page, err)
			continue
		}
		mentions(t, test.page, strings.Split(strings.ReplaceAll(m[1], " and ", ", "), ", ")...)
	}
}

// TestJSONFields holds that each field of a configuration, and of the admin
// endpoint's answer, is on its page.
func TestJSONFields(t *testing.T) {
	for page, types := range map[string][]reflect.Type{
		"llm.md":          {reflect.TypeFor[llmroute.App](), reflect.TypeFor[spec.Identity](), reflect.TypeFor[openai.Provider](), reflect.TypeFor[kind.Base](), reflect.TypeFor[kind.Config]()},
		"llm_route.md":    {reflect.TypeFor[llmroute.Handler](), reflect.TypeFor[spec.Rule](), reflect.TypeFor[spec.Backend](), reflect.TypeFor[spec.Route](), reflect.TypeFor[matcher.HeaderValue](), reflect.TypeFor[httproute.Handler](), reflect.TypeFor[httproute.Service](), reflect.TypeFor[httproute.Redirect]()},
		"budgets.md":      {reflect.TypeFor[limit.Config](), reflect.TypeFor[limit.Definition](), reflect.TypeFor[limit.Amount]()},
		"limit_stores.md": {reflect.TypeFor[rlsstore.Service](), reflect.TypeFor[tokenstore.Store]()},
		"guards.md":       {reflect.TypeFor[guard.Definition](), reflect.TypeFor[guard.Pattern](), reflect.TypeFor[decide.Webhook](), reflect.TypeFor[decide.Moderation](), reflect.TypeFor[guard.OnResponse]()},
		"cache.md":        {reflect.TypeFor[cache.Config](), reflect.TypeFor[cache.Rule](), reflect.TypeFor[cache.Memory](), reflect.TypeFor[cacheredis.Store](), reflect.TypeFor[cache.Tags]()},
		"prompts.md":      {reflect.TypeFor[prompt.Definition](), reflect.TypeFor[prompt.Message]()},
		"llm_model.md":    {reflect.TypeFor[inbound.ModelMatcher]()},
		"llm_keys.md":     {reflect.TypeFor[virtualkey.Keys]()},
		"llm_authz.md": {
			reflect.TypeFor[authz.Config](), reflect.TypeFor[authz.Policy](), reflect.TypeFor[authz.Rule](), reflect.TypeFor[authz.Source](), reflect.TypeFor[authz.Operation](),
			reflect.TypeFor[authz.Condition](), reflect.TypeFor[jwt.Rule](), reflect.TypeFor[jwt.Header](), reflect.TypeFor[jwt.ClaimToHeader](),
			reflect.TypeFor[authz.ExtAuthz](), reflect.TypeFor[authz.ExtAuthzBody](),
		},
		"pools.md":             {reflect.TypeFor[upstream.Pool]()},
		"llm_mock.md":          {reflect.TypeFor[mock.Handler]()},
		"admin_api.md":         {reflect.TypeFor[status.View](), reflect.TypeFor[status.ProviderView](), reflect.TypeFor[status.RouteView](), reflect.TypeFor[status.RuleView]()},
		"source_kubernetes.md": {reflect.TypeFor[cluster.Kubernetes](), reflect.TypeFor[source.Settings]()},
		"sidecar_injection.md": {reflect.TypeFor[inject.Options](), reflect.TypeFor[inject.Resources]()},
		"webhook.md":           {reflect.TypeFor[webhook.Config]()},
		"source_files.md": {
			reflect.TypeFor[files.Source](), reflect.TypeFor[source.Settings](), reflect.TypeFor[v1beta1.LLMProviderSpec](), reflect.TypeFor[v1beta1.LLMRouteSpec](), reflect.TypeFor[v1beta1.StringMatch](),
		},
	} {
		for _, typ := range types {
			var names []string
			for _, f := range reflect.VisibleFields(typ) {
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
					names = append(names, name)
				}
			}
			mentions(t, page, names...)
		}
	}
}

// TestNames holds that names which stand only in the source are on their page. A folder
// and /... are all the files below it; a pattern may find a list of names.
func TestNames(t *testing.T) {
	const codes = `\bCode(?:: +|, e\.Message = )"(\w+)"`
	for _, test := range []struct{ page, what, files, pattern, prefix string }{
		{"errors.md", "error codes of the handler", "llmroute/...", codes, ""},
		{"errors.md", "error codes of providers", "llmprovider/...", codes, ""},
		{"errors.md", "error codes of limits", "llmroute/limit/limithttp/refusal.go", `code\w+ += "(\w+)"`, ""},
		{"observing.md", "access log fields of limits", "llmroute/limit/limithttp/step.go", `enc\.Add\w+\("(\w+)"`, ""},
		{"metrics.md", "reasons of limits", "llmroute/limit/refusal.go", `reasonNames = \[\.\.\.\]string{"([^}]+)", "gone"}`, ""},
		{"errors.md", "error code of policies", "llmroute/authz/handler.go", `ErrorCode = "(\w+)"`, ""},
		{"behaviour.md", "withheld headers", "llmprovider/headername/class.go", `(?m)^\t(?:case |\t)"([A-Z][\w-]+)"[,:]`, ""},
		{"behaviour.md", "endpoints", "llmprovider/endpoint.go", `Suffix: "(/[\w/]+)"`, ""},
		{"metrics.md", "metrics", "llmroute/meter/metrics.go", `metric\w+ += "(\w+)"`, ""},
		{"metrics.md", "metrics of the webhook", "k8ssource/cluster/webhook/metrics.go", `metricName\w+ += "(\w+)"`, ""},
		{"metrics.md", "results of the webhook", "k8ssource/cluster/webhook/metrics.go", `result\w+ += "(\w+)"`, ""},
		{"webhook.md", "paths", "k8ssource/cluster/webhook/review.go", `path\w+ += "([/\w]+)"`, ""},
		{"metrics.md", "labels", "llmroute/meter/metrics.go", `"(llmproxy_\w+|gen_ai_\w+|server_address|error_type|outcome|rule|provider|reason|code|from|to|client|currency|model)"`, ""},
		{"metrics.md", "operations", "llmprovider/endpoint.go", `Operation = "(\w+)"`, ""},
		{"observing.md", "access log fields", "llmroute/meter/log_fields.go", `enc\.Add\w+\("(\w+)"`, ""},
		{"observing.md", "access log fields of guards", "llmroute/guard/acts.go", `zap\.\w+\("(llm_\w+)"`, ""},
		{"observing.md", "access log fields of the cache", "llmroute/cache/*.go", `zap\.\w+\("(llm_\w+)"`, ""},
		{"cache.md", "reasons", "llmroute/cache/bypass.go", `reason += "([\w-]+)"`, ""},
		{"observing.md", "access log fields of policies", "llmroute/authz/handler.go", `zap\.\w+\("(authz_\w+)"`, ""},
		{"traces.md", "attributes and events of spans", "llmroute/meter/traces.go", `(?m)^\t(?:attr\w+ += attribute\.Key\(|event\w+ += )"([\w.]+)"`, ""},
		{"observing.md", "placeholders", "llmroute/meter/placeholders.go", `case "([a-z_.]+)":`, "http.llm."},
		{"llm_keys.md", "flags", "llmroute/virtualkey/command.go", `Flags\(\)\.(?:Bool|String)\("(\w+)"`, "--"},
		{"sidecar.md", "flags", "llmroute/sidecar/command.go", `flags\.\w+\("([\w-]+)"`, "--"},
		{"sidecar_injection.md", "flags of the injection", "k8ssource/inject/command.go", `flags\.\w+\((?:&given\.\w+, )?"([\w-]+)"`, "--"},
		{"sidecar_injection.md", "reasons of the injection", "k8ssource/inject/decide.go", `Reason\w+ += "(\w+)"`, ""},
		{"sidecar_injection.md", "annotations", "k8ssource/inject/overrides.go", `(?m)^\t"(\w+)": +func`, ""},
		{"llm_status.md", "paths", "llmroute/status/handler.go", `case "(/\w+)":`, ""},
		{"source_files.md", "reasons", "k8ssource/object/fault.go", `Reason\w+ += "(\w+)"`, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			var names []string
			for _, file := range sources(t, test.files) {
				for _, m := range regexp.MustCompile(test.pattern).FindAllStringSubmatch(read(t, file), -1) {
					for name := range strings.SplitSeq(m[1], `", "`) {
						if name != "list_models" { // is counted nowhere
							names = append(names, test.prefix+name)
						}
					}
				}
			}
			mentions(t, test.page, names...)
		})
	}
}

// sources are the files of a pattern, or below a folder, but for tests and the mock.
func sources(t *testing.T, pattern string) []string {
	t.Helper()
	folder, below := strings.CutSuffix(pattern, "/...")
	if !below {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	var files []string
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "mock":
			return fs.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
