package webhook

import (
	"errors"
	"testing"
	"time"
)

// side is a gateway, at a time that the test sets.
type side struct {
	certificate
	at time.Time
}

func newSide(at time.Time) *side {
	s := &side{at: at}
	s.times, s.now = year, func() time.Time { return s.at }
	return s
}

var hosts = []string{"127.0.0.1", "llm-gateway-webhook.istio-system.svc"}

// learns tells the side what is in the Secret and in the caBundle.
func (s *side) learns(secret, bundle authority) {
	var in []fingerprint
	if bundle != nil {
		in = []fingerprint{}
		for _, r := range bundle {
			in = append(in, r.fingerprint())
		}
	}
	s.update(secret, hosts, in)
}

// trustedWith checks what the side shows against a caBundle.
func (s *side) trustedWith(t *testing.T, bundle authority) {
	t.Helper()
	c, err := s.get()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		if err := verify(c, bundle.bundle(), host, s.at); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if c.Leaf.IsCA {
		t.Error("the certificate of a server can sign others")
	}
}

func TestNoCertificateYet(t *testing.T) {
	s := newSide(start)
	a := renewed(t, nil, start)
	if _, err := s.get(); !errors.Is(err, errNoCertificate) {
		t.Error(err)
	}
	s.update(a, nil, nil) // no host is known
	if _, err := s.get(); !errors.Is(err, errNoCertificate) {
		t.Error(err)
	}
	s.update(nil, hosts, nil)
	s.trustedWith(t, a)
}

// TestRotation follows three gateways through a new root. Whatever the order in which
// they hear of Secret and caBundle, what they show is trusted with the caBundle that
// API servers have, and with the one they had a moment before.
func TestRotation(t *testing.T) {
	old := renewed(t, nil, start)
	at := start.Add(defaultLifetime - year.renew + time.Hour)
	both := renewed(t, old, at)
	if len(both) != 2 {
		t.Fatalf("%d roots", len(both))
	}
	early, late := newSide(at), newSide(at)
	for _, s := range []*side{early, late} {
		s.learns(old, old)
		s.trustedWith(t, old)
	}
	early.learns(both, old) // the Secret comes before the caBundle
	early.trustedWith(t, old)
	early.at = at.Add(time.Hour) // a leader that cannot write the caBundle
	early.trustedWith(t, old)
	early.at = at
	early.learns(both, both)
	early.trustedWith(t, old) // another API server may not have it yet
	late.learns(nil, both)    // the caBundle comes before the Secret
	late.trustedWith(t, old)

	fresh := newSide(at) // starts in between
	fresh.learns(both, both)
	fresh.trustedWith(t, old)
	unknown := newSide(at) // may not read the configuration any more
	unknown.learns(both, nil)
	unknown.trustedWith(t, old)

	settled := at.Add(year.settle + time.Second)
	for _, s := range []*side{early, fresh, unknown} {
		s.at = settled
		s.trustedWith(t, both[:1])
	}
	late.at = settled
	late.trustedWith(t, both)
	late.learns(both, nil)
	late.trustedWith(t, both[:1])

	// A gateway that hears of nothing any more serves to the end of the old root.
	deaf := newSide(at)
	deaf.learns(old, old)
	for deaf.at = at; deaf.at.Before(old[0].certificate.NotAfter); deaf.at = deaf.at.Add(24 * time.Hour) {
		deaf.trustedWith(t, both)
	}
	deaf.at = old[0].certificate.NotAfter.Add(time.Second)
	if _, err := deaf.get(); !errors.Is(err, errNoCertificate) {
		t.Errorf("after the end: %v", err)
	}
}

// TestLateBundle holds that a root whose caBundle could not be written for long is used
// no sooner than any other.
func TestLateBundle(t *testing.T) {
	old := renewed(t, nil, start)
	at := start.Add(defaultLifetime - year.renew + time.Hour)
	both := renewed(t, old, at)
	s := newSide(at)
	s.learns(both, old)
	s.at = at.Add(24 * time.Hour)
	s.learns(both, both)
	s.trustedWith(t, old)
	s.at = s.at.Add(year.settle)
	s.trustedWith(t, both[:1])
}

// TestLostSecret holds that gateways go on with what they have until the new
// authority is trusted.
func TestLostSecret(t *testing.T) {
	old := renewed(t, nil, start)
	at := start.AddDate(0, 1, 0)
	s := newSide(at)
	s.learns(old, old)
	s.trustedWith(t, old)
	s.learns(nil, old)
	s.trustedWith(t, old)

	next := renewed(t, nil, at, old[0].certificate)
	s.learns(next, old)
	s.trustedWith(t, old)
	s.learns(next, next)
	s.trustedWith(t, old)
	s.at = at.Add(year.settle + time.Second)
	s.trustedWith(t, next[:1])
}

// TestEmptiedBundle holds that a caBundle which somebody empties changes nothing: it
// is about to be filled in again.
func TestEmptiedBundle(t *testing.T) {
	a := renewed(t, nil, start)
	s := newSide(start.Add(time.Hour))
	s.learns(a, a)
	before, err := s.get()
	if err != nil {
		t.Fatal(err)
	}
	s.learns(a, authority{})
	if after, err := s.get(); err != nil || after != before {
		t.Errorf("another certificate: %v", err)
	}
	s.learns(a, a)
	s.trustedWith(t, a)
}

// TestRenewed holds that a certificate is replaced in time, and else stays.
func TestRenewed(t *testing.T) {
	a := renewed(t, nil, start)
	s := newSide(start.Add(time.Hour))
	s.learns(a, a)
	first, err := s.get()
	if err != nil {
		t.Fatal(err)
	}
	s.at = s.at.Add(year.leaf / 2)
	if again, err := s.get(); err != nil || again != first {
		t.Errorf("replaced too early: %v", err)
	}
	s.at = s.at.Add(year.leaf / 4)
	if again, err := s.get(); err != nil || again == first {
		t.Errorf("not replaced: %v", err)
	}
	s.trustedWith(t, a)
	s.update(nil, []string{"other.svc"}, nil)
	if c, err := s.get(); err != nil || verify(c, a.bundle(), "other.svc", s.at) != nil {
		t.Errorf("it is not for the new host: %v", err)
	}
}
