package inject

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/internal/objectfile"
	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/command"
)

func init() {
	command.Add(newCommand)
}

const commandHelp = `Adds the gateway as a sidecar to the pods in manifests, and prints the manifests.

Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and Pods get it,
also those in a List. All else is printed as it is, with comments, order and layout,
and so are pods that have the sidecar already. Nobody is contacted.

Pods whose label ` + InjectLabel + ` is "false" are left as they are, and so are
those whose Namespace in the same files has the label ` + InjectionLabel + `:
disabled. What is left as it is, and why, is told on standard error. If a pod cannot
have the sidecar, nothing is printed, and the exit status is 1.

The sidecar needs Kubernetes 1.29 or later. Its image needs nft or iptables, unless
--mode is ` + ModeHTTPProxy + `.`

const commandExample = `  kubectl create secret generic llm-gateway --from-file=llm.yaml
  caddy llm inject -f deployment.yaml --image registry.example.com/llm-gateway:0.1.0 | kubectl apply -f -

  kubectl get deployment sleep -o yaml | caddy llm inject -f - --config inject.yaml | kubectl apply -f -`

// newCommand builds `caddy llm inject`.
func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:          "inject -f <file|-> [--image <image>] [--config <file>]",
		Short:        "Adds the gateway as a sidecar to the pods in manifests",
		Long:         commandHelp,
		Example:      commandExample,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
	}
	flags := cmd.Flags()
	files := flags.StringArrayP("filename", "f", nil, "A file with manifests, or - for standard input; may be given several times")
	config := flags.String("config", "", "A YAML file with options, which flags change")
	fromFlags := optionFlags(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(*files) == 0 {
			return errors.New("there are no manifests; name a file with -f, or write -f - for standard input")
		}
		o := new(Options)
		if *config != "" {
			data, err := os.ReadFile(*config)
			if err != nil {
				return fmt.Errorf("--config: %w", err)
			}
			if err := yaml.UnmarshalStrict(data, o); err != nil {
				return fmt.Errorf("--config: %s: %w", *config, err)
			}
		}
		fromFlags(o)
		if err := o.Provision(); err != nil {
			return err
		}
		out, err := injectFiles(cmd, o, *files)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(out)
		return err
	}
	return cmd
}

// optionFlags adds the flags that are options. The function sets those which are
// given.
func optionFlags(flags *pflag.FlagSet) func(*Options) {
	given := new(Options)
	flags.StringVar(&given.Image, "image", "", "The gateway's image")
	flags.StringVar(&given.ImagePullPolicy, "image-pull-policy", "", "When the image is pulled: Always, IfNotPresent or Never")
	flags.StringVar(&given.CaptureImage, "capture-image", "", "The image of the container that sets the rules (default the gateway's)")
	flags.StringVar(&given.Mode, "mode", "", "How calls come to the gateway: "+ModeCapture+", or "+ModeHTTPProxy+" where NET_ADMIN is not allowed (default "+ModeCapture+")")
	flags.StringVar(&given.Source, "source", "", "Where LLMProviders and LLMRoutes come from: "+SourceFiles+" or "+SourceKubernetes+" (default "+SourceFiles+")")
	flags.StringVar(&given.Secret, "secret", "", "The Secret with manifests of them (default "+defaultSecret+" if there is no --config-map)")
	flags.StringVar(&given.ConfigMap, "config-map", "", "The ConfigMap with manifests of them")
	flags.StringVar(&given.RootNamespace, "root-namespace", "", "The namespace whose objects apply to all workloads (default "+k8ssource.DefaultRootNamespace+")")
	flags.StringVar(&given.OutboundTrafficPolicy, "outbound-traffic-policy", "", "What becomes of calls without a route: ALLOW_ANY or REGISTRY_ONLY (default ALLOW_ANY)")
	flags.StringSliceVar(&given.IncludeOutboundPorts, "include-outbound-ports", nil, "The destination ports to capture, as in 80,8000-8010 (default 80)")
	flags.StringSliceVar(&given.ExcludeOutboundIPRanges, "exclude-outbound-ip-ranges", nil, "Destination addresses to leave alone, as in 10.0.0.0/8,fd00::/8")
	flags.BoolVar(&given.AccessLog, "access-log", false, "Let the gateway log each call")
	return func(o *Options) {
		set := map[string]func(){
			"image":                      func() { o.Image = given.Image },
			"image-pull-policy":          func() { o.ImagePullPolicy = given.ImagePullPolicy },
			"capture-image":              func() { o.CaptureImage = given.CaptureImage },
			"mode":                       func() { o.Mode = given.Mode },
			"source":                     func() { o.Source = given.Source },
			"secret":                     func() { o.Secret = given.Secret },
			"config-map":                 func() { o.ConfigMap = given.ConfigMap },
			"root-namespace":             func() { o.RootNamespace = given.RootNamespace },
			"outbound-traffic-policy":    func() { o.OutboundTrafficPolicy = given.OutboundTrafficPolicy },
			"include-outbound-ports":     func() { o.IncludeOutboundPorts = given.IncludeOutboundPorts },
			"exclude-outbound-ip-ranges": func() { o.ExcludeOutboundIPRanges = given.ExcludeOutboundIPRanges },
			"access-log":                 func() { o.AccessLog = given.AccessLog },
		}
		flags.Visit(func(f *pflag.Flag) {
			if set[f.Name] != nil {
				set[f.Name]()
			}
		})
	}
}

// injectFiles reads all of the files before it writes anything, and joins them.
func injectFiles(cmd *cobra.Command, o *Options, files []string) ([]byte, error) {
	m := &manifests{options: o, namespaces: make(map[string]map[string]string), note: func(origin, text string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", origin, text)
	}}
	contents := make([][]byte, len(files))
	for i, file := range files {
		data, err := readFile(cmd, file)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		contents[i] = data
		if file == "-" {
			files[i] = "standard input"
		}
		if err := m.lookUp(files[i], data); err != nil {
			return nil, err
		}
	}
	var out []byte
	for i, file := range files {
		data, err := m.inject(file, contents[i])
		if err != nil {
			return nil, err
		}
		out = join(out, data)
	}
	return out, nil
}

func readFile(cmd *cobra.Command, file string) ([]byte, error) {
	if file != "-" {
		return os.ReadFile(file)
	}
	return io.ReadAll(io.LimitReader(cmd.InOrStdin(), object.MaxFileSize+1))
}

// join puts a marker between two files, unless the second begins with one.
func join(before, after []byte) []byte {
	if len(before) == 0 {
		return after
	}
	if !bytes.HasSuffix(before, []byte("\n")) {
		before = append(before, '\n')
	}
	if objectfile.AfterMarker(after) == 0 {
		before = append(before, "---\n"...)
	}
	return append(before, after...)
}
