package webhook

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/x509util"
)

const (
	// authorityName is the common name of the authority's certificates, by which
	// the gateway knows its own in a caBundle.
	authorityName = "LLM Gateway Webhook CA"

	// backdate is how long before its making a certificate is valid, for clocks
	// that differ.
	backdate = 5 * time.Minute
)

// times are how long things are good for. All follow from the lifetime of a root.
type times struct {
	lifetime time.Duration // of a root certificate
	renew    time.Duration // how long before its end there is another one
	leaf     time.Duration // lifetime of the certificates of the webhook's servers
	// settle is how long a root must have been in the caBundle before servers
	// rely on it: every API server knows of it then.
	settle time.Duration
}

func timesOf(lifetime time.Duration) times {
	return times{lifetime: lifetime, renew: lifetime / 3, leaf: lifetime / 12, settle: min(time.Minute, lifetime/60)}
}

// root is a certificate of the authority.
type root struct {
	certificate *x509.Certificate
	key         crypto.Signer // nil: it is trusted, and signs nothing
}

type fingerprint = [sha256.Size]byte

func (r *root) fingerprint() fingerprint { return sha256.Sum256(r.certificate.Raw) }

// made is when the certificate was made.
func (r *root) made() time.Time { return r.certificate.NotBefore.Add(backdate) }

// authority are the roots that are trusted, the newest first. The Secret holds it;
// all gateways have the same.
type authority []*root

// newRoot makes a root certificate, as Caddy's PKI app makes its own.
func newRoot(t times, now time.Time) (*root, error) {
	template, key, err := newCertificate(authorityName, nil, x509util.DefaultRootTemplate)
	if err != nil {
		return nil, err
	}
	template.NotBefore, template.NotAfter = now.Add(-backdate).Truncate(time.Second), now.Add(t.lifetime)
	certificate, err := x509util.CreateCertificate(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &root{certificate, key}, nil
}

func newCertificate(name string, hosts []string, templateName string) (*x509.Certificate, crypto.Signer, error) {
	key, err := keyutil.GenerateDefaultSigner()
	if err != nil {
		return nil, nil, err
	}
	request, err := x509util.CreateCertificateRequest(name, hosts, key)
	if err != nil {
		return nil, nil, err
	}
	template, err := x509util.NewCertificate(request, x509util.WithTemplate(templateName, x509util.CreateTemplateData(name, hosts)))
	if err != nil {
		return nil, nil, err
	}
	return template.GetCertificate(), key, nil
}

// issue makes a certificate for a server.
func (r *root) issue(t times, now time.Time, hosts []string) (*tls.Certificate, error) {
	template, key, err := newCertificate(hosts[0], hosts, x509util.DefaultLeafTemplate)
	if err != nil {
		return nil, err
	}
	template.NotBefore, template.NotAfter = now.Add(-backdate).Truncate(time.Second), now.Add(t.leaf)
	if end := r.certificate.NotAfter; end.Before(template.NotAfter) {
		template.NotAfter = end
	}
	certificate, err := x509util.CreateCertificate(template, r.certificate, key.Public(), r.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}, nil
}

// renewed returns the authority as it should be now: without roots that have
// expired, and with one that is good for a while. known are certificates that
// servers may still have been issued from, though their keys are lost.
func (a authority) renewed(t times, now time.Time, known []*x509.Certificate) (authority, error) {
	out := make(authority, 0, len(a)+1)
	for _, r := range a {
		if now.Before(r.certificate.NotAfter) {
			out = append(out, r)
		}
	}
	if newest := out.signing(); newest == nil || newest.certificate.NotAfter.Sub(now) < t.renew {
		r, err := newRoot(t, now)
		if err != nil {
			return nil, fmt.Errorf("making a root certificate: %w", err)
		}
		out = append(authority{r}, out...)
	}
	// A key that is gone cannot be used again: once all gateways have noticed, its
	// certificate need not be trusted any more.
	overlap := 10 * t.settle
	if now.Sub(out.signing().made()) < overlap {
		for _, certificate := range known {
			if now.Before(certificate.NotAfter) && !slices.ContainsFunc(out, func(r *root) bool { return r.certificate.Equal(certificate) }) {
				out = append(out, &root{certificate: certificate})
			}
		}
	} else {
		out = slices.DeleteFunc(out, func(r *root) bool { return r.key == nil })
	}
	return out.sorted(), nil
}

// signing is the newest root that can sign.
func (a authority) signing() *root {
	for _, r := range a {
		if r.key != nil {
			return r
		}
	}
	return nil
}

// sorted returns the authority with the newest root first.
func (a authority) sorted() authority {
	slices.SortStableFunc(a, func(x, y *root) int {
		return cmp.Or(y.certificate.NotBefore.Compare(x.certificate.NotBefore), bytes.Compare(x.certificate.Raw, y.certificate.Raw))
	})
	return a
}

// bundle is what API servers are to trust, as PEM.
func (a authority) bundle() []byte {
	var out []byte
	for _, r := range a {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.certificate.Raw})...)
	}
	return out
}

// keys are the private keys, as PEM.
func (a authority) keys() ([]byte, error) {
	var out []byte
	for _, r := range a {
		if r.key == nil {
			continue
		}
		block, err := certmagic.PEMEncodePrivateKey(r.key)
		if err != nil {
			return nil, err
		}
		out = append(out, block...)
	}
	return out, nil
}

// parseAuthority reads what bundle and keys wrote. The error holds nothing of them.
func parseAuthority(bundle, keys []byte) (authority, error) {
	certificates := parseCertificates(bundle)
	if len(certificates) == 0 {
		return nil, fmt.Errorf("%s holds no certificate of the gateway's authority", secretBundle)
	}
	var out authority
	for _, certificate := range certificates {
		out = append(out, &root{certificate: certificate})
	}
	for block, rest := pem.Decode(keys); block != nil; block, rest = pem.Decode(rest) {
		key, err := certmagic.PEMDecodePrivateKey(pem.EncodeToMemory(block))
		if err != nil {
			return nil, fmt.Errorf("%s holds something that is no private key", secretKeys)
		}
		for _, r := range out {
			if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(r.certificate.PublicKey) {
				r.key = key
			}
		}
	}
	if out = out.sorted(); out.signing() == nil {
		return nil, errors.New("none of the private keys is that of a certificate")
	}
	return out, nil
}

// parseCertificates returns the certificates of PEM that are of such an authority.
func parseCertificates(data []byte) (out []*x509.Certificate) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && certificate.IsCA && certificate.Subject.CommonName == authorityName {
			out = append(out, certificate)
		}
	}
	return out
}
