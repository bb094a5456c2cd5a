package object

import (
	"maps"
	"slices"
	"strings"
)

// ServiceLabel names the Service that an EndpointSlice is of.
const ServiceLabel = "kubernetes.io/service-name"

// Reference names an object that other objects refer to.
type Reference struct {
	Kind, Namespace, Name string
	// Labels is a selector instead of a name: all objects that it matches.
	Labels string
}

// EndpointsReference is what a backend that is a Service refers to, beside the Service: the
// EndpointSlices of it.
func EndpointsReference(namespace, service string) Reference {
	return Reference{Kind: KindEndpointSlice, Namespace: namespace, Labels: ServiceLabel + "=" + service}
}

// SliceLabels are the labels of the EndpointSlices that EndpointsReference means.
func (r Reference) SliceLabels() map[string]string {
	_, service, _ := strings.Cut(r.Labels, "=")
	return map[string]string{ServiceLabel: service}
}

// PodReference is what a pool refers to: the pods that its selector matches.
func PodReference(p *InferencePool) Reference {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(p.Spec.Selector.MatchLabels)) {
		labels = append(labels, name+"="+p.Spec.Selector.MatchLabels[name])
	}
	return Reference{Kind: KindPod, Namespace: p.Namespace, Labels: strings.Join(labels, ",")}
}
