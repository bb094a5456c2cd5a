package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// annotationPrefix is what the annotations of a pod begin with that change an
// option for this pod.
const annotationPrefix = "sidecar.llm-gateway/"

// annotationCaddyfile has the gateway's Caddyfile; a volume of the type downwardAPI
// brings it to the gateway.
const annotationCaddyfile = annotationPrefix + "caddyfile"

// overrides are the options that a pod may change, by the names of annotations.
var overrides = map[string]func(o *Options, value string){
	"image":                   func(o *Options, v string) { o.Image = v },
	"captureImage":            func(o *Options, v string) { o.CaptureImage = v },
	"mode":                    func(o *Options, v string) { o.Mode = v },
	"source":                  func(o *Options, v string) { o.Source = v },
	"secret":                  func(o *Options, v string) { o.Secret = v },
	"configMap":               func(o *Options, v string) { o.ConfigMap = v },
	"outboundTrafficPolicy":   func(o *Options, v string) { o.OutboundTrafficPolicy = v },
	"includeOutboundPorts":    func(o *Options, v string) { o.IncludeOutboundPorts = list(v) },
	"excludeOutboundIPRanges": func(o *Options, v string) { o.ExcludeOutboundIPRanges = list(v) },
	"cpu":                     func(o *Options, v string) { o.Resources.Requests["cpu"] = v },
	"cpuLimit":                func(o *Options, v string) { o.Resources.Limits["cpu"] = v },
	"memory":                  func(o *Options, v string) { o.Resources.Requests["memory"] = v },
	"memoryLimit":             func(o *Options, v string) { o.Resources.Limits["memory"] = v },
	"caddyfile":               func(*Options, string) {}, // stays where it is
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// forPod returns the options as a pod's annotations change them.
func (o *Options) forPod(annotations map[string]string) (*Options, error) {
	own := *o
	own.Resources = &Resources{Requests: make(map[string]string), Limits: make(map[string]string)}
	maps.Copy(own.Resources.Requests, o.Resources.Requests)
	maps.Copy(own.Resources.Limits, o.Resources.Limits)
	if annotations[annotationPrefix+"image"] != "" && o.CaptureImage == o.Image {
		own.CaptureImage = ""
	}
	if annotations[annotationPrefix+"source"] == SourceKubernetes {
		own.Secret, own.ConfigMap = "", ""
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
			return nil, fmt.Errorf("the pod's annotation %s is not known; the options after %s are %s", name, annotationPrefix,
				strings.Join(slices.Sorted(maps.Keys(overrides)), ", "))
		}
		set(&own, annotations[name])
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
		if o.Mode == ModeCapture && p.user(c) == defaultUID && !istio {
			return fmt.Errorf("container %s runs as user %d, whose connections are the gateway's and not captured; let it run as another user (securityContext.runAsUser)",
				c.Name, defaultUID)
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
				return fmt.Errorf("container %s listens on %d, which the gateway needs; set the option %s to another one", c.Name, own.number, own.option)
			}
		}
	}
	return nil
}
