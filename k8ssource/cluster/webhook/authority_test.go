package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// year are the times of the default.
var year = timesOf(defaultLifetime)

func renewed(t *testing.T, a authority, now time.Time, known ...*x509.Certificate) authority {
	t.Helper()
	out, err := a.renewed(year, now, known)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reread writes and reads an authority.
func reread(t *testing.T, a authority) authority {
	t.Helper()
	keys, err := a.keys()
	if err != nil {
		t.Fatal(err)
	}
	out, err := parseAuthority(a.bundle(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAuthorityOverYears looks at the authority every day for ten years: there is
// always a root that is good for a third of its lifetime, each is trusted to its end,
// and what is unchanged is not written again.
func TestAuthorityOverYears(t *testing.T) {
	var a authority
	made := make(map[fingerprint]*root)
	for now := start; now.Before(start.AddDate(10, 0, 0)); now = now.AddDate(0, 0, 1) {
		next := renewed(t, a, now)
		if next.signing().certificate.NotAfter.Sub(now) < year.renew {
			t.Fatalf("%v: the newest root ends at %v", now, next.signing().certificate.NotAfter)
		}
		if len(next) > 2 {
			t.Fatalf("%v: %d roots", now, len(next))
		}
		for _, r := range next {
			made[r.fingerprint()] = r
		}
		for f, r := range made {
			if kept := containsRoot(next, f); kept != now.Before(r.certificate.NotAfter) {
				t.Fatalf("%v: a root that ends at %v is kept: %v", now, r.certificate.NotAfter, kept)
			}
		}
		again := renewed(t, reread(t, next), now)
		if string(again.bundle()) != string(next.bundle()) {
			t.Fatalf("%v: another look gives another bundle", now)
		}
		a = next
	}
	if len(made) != 15 { // ten years, and another root every eight months
		t.Errorf("%d roots were made", len(made))
	}
}

func containsRoot(a authority, f fingerprint) bool {
	for _, r := range a {
		if r.fingerprint() == f {
			return true
		}
	}
	return false
}

// TestLostKeys holds that certificates whose keys are lost are trusted for as long
// as gateways need to notice, and no longer.
func TestLostKeys(t *testing.T) {
	old := renewed(t, nil, start)
	later := start.AddDate(0, 1, 0)
	next := renewed(t, nil, later, old[0].certificate)
	if len(next) != 2 || next.signing() != next[0] || !next[1].certificate.Equal(old[0].certificate) || next[1].key != nil {
		t.Fatalf("the authority has %d roots", len(next))
	}
	next = reread(t, next)
	if soon := renewed(t, next, later.Add(9*year.settle)); len(soon) != 2 {
		t.Errorf("soon there are %d roots", len(soon))
	}
	// That it is still in a caBundle does not keep it.
	if after := renewed(t, next, later.Add(11*year.settle), old[0].certificate); len(after) != 1 || after[0].key == nil {
		t.Errorf("later there are %d roots", len(after))
	}
}

func TestUnreadableAuthority(t *testing.T) {
	a, b := renewed(t, nil, start), renewed(t, nil, start)
	keys, err := a.keys()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ bundle, keys, want string }{
		"nothing":       {"", "", "ca.crt holds no certificate"},
		"no PEM":        {"ca", string(keys), "ca.crt holds no certificate"},
		"no key":        {string(a.bundle()), "", "none of the private keys"},
		"another key":   {string(b.bundle()), string(keys), "none of the private keys"},
		"a certificate": {string(a.bundle()), string(a.bundle()), "ca.key holds something that is no private key"},
	} {
		if _, err := parseAuthority([]byte(test.bundle), []byte(test.keys)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: the error holds a key: %v", name, err)
		}
	}
}

// verify checks a server's certificate as an API server does that has the bundle.
func verify(c *tls.Certificate, bundle []byte, host string, now time.Time) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	_, err := c.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: now})
	return err
}

// FuzzAuthority holds that what is read from a Secret ends no process, and that it
// can sign if it is taken.
func FuzzAuthority(f *testing.F) {
	a, err := authority(nil).renewed(year, start, nil)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := a.keys()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.bundle(), keys)
	f.Add(append(a.bundle(), a.bundle()...), append([]byte("x\n"), keys...))
	f.Fuzz(func(t *testing.T, bundle, keys []byte) {
		read, err := parseAuthority(bundle, keys)
		if err != nil {
			return
		}
		c, err := read.signing().issue(year, start, []string{"a.b.svc"})
		if err != nil {
			t.Skip() // a certificate that somebody made otherwise
		}
		_ = verify(c, bundle, "a.b.svc", start)
	})
}
