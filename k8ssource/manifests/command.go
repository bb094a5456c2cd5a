package manifests

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/files"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/redact"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/command"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func init() {
	command.Add(newCheckCommand)
	command.Add(newTranslateCommand)
}

const workloadHelp = `

Which objects apply depends on the workload that the gateway acts for. The flags
name it, or the variables LLM_NAMESPACE, LLM_LABELS, LLM_WORKLOAD and
LLM_PORT_MAP. Without any, every object applies.

A folder stands for the files directly in it whose names end in .yaml, .yml or
.json.`

const checkHelp = `Tells what each LLMProvider, LLMRoute, Gateway, AuthorizationPolicy and
RequestAuthentication in the files would do, or why it would not be used, with its
file and line. No cluster is needed, and nobody is contacted. If anything is wrong
with any object, the exit status is 1.

Of a Caddyfile, whose name begins with Caddyfile or ends in .caddyfile, it tells which
rules use its guards, its prompts and its cache, which of them none uses, and what its
limits cannot do: rules and models that match nothing, models without a price, keys that
no authentication supplies.

With --request, it also tells whether a gateway would let that request pass, and
which policy and rule decide. A token in a --header is verified where its keys are
in the objects; no others are fetched.` + workloadHelp

const translateHelp = `Prints the providers, routes and listeners that the objects in the files make up,
and what is wrong with single ones, as JSON. Keys are not shown.` + workloadHelp

// newCheckCommand builds `caddy llm check`.
func newCheckCommand() *cobra.Command {
	request := new(sampleRequest)
	cmd := manifestCommand(&cobra.Command{
		Use:   "check <path...>",
		Short: "Tells what the objects in manifests would do, or why not",
		Long:  checkHelp,
		Example: "  caddy llm check manifests/ --namespace istio-system --labels istio=ingressgateway\n" +
			"  caddy llm check manifests/ --request 'POST http://test.com/v1/chat/completions' --from 10.1.2.3",
	}, func(cmd *cobra.Command, objects *object.Set, state *spec.State) error {
		err := runCheck(cmd, objects, state)
		if request.line != "" {
			err = errors.Join(request.explain(cmd.OutOrStdout(), objects, state), err)
		}
		return err
	})
	request.flags(cmd.Flags())
	checkManifests := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, paths []string) (err error) {
		var manifests []string
		for _, path := range paths {
			if isCaddyfile(path) {
				err = errors.Join(err, checkCaddyfile(cmd.OutOrStdout(), path))
			} else {
				manifests = append(manifests, path)
			}
		}
		if len(manifests) > 0 {
			err = errors.Join(err, checkManifests(cmd, manifests))
		}
		return err
	}
	return cmd
}

// newTranslateCommand builds `caddy llm translate`.
func newTranslateCommand() *cobra.Command {
	return manifestCommand(&cobra.Command{
		Use:     "translate <path...>",
		Short:   "Prints the configuration that manifests make up",
		Long:    translateHelp,
		Example: "  caddy llm translate llm.yaml",
	}, runTranslate)
}

// manifestCommand gives cmd what both have: the paths, and the flags that name
// the workload.
func manifestCommand(cmd *cobra.Command, run func(cmd *cobra.Command, objects *object.Set, state *spec.State) error) *cobra.Command {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("at least one path is needed: a file, a folder, or a pattern such as /etc/llm/*.yaml")
		}
		return nil
	}
	cmd.SilenceUsage = true
	flags := cmd.Flags()
	namespace := flags.String("namespace", "", "The workload's namespace")
	labels := flags.String("labels", "", "The workload's labels, as in a=b,c=d")
	workload := flags.String("workload", "", "The workload's name")
	root := flags.String("root-namespace", "", "The namespace whose objects apply to all workloads (default "+k8ssource.DefaultRootNamespace+")")
	ports := flags.String("port-map", "", "Ports to listen on in place of those that Gateways name, as in 80:8080,443:8443")
	selectors := flags.String("selectors-from", "", "Namespaces whose LLMProviders may select workloads of others, as in a,b (default none)")
	given := map[string]*string{source.EnvNamespace: namespace, source.EnvLabels: labels, source.EnvWorkload: workload, envPortMap: ports, envSelectorsFrom: selectors}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings, err := sourceFromEnvironment(func(name string) (string, bool) {
			if value := given[name]; value != nil && *value != "" {
				return *value, true
			}
			return os.LookupEnv(name)
		})
		if err != nil {
			return err
		}
		settings.RootNamespace = *root
		objects, err := readObjects(settings.Namespace, args)
		if err != nil {
			return err
		}
		return run(cmd, objects, k8ssource.Translate(objects, settings.Identity(), settings.Options()))
	}
	return cmd
}

// readObjects reads the objects that paths stand for. Those that name no namespace
// are in the given one.
func readObjects(namespace string, paths []string) (*object.Set, error) {
	objects := new(object.Set)
	for _, path := range paths {
		files, err := files.ListPath(path)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("there are no manifests at %s; their names end in .yaml, .yml or .json", path)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading a manifest: %w", err)
			}
			decoded, err := object.DecodeIn(namespace, file, data)
			if err != nil {
				return nil, err
			}
			objects.Add(decoded)
		}
	}
	return objects, nil
}

func runTranslate(cmd *cobra.Command, _ *object.Set, state *spec.State) error {
	text, err := redact.State(state)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

func runCheck(cmd *cobra.Command, objects *object.Set, state *spec.State) error {
	var lines []description
	wrong := make(map[string]bool)
	for _, f := range state.Findings {
		what := "not used: "
		if f.Used {
			what = "warning: "
		}
		lines = append(lines, description{f.Object, f.Origin, what + f.Reason + ": " + f.Message})
		wrong[f.Object+f.Origin] = true
	}
	lines = append(lines, describe(objects, state)...)
	slices.SortStableFunc(lines, func(a, b description) int {
		aFile, aLine := object.SplitOrigin(a.origin)
		bFile, bLine := object.SplitOrigin(b.origin)
		return cmp.Or(strings.Compare(aFile, bFile), cmp.Compare(aLine, bLine))
	})
	for _, d := range lines {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: %s\n", d.origin, d.object, d.effect); err != nil {
			return err
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("something is wrong with %d of the objects", len(wrong))
	}
	return nil
}
