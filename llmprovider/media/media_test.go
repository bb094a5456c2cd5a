package media

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

const publicName = "media.test"

var (
	png = []byte("\x89PNG\r\n\x1a\n" + strings.Repeat("pixels", 50))
	pdf = []byte("%PDF-1.7\n" + strings.Repeat("pages", 50))
)

// newServer starts a server that stands for one with a public address, whose name is
// publicName. All other addresses are judged as they are in operation; the server is at
// those of this machine, for which the guard alone stands in the way.
func newServer(t *testing.T, handler http.HandlerFunc) (*Fetcher, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	guarded := upstream.PublicDialer()
	return newFetcher(0, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == publicName+":80" {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
		host, _, _ := net.SplitHostPort(addr)
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		return guarded.DialContext(ctx, network, net.JoinHostPort(host, port))
	}), server
}

func noBound(int64) *llmprovider.Error { return nil }

func image(url string) dialect.Wanted {
	return dialect.Wanted{URL: url, Kind: dialect.Image, Field: "messages[].content[].image_url.url"}
}

func document(url string) dialect.Wanted {
	return dialect.Wanted{URL: url, Kind: dialect.Document, Field: "messages[].content[].file"}
}

func sends(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = w.Write(body)
	}
}

func TestTypes(t *testing.T) {
	text := []byte("Grüße, \"x\"\n")
	for _, test := range []struct {
		header string
		body   []byte
		wanted func(string) dialect.Wanted
		media  string // empty: refused
	}{
		{"image/png", png, image, "image/png"},
		{"image/jpeg", png, image, "image/png"}, // what it is
		{"", png, image, "image/png"},
		{"application/octet-stream", png, image, "image/png"},
		{"IMAGE/PNG; q=1", png, image, "image/png"},
		{"image/png", []byte("<html>not found</html>"), image, ""},
		{"text/html", []byte("<html>log in</html>"), image, ""},
		{"image/svg+xml", []byte("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), image, ""},
		{"application/pdf", pdf, image, ""},
		{"application/pdf", pdf, document, "application/pdf"},
		{"binary/octet-stream", pdf, document, "application/pdf"},
		{"application/pdf", []byte("<html>log in</html>"), document, ""},
		{"image/png", png, document, ""},
		{"text/plain; charset=utf-8", text, document, "text/plain"},
		{"text/markdown", text, document, "text/markdown"},
		{"text/csv", text, document, "text/csv"},
		{"text/html", []byte("<!DOCTYPE html><p>x"), document, "text/html"},
		{"", text, document, "text/plain"},
		{"text/plain", []byte("caf\xe9 of another charset"), document, ""},
		{"text/plain", []byte("\x00\x01\x02 binary"), document, ""},
		{"text/plain", append(bytes.Repeat([]byte("a"), 600), bytes.Repeat([]byte{1}, 600)...), document, ""}, // binary further on
		{"application/zip", []byte("PK\x03\x04 zipped"), document, ""},
		{"application/javascript", text, document, ""},
	} {
		f, _ := newServer(t, sends(test.header, test.body))
		wanted := test.wanted("http://" + publicName + "/a?token=secret#part")
		got, refused := f.Fetch(t.Context(), []dialect.Wanted{wanted}, noBound)
		name := fmt.Sprintf("%s %.12q", test.header, test.body)
		if test.media == "" {
			if refused == nil || refused.Status != http.StatusBadRequest || refused.Code != "media_not_accepted" || refused.Param != wanted.Field {
				t.Errorf("%s: got %v", name, refused)
			}
			continue
		}
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
			continue
		}
		content := got[wanted]
		data, _ := base64.StdEncoding.DecodeString(string(content.Data))
		if content.Text != nil {
			var s string
			if err := json.Unmarshal(content.Text, &s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			data = []byte(s)
		}
		if content.Type != test.media || !bytes.Equal(data, test.body) {
			t.Errorf("%s: got %s %q", name, content.Type, data)
		}
	}
}

// TestLengths holds that content of every length comes whole, also in several pieces.
func TestLengths(t *testing.T) {
	for _, length := range []int{len(png), pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize + 2} {
		body := append(bytes.Clone(png), bytes.Repeat([]byte{7}, length-len(png))...)
		f, _ := newServer(t, sends("image/png", body))
		wanted := image("http://" + publicName)
		held := int64(0)
		got, refused := f.Fetch(t.Context(), []dialect.Wanted{wanted}, func(n int64) *llmprovider.Error { held += n; return nil })
		if refused != nil {
			t.Fatal(length, refused)
		}
		if data, err := base64.StdEncoding.DecodeString(string(got[wanted].Data)); err != nil || !bytes.Equal(data, body) {
			t.Errorf("%d bytes: %v, %d came", length, err, len(data))
		}
		if held < int64(len(got[wanted].Data)) {
			t.Errorf("%d bytes: %d were held for %d", length, held, len(got[wanted].Data))
		}
	}
}

func TestUnavailable(t *testing.T) {
	release := make(chan struct{})
	f, server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		to := ""
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/empty":
		case "/short":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(png)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/silent":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/slow":
			_, _ = w.Write(png)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/loop":
			to = "/loop"
		case "/again":
			if r.Header.Get("Referer") != "" {
				t.Error("the URL is told to the next server")
			}
			_, _ = w.Write(png)
		case "/once":
			to = "/again"
		default:
			to = strings.TrimPrefix(r.URL.Path, "/to/")
		}
		if to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	})
	defer close(release)
	if _, refused := f.Fetch(t.Context(), []dialect.Wanted{image("http://" + publicName + "/once?token=secret")}, noBound); refused != nil {
		t.Fatal(refused)
	}
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	const public = "http://" + publicName
	for url, why := range map[string]string{
		"ftp://" + publicName + "/a":           "not one of https or http",
		"file:///etc/passwd":                   "not one of https or http",
		"data:text/plain,x":                    "not one of https or http",
		"gopher://" + publicName:               "not one of https or http",
		"/a":                                   "not one of https or http",
		"":                                     "not one of https or http",
		"http://":                              "not one of https or http",
		"http://%zz":                           "not one of https or http",
		public + ":81/":                        "not one of https or http",
		"https://" + publicName + ":80/":       "not one of https or http",
		"http://user:pass@" + publicName + "/": "not one of https or http",
		server.URL:                             "not one of https or http", // its port
		"http://127.0.0.1/":                    "no public address",
		"http://[::1]/":                        "no public address",
		"http://localhost/":                    "no public address",
		"http://0.0.0.0/":                      "no public address",
		"http://169.254.169.254/latest/meta-data/": "no public address",
		"http://[::ffff:169.254.169.254]/":         "no public address",
		"http://[64:ff9b::a9fe:a9fe]/":             "no public address",
		"http://10.0.0.1/":                         "no public address",
		"https://192.168.1.1/":                     "no public address",
		"http://[fd00::1]/":                        "no public address",
		public + "/missing":                        "status 404",
		public + "/empty":                          "returned nothing",
		public + "/short":                          "broke off",
		public + "/silent":                         "longer than",
		public + "/slow":                           "longer than",
		public + "/loop":                           "redirects too often",
		public + "/to/http://127.0.0.1/":           "no public address",
		public + "/to/http://localhost/":           "no public address",
		public + "/to/http://169.254.169.254/":     "no public address",
		public + "/to/http://127.0.0.1:" + port:    "not one of https or http",
		public + "/to/file:///etc/passwd":          "not one of https or http",
		public + "/to/ftp://" + publicName:         "not one of https or http",
	} {
		f.maxTime = time.Hour
		if why == "longer than" {
			f.maxTime = 50 * time.Millisecond
		}
		_, refused := f.Fetch(t.Context(), []dialect.Wanted{image(url)}, noBound)
		switch {
		case refused == nil:
			t.Errorf("%s was fetched", url)
		case refused.Status != http.StatusBadRequest || refused.Code != "media_unavailable" || !strings.Contains(refused.Message, why):
			t.Errorf("%s: got %v, want %s", url, refused, why)
		case refused.Cause != nil || strings.Contains(refused.Message, publicName) || strings.Contains(refused.Message, "127.0.0.1"):
			t.Errorf("%s: the error names an address: %v", url, refused)
		}
	}
}

func TestBounds(t *testing.T) {
	f, _ := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			for {
				if _, err := w.Write(append(bytes.Clone(png), make([]byte, 8<<10)...)); err != nil {
					return
				}
			}
		case "/zipped":
			w.Header().Set("Content-Encoding", "gzip")
		case "/declared":
			w.Header().Set("Content-Length", "2000000")
		}
		_, _ = w.Write(png)
	})
	f.maxSize = 64 << 10
	const public = "http://" + publicName + "/"
	for path, why := range map[string]string{"endless": "over the limit of 65536 bytes", "declared": "over the limit of 65536 bytes", "zipped": "type"} {
		_, refused := f.Fetch(t.Context(), []dialect.Wanted{image(public + path)}, noBound)
		if refused == nil || refused.Status != http.StatusBadRequest || refused.Code != "media_not_accepted" || !strings.Contains(refused.Message, why) {
			t.Errorf("%s: got %v", path, refused)
		}
	}
	// All of a request together.
	f.maxSize = int64(len(png)) * 5 / 2
	both := []dialect.Wanted{image(public + "1"), image(public + "2")}
	if _, refused := f.Fetch(t.Context(), both, noBound); refused != nil {
		t.Error(refused)
	}
	if _, refused := f.Fetch(t.Context(), append(both, image(public+"3")), noBound); refused == nil || refused.Code != "media_not_accepted" {
		t.Errorf("got %v", refused)
	}
	f.slots, f.maxTime = make(chan struct{}), time.Millisecond // no turn ever
	if _, refused := f.Fetch(t.Context(), both, noBound); refused == nil || refused.Code != "overloaded" || refused.RetryAfter == 0 {
		t.Errorf("without a turn: got %v", refused)
	}
	f.slots, f.maxTime = make(chan struct{}, 2), maxTime
	none := &llmprovider.Error{Status: http.StatusServiceUnavailable, Code: "overloaded"}
	if _, refused := f.Fetch(t.Context(), both, func(int64) *llmprovider.Error { return none }); refused != none {
		t.Errorf("without memory: got %v", refused)
	}
}

// TestManyAtOnce holds how many URLs are fetched at a time: of one request, and of all.
func TestManyAtOnce(t *testing.T) {
	for _, test := range []struct{ requests, slots, most int64 }{{1, allAtOnce, atOnce}, {8, 6, 6}} {
		var now, most atomic.Int64
		var once sync.Once
		full := make(chan struct{})
		f, _ := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if n == test.most {
				once.Do(func() { close(full) })
			}
			<-full
			_, _ = w.Write(png)
		})
		f.slots = make(chan struct{}, test.slots)
		f.maxTime = time.Hour
		var wg sync.WaitGroup
		for n := range test.requests {
			wg.Go(func() {
				var wanted []dialect.Wanted
				for i := range dialect.MaxUses / 2 {
					wanted = append(wanted, image(fmt.Sprintf("http://%s/%d/%d", publicName, n, i)))
				}
				if got, refused := f.Fetch(t.Context(), wanted, noBound); refused != nil || len(got) != len(wanted) {
					t.Errorf("%d were fetched: %v", len(got), refused)
				}
			})
		}
		wg.Wait()
		if most.Load() != test.most {
			t.Errorf("%d requests: %d at once", test.requests, most.Load())
		}
	}
}

// TestEnd holds that the end of a request ends the fetching, and what is told then.
func TestEnd(t *testing.T) {
	arrived := make(chan struct{}, 1)
	f, _ := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	f.maxTime = time.Hour
	evicted := &llmprovider.Error{Status: http.StatusTooManyRequests, Code: "evicted"}
	for _, cause := range []error{nil, errors.New("the gateway stops"), evicted} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-arrived
			cancel(cause)
		}()
		_, refused := f.Fetch(ctx, []dialect.Wanted{image("http://" + publicName)}, noBound)
		switch {
		case errors.Is(cause, evicted):
			if refused != evicted {
				t.Errorf("got %v", refused)
			}
		case refused == nil || refused.Status != http.StatusServiceUnavailable || refused.Code != "shutting_down":
			t.Errorf("%v: got %v", cause, refused)
		}
	}
}

// TestUnguarded holds that a fetcher in operation connects to nothing that is not public.
func TestUnguarded(t *testing.T) {
	for _, url := range []string{"http://localhost/", "http://127.0.0.1/", "https://[::1]/"} {
		if _, refused := New(0).Fetch(t.Context(), []dialect.Wanted{image(url)}, noBound); refused == nil || refused.Code != "media_unavailable" {
			t.Errorf("%s: got %v", url, refused)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, url := range []string{"https://a.example/x.png", "http://a:80", "http://[::1]", "https://a@b", "http:a", "//a", "data:,x", "http://a\\@b/", "https://a:443#x"} {
		f.Add(url)
	}
	fetcher := newFetcher(0, func(_ context.Context, _, addr string) (net.Conn, error) {
		if !strings.HasSuffix(addr, ":80") && !strings.HasSuffix(addr, ":443") {
			return nil, fmt.Errorf("%w: connects to %s", errFuzz, addr)
		}
		return nil, errors.New("not connected")
	})
	f.Fuzz(func(t *testing.T, url string) {
		wanted := image(url)
		if _, err := fetcher.one(t.Context(), &wanted, &allowance{left: 1, hold: noBound}); err == nil || errors.Is(err, errFuzz) {
			t.Fatalf("%q: %v", url, err)
		}
	})
}

var errFuzz = errors.New("unexpected")
