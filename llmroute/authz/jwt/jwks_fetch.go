package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// maxRedirects is how many redirects a key server may answer with.
const maxRedirects = 5

// discoveryPath is where an issuer's configuration is
// (https://openid.net/specs/openid-connect-discovery-1_0.html, section 4).
const discoveryPath = "/.well-known/openid-configuration"

// fetch asks for the keys.
func (a keyAddress) fetch(ctx context.Context) ([]byte, error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// There is one request in a long time, so that nothing is to be kept open.
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	if a.ca != "" {
		pool, err := readCA(a.ca)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	if a.guarded {
		transport.DialContext = upstream.GuardDial((&net.Dialer{}).DialContext)
		client.Transport = guardedTransport{transport}
	}
	uri := a.uri
	if uri == "" {
		var err error
		if uri, err = discover(ctx, client, a.issuer); err != nil {
			return nil, fmt.Errorf("looking for the issuer's keys: %w", err)
		}
	}
	return get(ctx, client, uri)
}

// guardedTransport refuses requests to addresses that objects may not have the gateway
// ask, those of redirects and of an issuer's configuration included. What a name stands
// for is seen when it is connected to.
type guardedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t guardedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	port, _ := strconv.Atoi(r.URL.Port())
	if what := upstream.InternalHost(r.URL.Hostname(), port); what != "" {
		return nil, fmt.Errorf("the key server is %s, which objects may not name", what)
	}
	return t.RoundTripper.RoundTrip(r)
}

// checkRedirect follows a redirect to the same scheme only.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("the key server answers with more than %d redirects", maxRedirects)
	}
	if from := via[0].URL.Scheme; r.URL.Scheme != from {
		return fmt.Errorf("the key server redirects from %s to another scheme; name the address that it redirects to", from)
	}
	return nil
}

// discover asks the issuer where its keys are.
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	data, err := get(ctx, client, strings.TrimSuffix(issuer, "/")+discoveryPath)
	if err != nil {
		return "", err
	}
	var configuration struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if json.Unmarshal(data, &configuration) != nil {
		return "", errors.New("its configuration is not a JSON object; set jwks_uri")
	}
	u, err := url.Parse(configuration.JWKSURI)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("its configuration has no jwks_uri that is an http or https URL; set jwks_uri")
	}
	if strings.HasPrefix(issuer, "https:") && u.Scheme != "https" {
		return "", errors.New("its configuration has a jwks_uri without https; set jwks_uri if that is meant")
	}
	return configuration.JWKSURI, nil
}

// get reads a document of up to maxKeySet bytes.
func get(ctx context.Context, client *http.Client, uri string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, plainError(err)
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	res, err := client.Do(r)
	if err != nil {
		return nil, plainError(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the key server answers with status %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key server's response: %w", plainError(err))
	}
	if len(data) > maxKeySet {
		return nil, fmt.Errorf("the key server's response is over the limit of %d bytes", maxKeySet)
	}
	return data, nil
}

// readCA reads certificate authorities. It is read for each fetch, so that a
// file that was replaced is in force.
func readCA(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading the certificate authorities: %s has no certificate; name a PEM file", path)
	}
	return pool, nil
}
