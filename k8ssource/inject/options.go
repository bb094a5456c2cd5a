package inject

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	words "github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/capture"
	"github.com/caddy-llm/gateway/llmroute/sidecar"
)

// Modes: how the pod's calls come to the gateway.
const (
	// ModeCapture redirects the connections that the pod opens. It needs an init
	// container with the capability NET_ADMIN.
	ModeCapture = "capture"

	// ModeHTTPProxy sets the variable http_proxy in the pod's containers, which most
	// clients honour. It needs no capability.
	ModeHTTPProxy = "http_proxy"
)

// Sources: where the sidecar's objects come from.
const (
	// SourceFiles reads manifests that are mounted from a Secret or a ConfigMap.
	SourceFiles = "files"

	// SourceKubernetes asks the API server, with the rights of the pod's account.
	SourceKubernetes = "kubernetes"
)

const (
	defaultStatusPort = 15021
	defaultSecret     = "llm-gateway"
)

// Options are what an operator of a cluster decides for the sidecars in it. They
// are read from YAML, and most of them are flags of `caddy llm inject` too.
type Options struct {
	// The image of the gateway. Required.
	Image string `json:"image"`

	// Whether the image is pulled: `Always`, `IfNotPresent` or `Never`. Default:
	// what Kubernetes makes of the image's tag.
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`

	// The image of the init container that sets the rules, with nft or iptables in
	// it. Default: `image`.
	CaptureImage string `json:"captureImage,omitempty"`

	// How the pod's calls come to the gateway: `capture` redirects the connections
	// that it opens, `http_proxy` sets a variable that most clients honour, where
	// NET_ADMIN is not allowed. Default: `capture`.
	Mode string `json:"mode,omitempty"`

	// Where LLMProviders, LLMRoutes and so on come from: `files` are manifests in a
	// Secret or a ConfigMap of the pod's namespace, `kubernetes` is the API server.
	// Default: `files`.
	Source string `json:"source,omitempty"`

	// The Secret and the ConfigMap with manifests, for the source `files`: each key
	// that ends in `.yaml`, `.yml` or `.json` is a file. Only the gateway's container
	// sees them. Default: the Secret `llm-gateway`, if there is no ConfigMap either.
	Secret    string `json:"secret,omitempty"`
	ConfigMap string `json:"configMap,omitempty"`

	// The namespaces whose objects the gateway asks for, with the source
	// `kubernetes`; `.` is the pod's own. In each of them its account needs a Role.
	// Default: `.` alone.
	Namespaces []string `json:"namespaces,omitempty"`

	// The namespace whose objects apply to the workloads of all namespaces. Default:
	// `istio-system`.
	RootNamespace string `json:"rootNamespace,omitempty"`

	// What happens to calls to hosts without a route: `ALLOW_ANY` or `REGISTRY_ONLY`.
	// Default: `ALLOW_ANY`.
	OutboundTrafficPolicy string `json:"outboundTrafficPolicy,omitempty"`

	// The destination ports to capture, or ranges such as `8000-8010`. Default: `80`.
	IncludeOutboundPorts []string `json:"includeOutboundPorts,omitempty"`

	// Destination addresses to leave alone, such as `10.0.0.0/8`. Default: none.
	ExcludeOutboundIPRanges []string `json:"excludeOutboundIPRanges,omitempty"`

	// Which of the options `image`, `captureImage`, `source`, `secret`, `configMap` and
	// `caddyfile` pods may change by annotations, where a webhook adds the sidecar: with
	// them, anyone who creates a pod decides what runs beside the application and which
	// Secrets it reads. The others can always be changed. `caddy llm inject` lets manifests
	// change all of them. Default: none.
	AllowAnnotations []string `json:"allowAnnotations,omitempty"`

	// The port that the gateway listens on in the pod, and the one with its health
	// and metrics. Default: 15001 and 15021.
	Port       int `json:"port,omitempty"`
	StatusPort int `json:"statusPort,omitempty"`

	// Whether the gateway logs each call. Default: no.
	AccessLog bool `json:"accessLog,omitempty"`

	// What the gateway's container asks for and may use, as in a container. Default:
	// requests of 10m CPU and 64Mi memory, and a limit of 512Mi memory.
	Resources *Resources `json:"resources,omitempty"`

	// Environment variables of the gateway's container, as in a container.
	Env []map[string]any `json:"env,omitempty"`

	// The gateway's Caddyfile as a whole, in place of one made from these options.
	// It must listen on port and statusPort.
	Caddyfile string `json:"caddyfile,omitempty"`
}

// Resources are a container's, in the notation of Kubernetes.
type Resources struct {
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

// ReadOptions reads options from YAML, fills in the defaults and checks them.
func ReadOptions(data []byte) (*Options, error) {
	o := new(Options)
	if err := yaml.UnmarshalStrict(data, o); err != nil {
		return nil, fmt.Errorf("options of the injection: %w", err)
	}
	return o, o.Provision()
}

// Provision fills in the defaults and checks the options. The error says what to
// write instead.
func (o *Options) Provision() error {
	setDefault(&o.Mode, ModeCapture)
	setDefault(&o.Source, SourceFiles)
	setDefault(&o.CaptureImage, o.Image)
	setDefault(&o.RootNamespace, k8ssource.DefaultRootNamespace)
	setDefault(&o.OutboundTrafficPolicy, capture.OutboundAllowAny)
	setDefault(&o.Port, sidecar.DefaultPort)
	setDefault(&o.StatusPort, defaultStatusPort)
	if len(o.IncludeOutboundPorts) == 0 {
		o.IncludeOutboundPorts = []string{"80"}
	}
	if o.Source == SourceFiles && o.ConfigMap == "" {
		setDefault(&o.Secret, defaultSecret)
	}
	if o.Source == SourceKubernetes && len(o.Namespaces) == 0 {
		o.Namespaces = []string{source.OwnNamespace}
	}
	if o.Resources == nil {
		o.Resources = &Resources{Requests: map[string]string{"cpu": "10m", "memory": "64Mi"}, Limits: map[string]string{"memory": "512Mi"}}
	}
	return o.check()
}

func setDefault[T comparable](to *T, value T) {
	var unset T
	if *to == unset {
		*to = value
	}
}

var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func (o *Options) check() error {
	switch {
	case o.Image == "":
		return errors.New("image is not set; write the image of the gateway, such as registry.example.com/llm-gateway:0.1.0")
	case !slices.Contains([]string{"", "Always", "IfNotPresent", "Never"}, o.ImagePullPolicy):
		return errors.New("imagePullPolicy is not known; write Always, IfNotPresent or Never")
	case o.Mode != ModeCapture && o.Mode != ModeHTTPProxy:
		return fmt.Errorf("mode is not known; write %s or %s", ModeCapture, ModeHTTPProxy)
	case o.Source != SourceFiles && o.Source != SourceKubernetes:
		return fmt.Errorf("source is not known; write %s or %s", SourceFiles, SourceKubernetes)
	case o.Port == o.StatusPort:
		return fmt.Errorf("port and statusPort are both %d; write another one for one of them", o.Port)
	}
	if o.Source == SourceKubernetes && o.Secret+o.ConfigMap != "" {
		return errors.New("secret and configMap are for the source files; leave them out with the source kubernetes")
	}
	if o.Source == SourceFiles && len(o.Namespaces) > 0 {
		return errors.New("namespaces is for the source kubernetes; leave it out with the source files, whose manifests say which namespace their objects are in")
	}
	for _, name := range []string{o.Secret, o.ConfigMap, o.RootNamespace} {
		if name != "" && !objectName.MatchString(name) {
			return errors.New("a name is not that of an object; write lower-case letters, digits, - and . in secret, configMap and rootNamespace")
		}
	}
	if err := source.CheckNamespaces(o.Namespaces); err != nil {
		return err
	}
	if err := capture.CheckOutbound(o.OutboundTrafficPolicy); err != nil {
		return err
	}
	for _, own := range o.ports() {
		if own.number < 1024 || own.number > 65535 {
			return fmt.Errorf("%s is %d; write a number from 1024 to 65535, since the gateway has no privileges", own.option, own.number)
		}
	}
	for _, text := range o.IncludeOutboundPorts {
		if err := sidecar.CheckPorts(text, uint16(o.Port)); err != nil {
			return fmt.Errorf("includeOutboundPorts: %w", err)
		}
	}
	for _, text := range o.ExcludeOutboundIPRanges {
		if err := sidecar.CheckRange(text); err != nil {
			return fmt.Errorf("excludeOutboundIPRanges: %w", err)
		}
	}
	if err := o.Resources.check(); err != nil {
		return err
	}
	for _, name := range o.AllowAnnotations {
		if !slices.Contains(restricted, name) {
			return fmt.Errorf("allowAnnotations: %s is none of the annotations that need it; these are %s", words.Quoted(name), strings.Join(restricted, ", "))
		}
	}
	for _, e := range o.Env {
		if name, ok := e["name"].(string); !ok || name == "" {
			return errors.New("env: a variable has no name; write name and value, as in a container")
		}
	}
	return nil
}

// check reports amounts that are none, and requests above their limits: API servers
// take no such pod.
func (r *Resources) check() error {
	for _, list := range []struct {
		name    string
		amounts map[string]string
	}{{"requests", r.Requests}, {"limits", r.Limits}} {
		for _, name := range slices.Sorted(maps.Keys(list.amounts)) {
			if err := object.CheckQuantity(list.amounts[name]); err != nil {
				return fmt.Errorf("resources.%s.%s: %w", list.name, name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		limit, limited := r.Limits[name]
		if !limited {
			continue
		}
		if least, most := resource.MustParse(r.Requests[name]), resource.MustParse(limit); least.Cmp(most) > 0 {
			return fmt.Errorf("resources.requests.%s is above resources.limits.%s; write a lower one, or a higher limit", name, name)
		}
	}
	return nil
}

// ownPort is one that the gateway listens on, with the option that sets it.
type ownPort struct {
	option string
	number int
}

func (o *Options) ports() []ownPort {
	return []ownPort{{"port", o.Port}, {"statusPort", o.StatusPort}}
}
