package webhook

import (
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"time"
)

// certificate is what a server of the webhook shows, issued by itself from the
// authority that all of them share. It is safe for concurrent use.
type certificate struct {
	times times
	now   func() time.Time

	mu        sync.Mutex
	authority authority
	hosts     []string
	trusted   map[fingerprint]time.Time // roots in the caBundle, since when; nil if not known
	by        *root                     // that current is from
	current   *tls.Certificate
	certFor   []string // the hosts of current
}

// errNoCertificate is what a client is refused with that comes too early.
var errNoCertificate = errors.New("the webhook has no certificate yet")

// get returns the certificate to show now.
func (c *certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(); err != nil {
		return nil, err
	}
	return c.current, nil
}

// update takes over what is known. Of authority and hosts nothing is forgotten:
// without them, what was issued last stays in use.
func (c *certificate) update(a authority, hosts []string, bundle []fingerprint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(a) > 0 {
		c.authority = a
	}
	if len(hosts) > 0 {
		c.hosts = hosts
	}
	if bundle == nil {
		return
	}
	first := c.trusted == nil
	trusted := make(map[fingerprint]time.Time, len(bundle))
	for _, f := range bundle {
		since, known := c.trusted[f]
		if !known && !first {
			since = c.now()
		}
		trusted[f] = since
	}
	c.trusted = trusted
}

// expires tells until when the certificate is good, or that there is none.
func (c *certificate) expires() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(); err != nil {
		return time.Time{}, err
	}
	return c.current.Leaf.NotAfter, nil
}

// refresh issues a certificate if the one there is should be another.
func (c *certificate) refresh() error {
	now := c.now()
	by := c.choose(now)
	if by == nil || len(c.hosts) == 0 {
		if c.current == nil || !now.Before(c.current.Leaf.NotAfter) {
			return errNoCertificate
		}
		return nil
	}
	if c.current != nil && c.by.certificate.Equal(by.certificate) && slices.Equal(c.certFor, c.hosts) && c.current.Leaf.NotAfter.Sub(now) > c.times.leaf/3 {
		return nil
	}
	issued, err := by.issue(c.times, now, c.hosts)
	if err != nil {
		return err
	}
	c.by, c.current, c.certFor = by, issued, c.hosts
	return nil
}

// choose returns the root to issue from: the newest that every API server trusts
// by now, or nil if there is none better than the certificate there is.
func (c *certificate) choose(now time.Time) *root {
	var newest, oldestTrusted *root
	for _, r := range c.authority {
		if r.key == nil || !now.Before(r.certificate.NotAfter) {
			continue
		}
		if newest == nil {
			newest = r
		}
		since, trusted := c.trusted[r.fingerprint()]
		if c.trusted == nil {
			trusted = true // it is not known, so it is guessed by age
		}
		if !trusted {
			continue
		}
		if now.Sub(r.made()) >= c.times.settle && now.Sub(since) >= c.times.settle {
			return r
		}
		oldestTrusted = r
	}
	switch {
	case c.current != nil && now.Before(c.current.Leaf.NotAfter) && slices.Equal(c.certFor, c.hosts) && c.stillTrusted():
		// Another one would be trusted no better.
		if c.by.key != nil && c.has(c.by) {
			return c.by
		}
		return nil
	case oldestTrusted != nil:
		return oldestTrusted
	}
	return newest
}

// stillTrusted reports whether API servers may still trust the certificate there is.
func (c *certificate) stillTrusted() bool {
	if _, ok := c.trusted[c.by.fingerprint()]; ok || len(c.trusted) == 0 {
		return true
	}
	return c.has(c.by)
}

// has reports whether the authority has a root.
func (c *certificate) has(r *root) bool {
	return slices.ContainsFunc(c.authority, func(other *root) bool { return other.certificate.Equal(r.certificate) })
}
