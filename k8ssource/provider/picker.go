package provider

import (
	"encoding/json"
	"net"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// pickerModule is the module that asks the endpoint pickers of InferencePools. A build may
// be without it.
const pickerModule = "ext_proc"

const (
	failOpen  = "FailOpen"
	failClose = "FailClose"

	headless = "None"
)

// pickerConfig is the configuration of the module for a pool.
type pickerConfig struct {
	Protocol    string          `json:"protocol"`
	Address     string          `json:"address"`
	FailureMode string          `json:"failure_mode"`
	Plaintext   bool            `json:"plaintext,omitempty"`
	CA          json.RawMessage `json:"ca,omitempty"`
	ServerName  string          `json:"server_name,omitempty"`
	Timeout     caddy.Duration  `json:"timeout,omitempty"`
}

// Picker returns the configuration of a pool's endpoint picker, empty if the gateway is to
// choose. With a fault there is none, and only with failureMode FailOpen is the pool used.
func Picker(p *object.InferencePool, services map[string]*object.Service, options *PickerOptions) (config string, fault *object.Fault) {
	ref := p.Spec.EndpointPickerRef
	if ref == nil {
		return "", nil
	}
	mode := ref.FailureMode
	if mode == "" {
		mode = failClose
	}
	wrong := func(text string) (string, *object.Fault) {
		if mode == failOpen {
			return "", &object.Fault{Reason: object.ReasonInvalidPicker, Used: true, Message: "spec.endpointPickerRef" + text + "; meanwhile the gateway chooses among the pods itself, as failureMode is FailOpen"}
		}
		return "", object.Faultf(object.ReasonInvalidPicker, "spec.endpointPickerRef%s; until then requests for the pool are answered with 503, as failureMode is FailClose", text)
	}
	switch {
	case mode != failOpen && mode != failClose:
		mode = failClose
		return wrong(".failureMode: this is unknown; write FailOpen or FailClose")
	case !ref.IsService():
		return wrong(": this is not a Service; write the name of one in the pool's namespace")
	case ref.Port == nil || ref.Port.Number < 1 || ref.Port.Number > 65535:
		return wrong(".port.number: this is not a port; write one of the Service's")
	}
	service := services[p.Namespace+"/"+ref.Name]
	switch {
	case service == nil:
		return wrong(".name: there is no Service of this name in the pool's namespace; create it, or correct the name")
	case service.Spec.Type == object.TypeExternalName:
		return wrong(".name: the Service is of type ExternalName, which is not followed; write one with pods")
	case !service.HasPort(ref.Port.Number):
		return wrong(".port.number: the Service has no such port; correct it")
	}
	if _, err := caddy.GetModule("llm.endpoint_pickers." + pickerModule); err != nil {
		return wrong(": this build of the gateway is without the module llm.endpoint_pickers." + pickerModule + ", which asks endpoint pickers; use one that has it")
	}
	name := ref.Name + "." + p.Namespace + ".svc"
	out := pickerConfig{Protocol: pickerModule, FailureMode: mode}
	host := name
	if ip := service.Spec.ClusterIP; ip != "" && ip != headless {
		host = ip
	}
	out.Address = net.JoinHostPort(host, strconv.Itoa(int(ref.Port.Number)))
	if options == nil {
		options = new(PickerOptions)
	}
	if out.Plaintext, out.Timeout, out.CA = options.Plaintext, options.Timeout, options.TrustPoolRaw; !out.Plaintext {
		out.ServerName = name
		if options.ServerName != "" {
			out.ServerName = options.ServerName
		}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return wrong(": " + err.Error())
	}
	return string(data), nil
}
