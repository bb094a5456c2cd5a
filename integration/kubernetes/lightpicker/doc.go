// Package lightpicker pins the light endpoint picker of the Gateway API Inference Extension,
// which tests build from its module:
//
//	go build sigs.k8s.io/gateway-api-inference-extension/cmd/lwepp
//
// What it depends on must not become part of the gateway's own module.
package lightpicker
