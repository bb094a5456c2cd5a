package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/files"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func init() {
	caddyconfig.RegisterAdapter("llm-manifests", adapter{})
}

const (
	// envPortMap is the environment variable with the adapter's port_map, as in
	// 80:8080,443:8443.
	envPortMap = "LLM_PORT_MAP"

	// envSelectorsFrom is the environment variable with the adapter's selectors_from,
	// as in platform,shared.
	envSelectorsFrom = "LLM_SELECTORS_FROM"

	// meshListen is where the adapter's configurations listen for the routes of
	// sidecars.
	meshListen = ":15001"
)

// adapter makes a Caddy configuration of a file with manifests.
//
// With a file's name, as from `caddy run --adapter llm-manifests --config FILE`,
// the configuration refers to the file, which the files source reads and follows:
// keys that stand in it are in no configuration. Without one, as from standard
// input or POST /load, it is the whole translation, and must hold no key.
//
// The environment says which workload the gateway acts for: LLM_NAMESPACE,
// LLM_LABELS, LLM_WORKLOAD, LLM_SELECTORS_FROM and LLM_PORT_MAP. Without, every object applies. The
// Gateways that are for the workload have their ports; one that no Gateway is for,
// or that is not known, also listens at :15001 for the routes of sidecars.
type adapter struct{}

// Adapt implements caddyconfig.Adapter. What is wrong with single objects becomes
// warnings; the error is manifests that nothing can be made of.
func (adapter) Adapt(body []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	name, _ := options["filename"].(string)
	if name == "-" {
		name = ""
	}
	settings, err := sourceFromEnvironment(os.LookupEnv)
	if err != nil {
		return nil, nil, err
	}
	shown := name
	if shown == "" {
		shown = "manifests"
	}
	objects, err := object.DecodeIn(settings.Namespace, shown, body)
	if err != nil {
		return nil, nil, err
	}
	state := k8ssource.Translate(objects, settings.Identity(), settings.Options())
	if !settings.Known() || len(state.Listeners) == 0 {
		settings.MeshListen = meshListen
		state = k8ssource.Translate(objects, settings.Identity(), settings.Options())
	}
	app := new(llmroute.App)
	if name == "" {
		app, err = inline(state)
	} else if name, err = filepath.Abs(name); err == nil {
		app.SourceRaw = caddyconfig.JSONModuleObject(&files.Source{Paths: []string{name}, Settings: *settings}, "source", "files", nil)
	}
	if err != nil {
		return nil, nil, err
	}
	config, err := json.Marshal(caddy.Config{AppsRaw: caddy.ModuleMap{"llm": caddyconfig.JSON(app, nil)}})
	if err != nil {
		return nil, nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return config, warnings(state.Findings), nil
}

func sourceFromEnvironment(lookup func(string) (string, bool)) (*source.Settings, error) {
	settings := new(source.Settings)
	if err := settings.FromEnvironment(lookup); err != nil {
		return nil, err
	}
	if text, _ := lookup(envSelectorsFrom); text != "" {
		settings.SelectorsFrom = strings.Split(text, ",")
		if err := settings.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", envSelectorsFrom, err)
		}
	}
	if text, _ := lookup(envPortMap); text != "" {
		ports, err := source.ParsePortMap(strings.Split(text, ","))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envPortMap, err)
		}
		settings.PortMap = ports
	}
	return settings, nil
}

// warnings are the findings as Caddy shows them.
func warnings(findings []spec.Finding) []caddyconfig.Warning {
	out := make([]caddyconfig.Warning, 0, len(findings))
	for _, f := range findings {
		file, line := object.SplitOrigin(f.Origin)
		message := f.Reason + ": " + f.Message
		if !f.Used {
			message += " (the object is not used)"
		}
		out = append(out, caddyconfig.Warning{File: file, Line: line, Directive: f.Object, Message: message})
	}
	return out
}

// Interface guards
var _ caddyconfig.Adapter = adapter{}
