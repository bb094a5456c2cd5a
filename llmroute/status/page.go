package status

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
)

// maxFilter is the longest filter of a Page, in bytes.
const maxFilter = 200

//go:embed status_page.html
var statusPage []byte

// statusPolicy lets the page run its own script and style, and ask the gateway
// for more; nothing else may be loaded, sent or framed. It is made when the page
// is first asked for, which for most sidecars is never.
var statusPolicy = sync.OnceValue(func() string {
	return fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; img-src data:; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", sourceHash("script"), sourceHash("style"))
})

// sourceHash is the hash of the page's only element of that name, as content
// security policies have it.
func sourceHash(element string) string {
	m := regexp.MustCompile(`(?s)<` + element + `>(.*?)</` + element + `>`).FindSubmatch(statusPage)
	sum := sha256.Sum256(m[1])
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// servePage answers requests for the page and for its data. served is false if
// the request is for something else.
func (s *Handler) servePage(w http.ResponseWriter, r *http.Request) (served bool, err error) {
	path := r.URL.Path
	if !s.Page || path != "/" && path != "/status.json" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false, nil
	}
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if !s.hostAllowed(r.Host) {
		return true, plain(w, http.StatusForbidden, "this page is not for the host "+strconv.Quote(llmprovider.Bounded(r.Host))+
			"; ask for it by an IP address or as localhost, or name the host in the option status_hosts")
	}
	if path == "/" {
		header.Set("Content-Security-Policy", statusPolicy())
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("X-Frame-Options", "DENY")
		return true, compressed(w, r, statusPage)
	}
	filter := r.URL.Query().Get("filter")
	if len(filter) > maxFilter {
		return true, plain(w, http.StatusBadRequest, fmt.Sprintf("the filter is too long; write at most %d bytes", maxFilter))
	}
	data, err := json.Marshal(PageOf(s.app, strings.ToLower(strings.TrimSpace(filter))))
	if err != nil {
		return true, fmt.Errorf("encoding the status: %w", err)
	}
	header.Set("Content-Type", "application/json")
	return true, compressed(w, r, append(data, '\n'))
}

// CheckHostName reports what is wrong with the name of a host by which the status
// page may be asked for, if anything.
func CheckHostName(host string) error {
	if host == "" || strings.ContainsAny(host, "*/: \t\n") {
		return fmt.Errorf("%q is no name of a host; write one such as status.example.com, without a port", host)
	}
	return nil
}

// hostAllowed reports whether the page may be asked for by that name. A page of
// another site can give its own name to this machine's address and would then
// be let read the responses (DNS rebinding), but it cannot do without a name.
func (s *Handler) hostAllowed(sent string) bool {
	if len(s.Hosts) == 0 {
		return true
	}
	name, ok := host.Name(sent)
	if !ok {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(allowed string) bool { return strings.EqualFold(allowed, name) })
}

// compressed writes a response, with gzip if the client takes it.
func compressed(w http.ResponseWriter, r *http.Request, data []byte) error {
	w.Header().Add("Vary", "Accept-Encoding")
	if slices.Contains(encode.AcceptedEncodings(r, nil), "gzip") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(data) // to memory
		_ = z.Close()
		w.Header().Set("Content-Encoding", "gzip")
		data = b.Bytes()
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(data)
	return err
}
