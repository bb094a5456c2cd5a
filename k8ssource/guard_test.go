package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestKeysOfInternalAddresses holds that keys are not fetched from addresses that objects
// may not name, and that all others are guarded, unless the operator allows any.
func TestKeysOfInternalAddresses(t *testing.T) {
	const text = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: a, namespace: istio-system}
spec: {jwtRules: [{issuer: "https://issuer.example.com", jwksUri: "%s"}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
`
	for uri, refused := range map[string]bool{
		"http://169.254.169.254/keys": true, "http://127.0.0.1:2019/config": true, "https://[64:ff9b::a9fe:a9fe]/": true, "http://metadata.google.internal/": true,
		"https://issuer.example.com/keys": false, "http://127.0.0.1:8080/keys": false,
	} {
		for _, anyHost := range []bool{false, true} {
			state := Translate(mustDecode(t, fmt.Sprintf(text, uri)), spec.Identity{}, Options{AllowAnyHost: anyHost})
			rule := state.Authorization.JWT[0]
			found := fmt.Sprint(state.Findings)
			if want := refused && !anyHost; strings.Contains(found, object.ReasonHostNotAllowed) != want || (rule.JWKSURI == "") != want || rule.Guarded == anyHost {
				t.Errorf("%s, any host %v: got %+v, findings %s", uri, anyHost, rule, found)
			}
		}
	}
}
