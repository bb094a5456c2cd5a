package inject

import (
	"fmt"
	"slices"
)

// What opts in and out, with the meaning that the labels istio-injection and
// sidecar.istio.io/inject have for Istio, beside which these can be.
const (
	// InjectionLabel is the label of a namespace: `enabled` or `disabled`.
	InjectionLabel = "llm-gateway-injection"

	// InjectLabel is the label of a pod: `true` or `false`.
	InjectLabel = "sidecar.llm-gateway/inject"
)

// Decision reports whether the sidecar is injected into a pod, and why or why not.
type Decision struct {
	Inject bool

	// One of the reasons below.
	Reason string

	// The same for people.
	Message string
}

// Reasons of decisions.
const (
	ReasonOptedIn         = "OptedIn"
	ReasonNotOptedIn      = "NotOptedIn"
	ReasonOptedOut        = "OptedOut"
	ReasonInjected        = "AlreadyInjected"
	ReasonSystemNamespace = "SystemNamespace"
	ReasonHostNetwork     = "HostNetwork"
	ReasonMirrorPod       = "MirrorPod"
	ReasonWindows         = "Windows"
)

// systemNamespaces are never injected: the cluster needs their pods to start.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// decide looks at the labels first, as Istio does: any that says no wins, else any
// that says yes, else there is no sidecar. The error is a label that says neither.
func decide(p *pod, place Place) (Decision, error) {
	namespace := place.Namespace
	if namespace == "" && p.Metadata != nil {
		namespace = p.Metadata.Namespace
	}
	if slices.Contains(systemNamespaces, namespace) {
		return Decision{Reason: ReasonSystemNamespace, Message: "pods in " + namespace + " get no sidecar"}, nil
	}
	wanted, out, err := says(p.labels(), InjectLabel, "true", "false")
	if err != nil {
		return Decision{}, fmt.Errorf("pod: %w", err)
	}
	everywhere, nowhere, err := says(place.NamespaceLabels, InjectionLabel, "enabled", "disabled")
	if err != nil {
		return Decision{}, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	switch {
	case out:
		return Decision{Reason: ReasonOptedOut, Message: "the pod has the label " + InjectLabel + ": \"false\""}, nil
	case nowhere:
		return Decision{Reason: ReasonOptedOut, Message: "the namespace has the label " + InjectionLabel + ": disabled"}, nil
	case !wanted && !everywhere:
		return Decision{Reason: ReasonNotOptedIn, Message: "neither the pod has the label " + InjectLabel + ": \"true\" nor its namespace " + InjectionLabel + ": enabled"}, nil
	case p.has(gatewayName):
		return Decision{Reason: ReasonInjected, Message: "the pod has a container " + gatewayName + " already"}, nil
	case p.Spec.HostNetwork:
		return Decision{Reason: ReasonHostNetwork, Message: "the pod uses the network of its node (hostNetwork), where rules and ports would be everybody's"}, nil
	case p.annotations()["kubernetes.io/config.mirror"] != "":
		return Decision{Reason: ReasonMirrorPod, Message: "the pod stands for a static one, which nobody but its node can change"}, nil
	case p.Spec.OS.Name == "windows":
		return Decision{Reason: ReasonWindows, Message: "the pod runs on Windows, where the gateway's image does not"}, nil
	case wanted:
		return Decision{true, ReasonOptedIn, "the pod has the label " + InjectLabel + ": \"true\""}, nil
	}
	return Decision{true, ReasonOptedIn, "the namespace has the label " + InjectionLabel + ": enabled"}, nil
}

// says tells which of two values a label has, if it is there.
func says(labels map[string]string, name, yes, no string) (isYes, isNo bool, err error) {
	value, there := labels[name]
	switch {
	case !there:
		return false, false, nil
	case value == yes:
		return true, false, nil
	case value == no:
		return false, true, nil
	}
	return false, false, fmt.Errorf("the label %s has another value; write %q or %q", name, yes, no)
}
