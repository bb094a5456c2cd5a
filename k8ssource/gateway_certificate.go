package k8ssource

import (
	"strings"

	"github.com/caddy-llm/gateway/llmroute"
)

// caSuffix is what Istio appends to the name of a credential to name the Secret
// of its client authorities, where they are not in the same one.
const caSuffix = "-cacert"

// The names of values in the Secrets of credentials: those of Kubernetes, and
// those that Istio has for generic Secrets.
var (
	chainKeys     = []string{"tls.crt", "cert"}
	privateKeys   = []string{"tls.key", "key"}
	authorityKeys = []string{"ca.crt", "cacert"}
)

// certificate reads a server's certificate from its Secret. Without a usable one
// handshakes fail, but the server keeps its hosts.
func (b *gatewayBuilder) certificate(path, name string, clientAuth bool) *llmroute.Certificate {
	// The Gateway's own namespace, as with the keys of providers: whoever may
	// write it there may read its Secrets, and no others.
	full := b.object.Namespace + "/" + name
	if !objectName.MatchString(name) {
		b.warn(ReasonInvalidSecret, "%s: this is not the name of a Secret; write one of namespace %s, since no others are read", path, b.object.Namespace)
		return nil
	}
	secret := b.t.secrets[full]
	if secret == nil {
		b.warn(ReasonSecretNotFound, "%s: there is no Secret of that name in namespace %s, so TLS handshakes fail; create it there with tls.crt and tls.key", path, b.object.Namespace)
		return nil
	}
	faults, usable := secretFaults(path, secret)
	for _, f := range faults {
		b.warn(f.Reason, "%s", f.Message)
	}
	if !usable {
		return nil
	}
	chain, key := first(secret, chainKeys), first(secret, privateKeys)
	if chain == "" || key == "" {
		b.warn(ReasonInvalidSecret, "%s: Secret %s has no tls.crt or no tls.key, so TLS handshakes fail; its keys are: %s", path, bounded(full), secret.Object.keys())
		return nil
	}
	var authorities string
	other := b.t.secrets[full+caSuffix]
	if clientAuth {
		authorities = b.authorities(path, secret, other)
	}
	built := builtCertificate{secret, other, clientAuth}
	if certificate := b.t.before.certificates[built]; certificate != nil {
		b.t.after.certificates[built] = certificate
		return certificate
	}
	certificate, err := llmroute.NewCertificate("Secret "+full, []byte(chain), []byte(key), []byte(authorities))
	if err != nil {
		b.warn(ReasonInvalidSecret, "%s: Secret %s cannot be used, so TLS handshakes fail: %s", path, bounded(full), strings.TrimPrefix(err.Error(), "tls: "))
		return nil
	}
	b.t.after.certificates[built] = certificate
	return certificate
}

// authorities are those of clients' certificates. If there is a Secret for them,
// nothing else takes its place: others would let in other clients.
func (b *gatewayBuilder) authorities(path string, secret, other *Item[Secret]) string {
	from := secret
	if other != nil {
		faults, usable := secretFaults(path, other)
		for _, f := range faults {
			b.warn(f.Reason, "%s", f.Message)
		}
		if !usable {
			return ""
		}
		from = other
	}
	authorities := first(from, authorityKeys)
	if authorities == "" {
		b.warn(ReasonInvalidSecret, "%s: Secret %s has no ca.crt, so no client certificate is accepted; add the authorities of client certificates", path, bounded(keyOf(&from.Object)))
	}
	return authorities
}

// first returns the first of a Secret's values that is there.
func first(secret *Item[Secret], keys []string) string {
	for _, key := range keys {
		if value, ok := secret.Object.value(key); ok && value != "" {
			return value
		}
	}
	return ""
}
