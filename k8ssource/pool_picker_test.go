package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	_ "github.com/caddy-llm/gateway/llmroute/picker"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestPickers holds what becomes of endpointPickerRef, for both failure modes.
func TestPickers(t *testing.T) {
	const failOpen, failClose = "FailOpen", "FailClose"
	const objects = `apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p, namespace: ns}
spec: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}], endpointPickerRef: {%s, failureMode: %s}}
---
apiVersion: v1
kind: Service
metadata: {name: epp, namespace: ns}
spec: {clusterIP: 10.96.0.7, ports: [{port: 9002}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: ns}
spec: {clusterIP: None, ports: [{port: 9002}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: ns}
spec: {type: ExternalName, externalName: epp.example.com, ports: [{port: 9002}]}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: other}
spec: {clusterIP: 10.96.0.8, ports: [{port: 9002}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: r, namespace: ns}
spec: {host: m, rules: [{backendRefs: [{backendRef: {group: inference.networking.k8s.io, kind: InferencePool, name: p}}]}]}
`
	for _, test := range []struct{ ref, picker, fault string }{
		{"name: epp, port: {number: 9002}", `"address":"10.96.0.7:9002","failure_mode":"%s","server_name":"epp.ns.svc"`, ""},
		{"kind: Service, group: '', name: epp, port: {number: 9002}", `"address":"10.96.0.7:9002"`, ""},
		{"name: headless, port: {number: 9002}", `"address":"headless.ns.svc:9002"`, ""},
		{"name: epp, port: {number: 9003}", "", "no such port"},
		{"name: epp", "", "this is not a port"},
		{"name: epp, port: {number: 70000}", "", "this is not a port"},
		{"name: nobody, port: {number: 9002}", "", "no Service of this name"},
		{"name: elsewhere, port: {number: 9002}", "", "no Service of this name"},
		{"name: outside, port: {number: 9002}", "", "ExternalName"},
		{"kind: Deployment, name: epp, port: {number: 9002}", "", "not a Service"},
		{"group: apps, name: epp, port: {number: 9002}", "", "not a Service"},
		{"name: ../epp, port: {number: 9002}", "", "not a Service"},
	} {
		for _, mode := range []string{failOpen, failClose, `""`, "Sometimes"} {
			read, err := object.Decode("a.yaml", []byte(fmt.Sprintf(objects, test.ref, mode)))
			if err != nil {
				t.Fatal(err)
			}
			state := Translate(read, spec.Identity{}, Options{})
			said, used := "", true
			for _, f := range state.Findings {
				if f.Reason == object.ReasonInvalidPicker {
					said, used = f.Message, f.Used
				}
			}
			want, fault := test.picker, test.fault
			if mode == "Sometimes" {
				want, fault = "", "write FailOpen or FailClose"
			}
			if !strings.Contains(said, fault) || (said == "") != (fault == "") || said != "" && used != (mode == failOpen) {
				t.Errorf("%s, %s: the finding is %q, used %v", test.ref, mode, said, used)
			}
			got := ""
			for _, p := range state.Providers {
				base, _ := kind.BaseOf(p.Provider)
				got = string(base.Pool.PickerRaw)
			}
			if mode == `""` {
				mode = failClose
			}
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, mode)
			}
			if !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s, %s: the picker is %s", test.ref, mode, got)
			}
			if backend := state.Tables[MeshTable][0].Rules[0].Backends[0]; (backend.Unusable != "") != (fault != "" && mode != failOpen) {
				t.Errorf("%s, %s: the backend is %+v", test.ref, mode, backend)
			}
		}
	}
}
