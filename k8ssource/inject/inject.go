// Package inject adds the gateway to a pod as a sidecar: `caddy llm inject` to
// the manifests that it is given, a mutating webhook to the pods of a cluster.
// Pods are trees of JSON, so that fields which are unknown here stay as they are.
package inject

import (
	"fmt"
	"slices"
)

// Place is where a pod is, or will be.
type Place struct {
	// The namespace. Default: the one in the pod's metadata, if any.
	Namespace string

	// The labels of the namespace, of which InjectionLabel counts.
	NamespaceLabels map[string]string

	// The name of the Deployment or whatever else makes the pod, for metrics.
	// Default: what the pod's owner, or its name, tells.
	Workload string

	// Whether the pod's annotations may change every option, whatever AllowAnnotations
	// says. It is for whoever writes the pod and runs the command; default: no.
	AllAnnotations bool
}

// Patch returns what adds the sidecar to a pod: the JSON of a Pod, or of a pod
// template, with metadata and spec. There is nothing to add if the Decision is
// not to inject, and it says why. The error is that of a pod which should have
// the sidecar and cannot, and says what to change; or data that is no pod.
//
// The options must have been provisioned. Patch does not change them, and several
// goroutines may call it at once.
func (o *Options) Patch(data []byte, place Place) ([]Operation, Decision, error) {
	p, err := readPod(data)
	if err != nil {
		return nil, Decision{}, err
	}
	decision, err := decide(p, place)
	if err != nil || !decision.Inject {
		return nil, decision, err
	}
	own, err := o.forPod(p.annotations(), place.AllAnnotations)
	if err != nil {
		return nil, Decision{}, err
	}
	if err := own.fits(p); err != nil {
		return nil, Decision{}, err
	}
	workload := place.Workload
	if workload == "" {
		workload = p.workload()
	}
	return own.operations(p, workload), decision, nil
}

// operations adds to the front of lists: what is there moves on as it is, and the
// gateway comes before all other init containers. They can use it, and no
// container ever runs without it.
func (o *Options) operations(p *pod, workload string) []Operation {
	var out []Operation
	if o.Mode == ModeHTTPProxy {
		out = append(out, proxyVariables("/spec/initContainers", p.Spec.InitContainers, o.proxyEnv())...)
		out = append(out, proxyVariables("/spec/containers", p.Spec.Containers, o.proxyEnv())...)
	}
	if p.annotations()[annotationCaddyfile] == "" {
		out = append(out, p.annotate(annotationCaddyfile, o.caddyfile()))
	}
	out = append(out, prepend("/spec/volumes", p.Spec.Volumes != nil, o.volumes())...)
	var containers []any
	if o.Mode == ModeCapture {
		containers = append(containers, o.captureContainer())
	}
	containers = append(containers, o.gatewayContainer(workload))
	return append(out, prepend("/spec/initContainers", p.Spec.InitContainers != nil, containers)...)
}

// annotate adds one annotation.
func (p *pod) annotate(name, value string) Operation {
	switch {
	case p.Metadata == nil:
		return Operation{"add", "/metadata", map[string]any{"annotations": map[string]string{name: value}}}
	case p.Metadata.Annotations == nil:
		return Operation{"add", "/metadata/annotations", map[string]string{name: value}}
	}
	return Operation{"add", "/metadata/annotations/" + escape(name), value}
}

// prepend puts values at the front of a list, which may not be there yet.
func prepend(path string, there bool, values []any) []Operation {
	if !there {
		return []Operation{{"add", path, values}}
	}
	var out []Operation
	for _, value := range slices.Backward(values) {
		out = append(out, Operation{"add", path + "/0", value})
	}
	return out
}

// proxyVariables tells the clients in the pod's own containers to ask the gateway.
// A container that has one of the variables already keeps what it has.
func proxyVariables(list string, containers []container, variables []envVar) []Operation {
	var out []Operation
	for i, c := range containers {
		var values []any
		has := false
		for _, v := range variables {
			values = append(values, v)
			has = has || slices.ContainsFunc(c.Env, func(e envVar) bool { return e.Name == v.Name })
		}
		if !has {
			out = append(out, prepend(fmt.Sprintf("%s/%d/env", list, i), c.Env != nil, values)...)
		}
	}
	return out
}
