package authorization

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

const (
	// meshName and meshKey are where Istio's configuration of the mesh is, in the
	// root namespace.
	meshName = "istio"
	meshKey  = "mesh"
)

// mesh is what is read of the mesh's configuration. Of what others use in it
// nothing is reported.
type mesh struct {
	name string                         // of the object, with its kind
	item *object.Item[object.ConfigMap] // nil without one
	// tree is the configuration, nil if it cannot be read.
	tree   map[string]any
	faults []object.Fault

	proxies        int
	proxiesUnknown bool // it may be any number

	needed bool // by a policy
	asked  map[string]*askedService
}

// askedService is a service that a policy asks, or why it cannot.
type askedService struct {
	service *authz.ExtAuthz
	fault   *object.Fault
}

// readMesh reads the mesh's configuration from its ConfigMap, if there is one.
func readMesh(item *object.Item[object.ConfigMap], name string) *mesh {
	m := &mesh{item: item, name: name, asked: make(map[string]*askedService)}
	if item == nil {
		return m
	}
	m.faults = append(m.faults, item.Faults...)
	if object.Refusal(item.Faults) != "" {
		m.proxiesUnknown = true
		return m
	}
	text, ok := item.Object.Data[meshKey]
	if !ok {
		return m
	}
	if err := yaml.Unmarshal([]byte(text), &m.tree); err != nil {
		m.tree, m.proxiesUnknown = nil, true
		m.fault("", "this is not YAML, so nobody can be asked and client addresses are not known")
		return m
	}
	m.trustedProxies()
	return m
}

// fault adds a fault of what is at a path of the configuration. It does no harm to
// whoever does not need that.
func (m *mesh) fault(path, format string, args ...any) {
	if path != "" {
		path = "." + path
	}
	m.faults = append(m.faults, *object.Warningf(object.ReasonInvalidMesh, "data."+meshKey+path+": "+format, args...))
}

func (m *mesh) trustedProxies() {
	const path = "defaultConfig.gatewayTopology.numTrustedProxies"
	var config struct {
		DefaultConfig struct {
			GatewayTopology struct {
				NumTrustedProxies object.TextNumber `json:"numTrustedProxies"`
			} `json:"gatewayTopology"`
		} `json:"defaultConfig"`
	}
	err := remarshal(m.tree, &config)
	if n := config.DefaultConfig.GatewayTopology.NumTrustedProxies; err == nil && n != "" {
		m.proxies, err = number(n, 0, 1<<16)
	}
	if err != nil {
		m.proxies, m.proxiesUnknown = 0, true
		m.fault(path, "this cannot be read, so client addresses are not known; write the number of proxies in front of the gateway")
	}
}

// extAuthz is the service of a name. The fault is about a policy that asks it; what
// is wrong with the service is added to the mesh's.
func (m *mesh) extAuthz(name string) (*authz.ExtAuthz, *object.Fault) {
	asked := m.asked[name]
	if asked == nil {
		asked = new(askedService)
		asked.service, asked.fault = m.lookUp(name)
		if asked.fault != nil {
			asked.fault.Message = "spec.provider.name: " + asked.fault.Message + ". Until then what the policy matches is refused"
			asked.fault.Used = true
		}
		m.asked[name] = asked
	}
	return asked.service, asked.fault
}

func (m *mesh) lookUp(name string) (*authz.ExtAuthz, *object.Fault) {
	if name == "" {
		return nil, object.Faultf(object.ReasonInvalidField, "a CUSTOM policy asks someone; write the name of one of the extensionProviders in %s, key %s", m.name, meshKey)
	}
	if m.tree == nil && len(m.faults) > 0 {
		return nil, object.Faultf(object.ReasonExtensionProviderNotFound, "%s cannot be read; see there", m.name)
	}
	providers, _ := m.tree["extensionProviders"].([]any)
	for i, p := range providers {
		entry, _ := p.(map[string]any)
		if entry["name"] != name {
			continue
		}
		service, ok := entry["envoyExtAuthzHttp"].(map[string]any)
		if !ok {
			return nil, object.Faultf(object.ReasonExtensionProviderRefused, "the one of that name in %s is not a service over HTTP, and no others are asked; give it envoyExtAuthzHttp", m.name)
		}
		if out := m.service(fmt.Sprintf("extensionProviders[%d].envoyExtAuthzHttp", i), service); out != nil {
			return out, nil
		}
		return nil, object.Faultf(object.ReasonExtensionProviderRefused, "the one of that name in %s cannot be used; see there", m.name)
	}
	return nil, object.Faultf(object.ReasonExtensionProviderNotFound, "there is none of that name among the extensionProviders in %s, key %s; add it there with envoyExtAuthzHttp, service and port", m.name, meshKey)
}

// service reads a service. It is nil if anything is wrong with it.
func (m *mesh) service(path string, tree map[string]any) *authz.ExtAuthz {
	before := len(m.faults)
	for _, f := range object.CheckSchema[object.ExtAuthzHTTP](tree, make(object.Schemas)) {
		f.Message = "data." + meshKey + "." + path + "." + f.Message
		f.Used = true
		m.faults = append(m.faults, f)
	}
	var in object.ExtAuthzHTTP
	if len(m.faults) > before || remarshal(tree, &in) != nil {
		return nil
	}
	out := &authz.ExtAuthz{
		Service: in.Service, PathPrefix: in.PathPrefix, FailOpen: in.FailOpen,
		IncludeRequestHeadersInCheck: append(in.IncludeRequestHeadersInCheck, in.IncludeHeadersInCheck...), IncludeAdditionalHeadersInCheck: in.IncludeAdditionalHeadersInCheck,
		HeadersToUpstreamOnAllow: in.HeadersToUpstreamOnAllow, HeadersToDownstreamOnAllow: in.HeadersToDownstreamOnAllow, HeadersToDownstreamOnDeny: in.HeadersToDownstreamOnDeny,
		Timeout: m.duration(path+".timeout", in.Timeout), Port: m.number(path+".port", in.Port, 65535),
		StatusOnError: m.number(path+".statusOnError", in.StatusOnError, 599),
	}
	if in.Service == "" {
		m.fault(path+".service", "the service's host is required; write one such as ext-authz.default.svc.cluster.local")
	}
	if in.Port == "" {
		m.fault(path+".port", "the service's port is required")
	}
	if body := in.IncludeRequestBodyInCheck; body != nil {
		out.IncludeRequestBodyInCheck = &authz.ExtAuthzBody{
			MaxRequestBytes: m.number(path+".includeRequestBodyInCheck.maxRequestBytes", body.MaxRequestBytes, 1<<30), AllowPartialMessage: body.AllowPartialMessage,
		}
	}
	if len(m.faults) > before {
		return nil
	}
	_, problems := authz.New(&authz.Config{ExtAuthz: map[string]*authz.ExtAuthz{"": out}}, zap.NewNop())
	for _, p := range problems {
		m.fault(path, "%s", p.Message)
		out = nil
	}
	return out
}

func (m *mesh) number(path string, text object.TextNumber, most int) int {
	if text == "" {
		return 0
	}
	n, err := number(text, 1, most)
	if err != nil {
		m.fault(path, "this is not a whole number from 1 to %d", most)
	}
	return n
}

func (m *mesh) duration(path, text string) caddy.Duration {
	d, err := parseDuration(text)
	if err != nil {
		m.fault(path, "%s", err)
	}
	return d
}

// parseDuration reads a duration that may be missing.
func parseDuration(text string) (caddy.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond {
		return 0, errors.New("this is not a duration of 1ms or more; write one such as 5s")
	}
	return caddy.Duration(d), nil
}

// number reads a number from least to most.
func number(text object.TextNumber, least, most int) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err == nil && (n < least || n > most) {
		err = strconv.ErrRange
	}
	return n, err
}

// remarshal reads a value that was decoded without a type into one that has one.
func remarshal(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}
