package gateways_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
)

// TestCertificates serves two names, changes a certificate, and asks for names
// that there are none of.
func TestCertificates(t *testing.T) {
	ca := newAuthority(t, "first")
	secrets := func(number int64) string {
		a, aKey := ca.issue(t, number, "a.example.com")
		b, bKey := ca.issue(t, 2, "*.b.example.com")
		return secretObject("a", "tls.crt", a, "tls.key", aKey) + secretObject("b", "tls.crt", b, "tls.key", bKey)
	}
	object := gatewayObject(secureServer("a.example.com", "SIMPLE", "a"), secureServer("'*.b.example.com'", "SIMPLE", "b"),
		"{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example.com], tls: {httpsRedirect: true}}")
	w := start(t, secrets(1)+object, "")
	c := client(t, w.https, ca.trusting(t))
	w.answers(c, "https://a.example.com", "a.example.com", 200)
	w.answers(c, "https://x.b.example.com", "x.b.example.com", 200)
	if status, body := post(c, "https://none.example.com", "none.example.com"); status != 0 || !strings.Contains(body, "tls") {
		t.Errorf("a name without a server: %d %s; want a failed handshake", status, body)
	}

	// An open connection stays, and new ones get the new certificate.
	w.apply(secrets(7) + object)
	until(t, "the new certificate", func() (bool, string) {
		conn, err := tls.Dial("tcp", w.https, &tls.Config{RootCAs: ca.trusting(t).RootCAs, ServerName: "a.example.com"})
		if err != nil {
			return false, err.Error()
		}
		defer conn.Close()
		number := conn.ConnectionState().PeerCertificates[0].SerialNumber
		return number.Int64() == 7, number.String()
	})
	w.answers(c, "https://a.example.com", "a.example.com", 200)

	res, err := client(t, w.http, nil).Get("http://a.example.com:8080/v1/models?x=1")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusMovedPermanently || got != "https://a.example.com/v1/models?x=1" {
		t.Errorf("the redirect: %d to %s", res.StatusCode, got)
	}

	// Without its Secret a name keeps its last good certificate, and so it does while the
	// pair does not match. The other name gets its new one.
	b, bKey := ca.issue(t, 2, "*.b.example.com")
	_, wrongKey := ca.issue(t, 8, "a.example.com")
	chain, _ := ca.issue(t, 9, "a.example.com")
	for _, secret := range []string{"", secretObject("a", "tls.crt", chain, "tls.key", wrongKey)} {
		w.apply(secret + secretObject("b", "tls.crt", b, "tls.key", bKey) + object)
		until(t, "the finding", func() (bool, string) {
			_, body := w.AdminGet("/llm")
			return strings.Contains(string(body), "the last good certificate stays in use"), ""
		})
		w.answersAnew(ca.trusting(t), "a.example.com", 200)
		w.answers(c, "https://x.b.example.com", "x.b.example.com", 200)
	}
}

// TestClientCertificates has a server that asks clients for one beside a server
// that does not.
func TestClientCertificates(t *testing.T) {
	ca, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "others")
	open, openKey := ca.issue(t, 1, "open.example.com", "closed.example.com")
	manifests := func(authorities string) string {
		return secretObject("open", "tls.crt", open, "tls.key", openKey) + secretObject("closed", "tls.crt", open, "tls.key", openKey, "ca.crt", authorities) +
			gatewayObject(secureServer("open.example.com", "SIMPLE", "open"), secureServer("closed.example.com", "MUTUAL", "closed"))
	}
	w := start(t, manifests(clients.pem), "")
	chain, key := clients.issue(t, 1)
	wrongChain, wrongKey := others.issue(t, 1)
	known, wrong, none := ca.trusting(t, chain, key), ca.trusting(t, wrongChain, wrongKey), ca.trusting(t)

	for name, test := range map[string]struct {
		config    *tls.Config
		url, host string
		want      int
	}{
		"a known client":                     {known, "https://closed.example.com", "closed.example.com", 200},
		"a client of another authority":      {wrong, "https://closed.example.com", "closed.example.com", 0},
		"a client without certificate":       {none, "https://closed.example.com", "closed.example.com", 0},
		"the open server":                    {none, "https://open.example.com", "open.example.com", 200},
		"the closed server by the open name": {none, "https://open.example.com", "closed.example.com", 421},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := post(client(t, w.https, test.config.Clone()), test.url, test.host); status != test.want {
				t.Errorf("%d %s; want %d", status, body, test.want)
			}
		})
	}

	// Connections that are open are held to what the server asks for now.
	open1, open2 := client(t, w.https, known.Clone()), client(t, w.https, none.Clone())
	w.answers(open1, "https://closed.example.com", "closed.example.com", 200)
	w.answers(open2, "https://open.example.com", "open.example.com", 200)
	w.apply(strings.Replace(manifests(others.pem), "tls: {mode: SIMPLE, credentialName: open}", "tls: {mode: MUTUAL, credentialName: closed}", 1))
	w.answers(open1, "https://closed.example.com", "closed.example.com", 421)
	w.answers(open2, "https://open.example.com", "open.example.com", 421)
	w.apply(manifests(others.pem))
	w.answersAnew(wrong, "closed.example.com", 200)
	w.answersAnew(known, "closed.example.com", 0)
}

// TestLowestVersion has a server that takes TLS 1.3 alone.
func TestLowestVersion(t *testing.T) {
	ca := newAuthority(t, "servers")
	chain, key := ca.issue(t, 1, "a.example.com", "b.example.com")
	w := start(t, secretObject("s", "tls.crt", chain, "tls.key", key)+gatewayObject(
		"{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, credentialName: s, minProtocolVersion: TLSV1_3}}",
		secureServer("b.example.com", "SIMPLE", "s")), "")
	old := ca.trusting(t)
	old.MaxVersion = tls.VersionTLS12
	w.answers(client(t, w.https, ca.trusting(t)), "https://a.example.com", "a.example.com", 200)
	w.answers(client(t, w.https, old.Clone()), "https://b.example.com", "b.example.com", 200)
	if status, body := post(client(t, w.https, old.Clone()), "https://a.example.com", "a.example.com"); status != 0 {
		t.Errorf("TLS 1.2 at a server for TLS 1.3: %d %s", status, body)
	}
}
