package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pod is what decides whether and how the sidecar is injected into a pod. Nothing is ever
// written from it: all else of the pod stays as it is.
type pod struct {
	Metadata *metadata `json:"metadata"`
	Spec     *spec     `json:"spec"`
}

type metadata struct {
	Name         string            `json:"name"`
	GenerateName string            `json:"generateName"`
	Namespace    string            `json:"namespace"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	Owners       []owner           `json:"ownerReferences"`
}

type owner struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

type spec struct {
	HostNetwork    bool                  `json:"hostNetwork"`
	OS             struct{ Name string } `json:"os"`
	Security       security              `json:"securityContext"`
	InitContainers []container           `json:"initContainers"`
	Containers     []container           `json:"containers"`
	Volumes        []json.RawMessage     `json:"volumes"`
}

type security struct {
	RunAsUser *int64 `json:"runAsUser"`
}

type container struct {
	Name     string    `json:"name"`
	Env      []envVar  `json:"env"`
	Ports    []port    `json:"ports"`
	Security *security `json:"securityContext"`
}

type port struct {
	Name          string `json:"name,omitempty"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol,omitempty"`
}

// readPod reads the JSON of a pod or of a pod template.
func readPod(data []byte) (*pod, error) {
	p := new(pod)
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(data, p); {
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("the pod's %s is of the wrong type, a JSON %s", wrong.Field, wrong.Value)
	case err != nil:
		return nil, fmt.Errorf("the pod is not JSON: %w", err)
	case p.Spec == nil || len(p.Spec.Containers) == 0:
		return nil, errors.New("the pod has no containers; write spec.containers")
	}
	return p, nil
}

func (p *pod) labels() map[string]string {
	if p.Metadata == nil {
		return nil
	}
	return p.Metadata.Labels
}

func (p *pod) annotations() map[string]string {
	if p.Metadata == nil {
		return nil
	}
	return p.Metadata.Annotations
}

// containers are those of the pod, those that run before the others first.
func (p *pod) containers() []container {
	return slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
}

// has reports whether the pod has a container of that name.
func (p *pod) has(name string) bool {
	return slices.ContainsFunc(p.containers(), func(c container) bool { return c.Name == name })
}

// user is the user that a container runs as, or 0 if the image says.
func (p *pod) user(c container) int64 {
	switch {
	case c.Security != nil && c.Security.RunAsUser != nil:
		return *c.Security.RunAsUser
	case p.Spec.Security.RunAsUser != nil:
		return *p.Spec.Security.RunAsUser
	}
	return 0
}

// scheduled is what a CronJob appends to the names of its Jobs.
var scheduled = regexp.MustCompile(`-[0-9]{8,}$`)

// workload is the name of what makes the pod: of a ReplicaSet its Deployment, of a
// Job its CronJob if it has one. It is empty if nothing tells it.
func (p *pod) workload() string {
	if p.Metadata == nil {
		return ""
	}
	for _, o := range p.Metadata.Owners {
		if !o.Controller {
			continue
		}
		switch hash := p.Metadata.Labels["pod-template-hash"]; {
		case o.Kind == "ReplicaSet" && hash != "":
			return strings.TrimSuffix(o.Name, "-"+hash)
		case o.Kind == "Job":
			return scheduled.ReplaceAllString(o.Name, "")
		}
		return o.Name
	}
	if p.Metadata.Name != "" {
		return p.Metadata.Name
	}
	return strings.TrimSuffix(p.Metadata.GenerateName, "-")
}
