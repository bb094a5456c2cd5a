package provider

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// defaultCAKey is the key of the certificates in a Secret, as in those that
// cert-manager and Istio use.
const defaultCAKey = "ca.crt"

func (b *builder) tls() {
	settings := b.object.Spec.TLS
	if settings == nil {
		return
	}
	if b.object.Spec.Scheme == "http" {
		b.fault(object.ReasonInvalidField, "spec.tls: there are TLS settings, but scheme is http; write https, or leave one of them out")
		return
	}
	config := &reverseproxy.TLSConfig{InsecureSkipVerify: settings.InsecureSkipVerify}
	if settings.ServerName != "" {
		// Caddy expands placeholders in it, which no DNS name holds.
		if err := object.CheckHost(string(settings.ServerName)); err != nil {
			b.fault(object.ReasonInvalidField, "spec.tls.serverName: %s", err)
		}
		config.ServerName = string(settings.ServerName)
	}
	if ref := settings.CASecretRef; ref != nil {
		const path = "spec.tls.caSecretRef"
		if text, ok := b.secretValue(path, ref, defaultCAKey); ok {
			pool, err := caPool(text)
			if err != nil {
				b.fault(object.ReasonInvalidSecret, "%s: %s", path, err)
			}
			config.CARaw = pool
		}
	}
	b.base.Transport = &reverseproxy.HTTPTransport{TLS: config}
}

// caPool makes the configuration of a certificate pool from PEM text.
func caPool(text string) (json.RawMessage, error) {
	pool := struct {
		Provider string   `json:"provider"`
		Certs    []string `json:"trusted_ca_certs"`
	}{Provider: "inline"}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(pool.Certs)+1, err)
		}
		pool.Certs = append(pool.Certs, base64.StdEncoding.EncodeToString(block.Bytes))
	}
	if len(pool.Certs) == 0 {
		return nil, errors.New("there is no certificate in it; write PEM text that begins with -----BEGIN CERTIFICATE-----")
	}
	return json.Marshal(pool)
}

func (b *builder) headers() {
	if len(b.object.Spec.Headers) > object.MaxAdded {
		b.fault(object.ReasonInvalidField, "spec.headers: "+object.TooMany, object.MaxAdded)
	}
	seen := make(map[string]bool, len(b.object.Spec.Headers))
	for _, name := range slices.Sorted(maps.Keys(b.object.Spec.Headers)) {
		value := b.object.Spec.Headers[name]
		path := "spec.headers[" + object.ShownName(name) + "]"
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			b.fault(object.ReasonInvalidField, "%s: this is not a header name", path)
		case header.WrittenByGateway(canonical):
			b.fault(object.ReasonInvalidField, "%s: the gateway writes this header itself; leave it out", path)
		case seen[canonical]:
			b.fault(object.ReasonInvalidField, "%s: the header is set twice, its name written in two ways; keep one of them", path)
		case !httpguts.ValidHeaderFieldValue(value):
			b.fault(object.ReasonInvalidField, "%s: the value has characters that a header cannot hold", path)
		case headername.IsCredential(name) && object.TemplateForm(value) != "":
			b.fault(object.ReasonInvalidKey, "%s: this is a template nobody has filled in (%s), and placeholders are not expanded in objects; write the value itself", path, object.TemplateForm(value))
		case canonical == b.keyHeader && b.hasKey():
			b.fault(object.ReasonInvalidField, "%s: the gateway writes this header from the key; leave one of them out", path)
		default:
			if b.base.FixedHeaders == nil {
				b.base.FixedHeaders = make(map[string]string, len(b.object.Spec.Headers))
			}
			b.base.FixedHeaders[canonical] = value
		}
		seen[canonical] = true
	}
}

// hasKey reports whether any of the object's settings has a key.
func (b *builder) hasKey() bool {
	configs := b.object.Spec.Configs
	if configs == nil {
		return false
	}
	has := func(c *v1beta1.ProviderConfig) bool {
		for _, settings := range kindConfigs(c) {
			if settings.APIKey != nil || settings.APIKeySecretRef != nil {
				return true
			}
		}
		return false
	}
	if has(configs.DefaultConfig) {
		return true
	}
	for _, c := range configs.RouteSpecificConfigs {
		if has(&c) {
			return true
		}
	}
	return false
}
