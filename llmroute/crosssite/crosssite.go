// Package crosssite finds requests that a web page of another origin sent without asking first:
// such a page could spend the gateway's keys by its visitors' browsers.
//
// It imports internal/host, llmprovider, and virtualkey, which knows where clients send keys.
// Begin with Sent.
package crosssite

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// anyOrigin allows the pages of all sites.
const anyOrigin = "*"

// CheckOrigin checks an entry of allowed_origins.
func CheckOrigin(origin string) error {
	_, err := parseOrigin(origin)
	return err
}

// parseOrigin returns an origin as browsers write it.
func parseOrigin(origin string) (string, error) {
	if origin == anyOrigin {
		return origin, nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
		return "", fmt.Errorf("an entry of allowed_origins is not an origin; write a scheme, a host and perhaps a port, such as https://app.example.com, or %s for all pages", anyOrigin)
	}
	name, port, _, ok := host.Split(u.Host)
	if !ok {
		return "", fmt.Errorf("an entry of allowed_origins has a host that is neither a name nor an address; write one such as https://app.example.com")
	}
	origin = strings.ToLower(u.Scheme) + "://" + host.InURL(name)
	if port != "" && port != defaultPort(u.Scheme) {
		origin += ":" + port
	}
	return origin, nil
}

// ParseOrigins returns the entries of allowed_origins as browsers write them.
func ParseOrigins(entries []string) ([]string, error) {
	origins := make([]string, 0, len(entries))
	for _, entry := range entries {
		origin, err := parseOrigin(entry)
		if err != nil {
			return nil, err
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

// Sent reports whether a request comes from a web page of another origin
// that is not allowed, and was sent without asking first: a page can have any
// visitor send such a request, to a gateway that only the visitor can reach, and
// have it spend the gateway's keys. Programs other than browsers send neither of
// the headers that tell so.
//
// A browser asks first, by a preflight, where a page sends JSON as such or a key of
// its own (https://fetch.spec.whatwg.org/#http-cors-protocol). Then the server has
// agreed, and the request is not refused here.
func Sent(r *http.Request, allowed []string) bool {
	sites, origins := r.Header["Sec-Fetch-Site"], r.Header["Origin"]
	if len(sites) == 0 && len(origins) == 0 || r.Method == http.MethodOptions {
		return false
	}
	return isOtherOrigin(r, sites, origins) && !wasPreflighted(r) && !isAllowed(origins, allowed)
}

// isOtherOrigin reports whether the headers say that another origin's page sent the
// request. Sec-Fetch-Site decides where a browser sends it: to https and to the
// local machine (https://www.w3.org/TR/fetch-metadata/).
func isOtherOrigin(r *http.Request, sites, origins []string) bool {
	if len(sites) > 0 {
		return slices.ContainsFunc(sites, func(site string) bool { return site != "same-origin" && site != "none" })
	}
	return slices.ContainsFunc(origins, func(origin string) bool {
		scheme, authority, ok := strings.Cut(origin, "://")
		if !ok {
			return true // null, of a file or a sandboxed frame
		}
		return !sameAuthority(authority, r.Host, defaultPort(scheme))
	})
}

// sameAuthority compares two hosts with their ports, where none means this one.
func sameAuthority(a, b, port string) bool {
	nameA, portA, _, okA := host.Split(a)
	nameB, portB, _, okB := host.Split(b)
	if portA == "" {
		portA = port
	}
	if portB == "" {
		portB = port
	}
	return okA && okB && nameA == nameB && portA == portB
}

// wasPreflighted reports whether a browser would have asked before it sent the
// request. Only what no browser and few proxies add by themselves counts.
func wasPreflighted(r *http.Request) bool {
	media := llmprovider.MediaType(r.Header)
	if media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json") {
		return true
	}
	return virtualkey.CarriesKey(r)
}

func isAllowed(origins, allowed []string) bool {
	if slices.Contains(allowed, anyOrigin) {
		return true
	}
	return len(origins) == 1 && slices.Contains(allowed, origins[0])
}

// Refusal is the error for such a request.
func Refusal(r *http.Request) *llmprovider.Error {
	page := "a web page"
	if origin := r.Header.Get("Origin"); origin != "" {
		page = fmt.Sprintf("a web page of %q", llmprovider.Bounded(origin))
	}
	return &llmprovider.Error{
		Status: http.StatusForbidden, Type: llmprovider.TypePermission, Code: "cross_site_request",
		Message: page + " has sent this request without asking first whether it may; if it may, send the body as application/json, " +
			"or ask the gateway's operator to list the page's origin in allowed_origins",
	}
}
