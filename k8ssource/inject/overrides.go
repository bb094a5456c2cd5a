package inject

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	words "github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/sidecar"
)

// annotationPrefix is what the annotations of a pod begin with that change an
// option for this pod.
const annotationPrefix = "sidecar.llm-gateway/"

// annotationCaddyfile has the gateway's Caddyfile; a volume of the type downwardAPI
// brings it to the gateway.
const annotationCaddyfile = annotationPrefix + "caddyfile"

// override changes an option to what an annotation says.
type override func(o *Options, value string) error

// overrides are the options that a pod may change, by the names of annotations.
var overrides = map[string]override{
	"image":                   text(func(o *Options) *string { return &o.Image }),
	"captureImage":            text(func(o *Options) *string { return &o.CaptureImage }),
	"mode":                    text(func(o *Options) *string { return &o.Mode }),
	"source":                  text(func(o *Options) *string { return &o.Source }),
	"secret":                  text(func(o *Options) *string { return &o.Secret }),
	"configMap":               text(func(o *Options) *string { return &o.ConfigMap }),
	"outboundTrafficPolicy":   text(func(o *Options) *string { return &o.OutboundTrafficPolicy }),
	"includeOutboundPorts":    list(func(o *Options) *[]string { return &o.IncludeOutboundPorts }),
	"excludeOutboundIPRanges": list(func(o *Options) *[]string { return &o.ExcludeOutboundIPRanges }),
	"port":                    number(func(o *Options) *int { return &o.Port }),
	"statusPort":              number(func(o *Options) *int { return &o.StatusPort }),
	"cpu":                     quantity("cpu", func(o *Options) map[string]string { return o.Resources.Requests }),
	"cpuLimit":                quantity("cpu", func(o *Options) map[string]string { return o.Resources.Limits }),
	"memory":                  quantity("memory", func(o *Options) map[string]string { return o.Resources.Requests }),
	"memoryLimit":             quantity("memory", func(o *Options) map[string]string { return o.Resources.Limits }),
	"caddyfile":               func(*Options, string) error { return nil }, // stays where it is
}

// restricted are the annotations that pods may use only where the operator allows it:
// whoever creates a pod would decide which code runs beside the application with the
// rights of the gateway, what it does, and which objects of the namespace it reads.
var restricted = []string{"image", "captureImage", "source", "secret", "configMap", "caddyfile"}

func text(option func(*Options) *string) override {
	return func(o *Options, value string) error {
		*option(o) = value
		return nil
	}
}

func list(option func(*Options) *[]string) override {
	return func(o *Options, value string) error {
		*option(o) = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		return nil
	}
}

func number(option func(*Options) *int) override {
	return func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil {
			return errors.New("this is not a number; write one such as 15011")
		}
		*option(o) = n
		return nil
	}
}

func quantity(name string, of func(*Options) map[string]string) override {
	return func(o *Options, value string) error {
		of(o)[name] = value
		return object.CheckQuantity(value)
	}
}

// mayUse reports whether a pod may change an option by an annotation.
func (o *Options) mayUse(option string) bool {
	return !slices.Contains(restricted, option) || slices.Contains(o.AllowAnnotations, option)
}

// forPod returns the options as a pod's annotations change them. all is for one who
// decides about the options himself, so that every annotation counts.
func (o *Options) forPod(annotations map[string]string, all bool) (*Options, error) {
	own := *o
	own.Resources = &Resources{Requests: make(map[string]string), Limits: make(map[string]string)}
	maps.Copy(own.Resources.Requests, o.Resources.Requests)
	maps.Copy(own.Resources.Limits, o.Resources.Limits)
	if annotations[annotationPrefix+"image"] != "" && o.CaptureImage == o.Image {
		own.CaptureImage = ""
	}
	switch annotations[annotationPrefix+"source"] {
	case SourceKubernetes:
		own.Secret, own.ConfigMap = "", ""
	case SourceFiles:
		own.Namespaces = nil
	}
	if annotations[annotationPrefix+"configMap"] != "" {
		own.Secret = ""
	}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		option, ours := strings.CutPrefix(name, annotationPrefix)
		if !ours || name == InjectLabel {
			continue
		}
		set := overrides[option]
		if set == nil {
			return nil, fmt.Errorf("the pod's annotation %s is not known; the options after %s are %s", annotationPrefix+words.Unquoted(option), annotationPrefix,
				strings.Join(slices.Sorted(maps.Keys(overrides)), ", "))
		}
		if !all && !o.mayUse(option) {
			return nil, fmt.Errorf("the pod's annotation %s is not allowed in this cluster; remove it, or have the operator of the injection add %s to its option allowAnnotations", name, option)
		}
		if err := set(&own, annotations[name]); err != nil {
			return nil, fmt.Errorf("the pod's annotation %s: %w", name, err)
		}
	}
	if err := own.Provision(); err != nil {
		return nil, fmt.Errorf("the pod's annotations: %w", err)
	}
	return &own, nil
}

// istioPorts are those that Istio's sidecar listens on.
var istioPorts = []int{15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090}

// fits checks that the gateway can run beside the pod's own containers.
func (o *Options) fits(p *pod) error {
	for _, c := range p.containers() {
		istio := c.Name == "istio-proxy" // whose user is the same, and whose calls may be left alone
		if o.Mode == ModeCapture && p.user(c) == sidecar.DefaultUID && !istio {
			return fmt.Errorf("container %s runs as user %d, whose connections are the gateway's and not captured; let it run as another user (securityContext.runAsUser)",
				c.Name, sidecar.DefaultUID)
		}
		var taken []int
		for _, port := range c.Ports {
			if port.Protocol == "" || port.Protocol == "TCP" {
				taken = append(taken, port.ContainerPort)
			}
		}
		if istio {
			taken = istioPorts
		}
		for _, own := range o.ports() {
			if slices.Contains(taken, own.number) {
				return fmt.Errorf("container %s listens on %d, which the gateway needs; write another one into the pod's annotation %s%s, or the option %s",
					c.Name, own.number, annotationPrefix, own.option, own.option)
			}
		}
	}
	return nil
}
