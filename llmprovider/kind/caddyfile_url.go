package kind

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// unlessURL refuses an option that a URL has already decided.
func (p *block) unlessURL(parse func(*caddyfile.Dispenser) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if p.url {
			return d.Errf("%s is given twice: the URL after the provider's name sets scheme, host and port; keep one of them", d.Val())
		}
		return parse(d)
	}
}

// unlessHost is unlessURL for the host, which several URLs leave open.
func (p *block) unlessHost(parse func(*caddyfile.Dispenser) error) func(*caddyfile.Dispenser) error {
	unlessURL := p.unlessURL(parse)
	return func(d *caddyfile.Dispenser) error {
		if p.many {
			return parse(d)
		}
		return unlessURL(d)
	}
}

// setURL takes scheme, host, port and path from a URL. Its errors do not repeat
// it, for it may hold a password, or be a key at the wrong place.
func (p *block) setURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" {
		return errors.New("what follows the provider's name is not a URL; expected one such as https://api.example.com" + p.traits.DefaultPath +
			", or nothing and the option host")
	}
	if u.User != nil {
		return errors.New("the provider's URL contains a user name or password; use api_key or header instead")
	}
	if err := upstream.CheckHost(u.Hostname()); err != nil {
		return fmt.Errorf("the provider's URL: %w", err)
	}
	if port := u.Port(); port != "" {
		if p.Port, err = strconv.Atoi(port); err != nil || p.Port < 1 || p.Port > 65535 {
			return fmt.Errorf("the port of the provider's URL is %s; expected a number from 1 to 65535", port)
		}
	}
	p.Scheme, p.Host, p.url = u.Scheme, u.Hostname(), true
	rest := s[strings.Index(s, "://")+len("://"):]
	i := strings.IndexAny(rest, "/?#")
	if i < 0 || rest[i:] == "/" {
		return nil
	}
	base := strings.TrimSuffix(u.Path, "/")
	if suffix, ok := strings.CutPrefix(p.traits.DefaultPath, "/v1/"); ok && strings.HasSuffix(base, "/v1") {
		return fmt.Errorf("the provider's URL ends in /v1, which is the base of an API; write its %s endpoint, %s/%s, "+
			"or, if it is the endpoint, give it as path", p.traits.Endpoint, base, suffix)
	}
	p.Path = rest[i:]
	if _, err := upstream.ParsePath(p.Path); err != nil {
		return fmt.Errorf("the provider's URL: %w", err)
	}
	return nil
}
