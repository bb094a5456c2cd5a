package k8ssource

import "github.com/caddy-llm/gateway/llmprovider"

// literals gives the same secret for the same value, so that a provider which
// did not change is equal to its last version and keeps its compiled form. The
// zero value is ready for use.
type literals struct {
	last, current map[string]*llmprovider.Secret
}

// get returns the secret with that value.
func (l *literals) get(value string) *llmprovider.Secret {
	secret := l.current[value]
	if secret == nil {
		if secret = l.last[value]; secret == nil {
			secret = llmprovider.Literal(value)
		}
		if l.current == nil {
			l.current = make(map[string]*llmprovider.Secret)
		}
		l.current[value] = secret
	}
	return secret
}

// forget drops the values that were not asked for since the last call.
func (l *literals) forget() { l.last, l.current = l.current, nil }
