// Package service calls HTTP services of an operator's own, by a URL that is written in the
// configuration, with small messages in JSON. Errors name the service by its URL, and hold
// neither paths with what clients say nor text of the service.
//
// It imports nothing of the gateway. Begin with Client.
package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// dialTimeout bounds how long it takes to connect.
const dialTimeout = time.Second

// Client calls one service. It connects when it is first asked.
type Client struct {
	name, url   string
	maxResponse int
	http        *http.Client
}

// New returns a client of the service at a URL that CheckURL has found nothing wrong with.
// name is what errors call it, such as cache service. At most maxResponse bytes of a response
// are read, and maxIdle connections are kept for later.
func New(name, url string, maxResponse, maxIdle int) *Client {
	return &Client{name: name, url: strings.TrimSuffix(url, "/"), maxResponse: maxResponse, http: &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSHandshakeTimeout: dialTimeout, DisableCompression: true,
			MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a failure as any other status
	}}
}

// CheckURL reports what is wrong with the URL of a service, if anything, without the text of
// it, which may have a password; example is a right one.
func CheckURL(text, example string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Port() == "0" || !slices.Contains([]string{"http", "https"}, u.Scheme):
		return errors.New("the URL is not usable; write one such as " + example)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL has a user, a password or parameters; write the address alone")
	}
	return nil
}

// Do sends a request to a path below the URL, with a body in JSON unless that is nil, and
// returns the status and the body of the response. An error means that there is none, or one
// that is too long.
func (c *Client) Do(ctx context.Context, method, path string, body []byte) (status int, data []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, errors.New("the URL of the " + c.name + " is not usable")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "llm-gateway")
	res, err := c.http.Do(req)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err
		}
		return 0, nil, fmt.Errorf("asking the %s at %s: %w", c.name, c.url, err)
	}
	defer res.Body.Close()
	data, err = io.ReadAll(io.LimitReader(res.Body, int64(c.maxResponse)+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("reading the response of the %s at %s: %w", c.name, c.url, err)
	case len(data) > c.maxResponse:
		return 0, nil, fmt.Errorf("the response of the %s at %s is longer than %d bytes", c.name, c.url, c.maxResponse)
	}
	return res.StatusCode, data, nil
}

// Close ends the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }
