package inject

import (
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/sidecar"
)

// Names of what is added to a pod.
const (
	captureName = "llm-capture"
	gatewayName = "llm-gateway"
	statusName  = "llm-status" // of a port; at most 15 characters

	configVolume = "llm-gateway-config"
	stateVolume  = "llm-gateway-state"
	tokenVolume  = "llm-gateway-token"
)

// The order of fields is that of the Kubernetes reference, which is how they are
// printed.
type newContainer struct {
	Name            string           `json:"name"`
	Image           string           `json:"image"`
	ImagePullPolicy string           `json:"imagePullPolicy,omitempty"`
	Command         []string         `json:"command"`
	Env             []map[string]any `json:"env,omitempty"`
	Ports           []port           `json:"ports,omitempty"`
	RestartPolicy   string           `json:"restartPolicy,omitempty"`
	StartupProbe    *probe           `json:"startupProbe,omitempty"`
	ReadinessProbe  *probe           `json:"readinessProbe,omitempty"`
	Resources       *Resources       `json:"resources,omitempty"`
	SecurityContext securityContext  `json:"securityContext"`
	VolumeMounts    []volumeMount    `json:"volumeMounts,omitempty"`
}

type envVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type probe struct {
	HTTPGet          httpGet `json:"httpGet"`
	PeriodSeconds    int     `json:"periodSeconds"`
	TimeoutSeconds   int     `json:"timeoutSeconds"`
	FailureThreshold int     `json:"failureThreshold"`
}

type httpGet struct {
	Path string `json:"path"`
	Port string `json:"port"`
}

type securityContext struct {
	RunAsUser                int64        `json:"runAsUser"`
	RunAsGroup               int64        `json:"runAsGroup"`
	RunAsNonRoot             bool         `json:"runAsNonRoot"`
	AllowPrivilegeEscalation bool         `json:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool         `json:"readOnlyRootFilesystem"`
	Capabilities             capabilities `json:"capabilities"`
	SeccompProfile           seccomp      `json:"seccompProfile"`
}

type capabilities struct {
	Drop []string `json:"drop"`
	Add  []string `json:"add,omitempty"`
}

type seccomp struct {
	Type string `json:"type"`
}

type volumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

func confined(user int64, add ...string) securityContext {
	return securityContext{
		RunAsUser: user, RunAsGroup: user, RunAsNonRoot: user != 0, ReadOnlyRootFilesystem: true,
		Capabilities: capabilities{Drop: []string{"ALL"}, Add: add}, SeccompProfile: seccomp{"RuntimeDefault"},
	}
}

// captureContainer sets the rules and ends. Of root it has the one capability.
func (o *Options) captureContainer() *newContainer {
	command := []string{"caddy", "llm", "capture", "--ports", strings.Join(o.IncludeOutboundPorts, ","),
		"--uid", strconv.Itoa(sidecar.DefaultUID), "--to", strconv.Itoa(o.Port)}
	if len(o.ExcludeOutboundIPRanges) > 0 {
		command = append(command, "--exclude", strings.Join(o.ExcludeOutboundIPRanges, ","))
	}
	return &newContainer{
		Name: captureName, Image: o.CaptureImage, ImagePullPolicy: o.ImagePullPolicy, Command: command,
		Resources:       &Resources{Requests: map[string]string{"cpu": "10m", "memory": "64Mi"}, Limits: map[string]string{"memory": "128Mi"}},
		SecurityContext: confined(0, "NET_ADMIN"),
	}
}

// gatewayContainer is a native sidecar: an init container that stays. Those after it
// start once its startup probe has succeeded, and it is ended after all of them.
func (o *Options) gatewayContainer(workload string) *newContainer {
	c := &newContainer{
		Name: gatewayName, Image: o.Image, ImagePullPolicy: o.ImagePullPolicy,
		Command:       []string{"caddy", "run", "--config", configDir + "/Caddyfile"},
		RestartPolicy: "Always",
		Env: []map[string]any{
			fieldVariable("LLM_NAMESPACE", "metadata.namespace"),
			{"name": "LLM_WORKLOAD", "value": workload},
			{"name": "HOME", "value": stateDir},
			{"name": "XDG_CONFIG_HOME", "value": stateDir + "/config"},
			{"name": "XDG_DATA_HOME", "value": stateDir + "/data"},
		},
		Ports: []port{{Name: statusName, ContainerPort: o.StatusPort, Protocol: "TCP"}},
		// Ten minutes, as an image may have to be pulled and an API server be asked.
		StartupProbe:    &probe{httpGet{"/readyz", statusName}, 1, 3, 600},
		ReadinessProbe:  &probe{httpGet{"/readyz", statusName}, 5, 3, 3},
		Resources:       o.Resources,
		SecurityContext: confined(sidecar.DefaultUID),
		VolumeMounts:    []volumeMount{{configVolume, configDir, true}, {stateVolume, stateDir, false}},
	}
	if workload == "" {
		c.Env[1] = fieldVariable("LLM_WORKLOAD", "metadata.name")
	}
	c.Env = append(c.Env, o.Env...)
	if o.Source == SourceKubernetes {
		c.VolumeMounts = append(c.VolumeMounts, volumeMount{tokenVolume, tokenDir, true})
	}
	for _, v := range o.objectVolumes() {
		c.VolumeMounts = append(c.VolumeMounts, volumeMount{v.volume(), v.folder(), true})
	}
	return c
}

func fieldVariable(name, path string) map[string]any {
	return map[string]any{"name": name, "valueFrom": map[string]any{"fieldRef": map[string]string{"fieldPath": path}}}
}

// proxyEnv are the variables that send a client's http:// requests to the gateway.
func (o *Options) proxyEnv() []envVar {
	return []envVar{
		{"http_proxy", "http://127.0.0.1:" + strconv.Itoa(o.Port)},
		{"no_proxy", "localhost,127.0.0.1,::1"},
	}
}
