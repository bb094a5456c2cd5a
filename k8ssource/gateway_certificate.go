package k8ssource

import (
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/listen"
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

// servedCertificate is what a certificate is kept by that stays in use while its Secret
// is gone or cannot be used.
type servedCertificate struct {
	gateway, credential string
	clientAuth          bool
}

// certificate reads a server's certificate from its Secret. Without a usable one, the
// last good one stays in use. If there was none, handshakes fail, but the server keeps
// its hosts.
func (b *gatewayBuilder) certificate(path, name string, clientAuth bool) *listen.Certificate {
	if !object.IsName(name) {
		b.warn(object.ReasonInvalidSecret, "%s: this is not the name of a Secret; write one of %s, since no others are read", path, b.credentialNamespaces())
		return nil
	}
	key := servedCertificate{object.Key(b.object), name, clientAuth}
	last := b.t.before.served[key]
	effect := "so TLS handshakes fail"
	if last != nil {
		effect = "and the last good certificate stays in use"
	}
	certificate := b.currentCertificate(path, name, effect, clientAuth)
	if certificate == nil {
		certificate = last
	}
	if certificate != nil {
		b.t.after.served[key] = certificate
	}
	return certificate
}

// credential finds the Secret of a name: in the workload's namespace, as Istio has it,
// else in the Gateway's. One that may not be read is as good as none while there is
// another.
func (b *gatewayBuilder) credential(name string) *object.Item[object.Secret] {
	var refused *object.Item[object.Secret]
	for _, namespace := range credentialNamespaces(b.t, b.object) {
		secret := b.t.secrets[namespace+"/"+name]
		switch {
		case secret == nil:
		case object.Refusal(secret.Faults) == object.ReasonSecretForbidden:
			if refused == nil {
				refused = secret
			}
		default:
			return secret
		}
	}
	return refused
}

// credentialNamespaces are those where a Gateway's Secrets are looked for, in order.
func credentialNamespaces(t *translation, g *object.Gateway) []string {
	if !t.workload.Known || t.workload.Identity.Namespace == g.Namespace {
		return []string{g.Namespace}
	}
	return []string{t.workload.Identity.Namespace, g.Namespace}
}

// credentialNamespaces are the same for people.
func (b *gatewayBuilder) credentialNamespaces() string {
	return "namespace " + strings.Join(credentialNamespaces(b.t, b.object), " or ")
}

// currentCertificate is the one that the Secret has now. effect is what follows if there
// is none.
func (b *gatewayBuilder) currentCertificate(path, name, effect string, clientAuth bool) *listen.Certificate {
	secret := b.credential(name)
	if secret == nil {
		b.warn(object.ReasonSecretNotFound, "%s: there is no Secret of that name in %s, %s; create it there with tls.crt and tls.key", path, b.credentialNamespaces(), effect)
		return nil
	}
	full := object.Key(&secret.Object)
	faults, usable := object.SecretFaults(path, secret)
	for _, f := range faults {
		if !usable {
			f.Message += ", " + effect
		}
		b.warn(f.Reason, "%s", f.Message)
	}
	if !usable {
		return nil
	}
	chain, key := first(secret, chainKeys), first(secret, privateKeys)
	if chain == "" || key == "" {
		keys := ""
		if secret.Object.Namespace == b.object.Namespace { // else whoever writes the Gateway may not know them
			keys = "; its keys are: " + secret.Object.Keys()
		}
		b.warn(object.ReasonInvalidSecret, "%s: Secret %s has no tls.crt or no tls.key, %s%s", path, object.ShownKey(&secret.Object), effect, keys)
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
	certificate, err := listen.NewCertificate("Secret "+full, []byte(chain), []byte(key), []byte(authorities))
	if err != nil {
		b.warn(object.ReasonInvalidSecret, "%s: Secret %s cannot be used, %s: %s", path, object.ShownKey(&secret.Object), effect, strings.TrimPrefix(err.Error(), "tls: "))
		return nil
	}
	b.t.after.certificates[built] = certificate
	return certificate
}

// authorities are those of clients' certificates. If there is a Secret for them,
// nothing else takes its place: others would let in other clients.
func (b *gatewayBuilder) authorities(path string, secret, other *object.Item[object.Secret]) string {
	from := secret
	if other != nil {
		faults, usable := object.SecretFaults(path, other)
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
		b.warn(object.ReasonInvalidSecret, "%s: Secret %s has no ca.crt, so no client certificate is accepted; add the authorities of client certificates", path, object.Bounded(object.Key(&from.Object)))
	}
	return authorities
}

// first returns the first of a Secret's values that is there.
func first(secret *object.Item[object.Secret], keys []string) string {
	for _, key := range keys {
		if value, ok := secret.Object.Value(key); ok && value != "" {
			return value
		}
	}
	return ""
}
