// Package media fetches images and documents that clients give as URLs, for providers whose
// API takes their content alone. What is fetched is bounded in size, number and time, and
// comes from public addresses alone. Kinds of providers reach it through kind.Base; it
// imports llmprovider, upstream and dialect. Start at Fetcher.
package media

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

const (
	// DefaultMaxSize is how much is fetched for one request unless configured, in bytes.
	DefaultMaxSize = 20 << 20
	// maxTime bounds the fetching for one request, redirects and waiting included.
	maxTime = 10 * time.Second
	// atOnce is how many URLs of one request are fetched at a time, and allAtOnce how many
	// of all requests to a provider. Others wait.
	atOnce, allAtOnce = 4, 64
	// maxRedirects is how often a server may redirect.
	maxRedirects = 3
)

// Fetcher fetches media for the requests to one provider. It is safe for concurrent use.
type Fetcher struct {
	maxSize int64 // of a request's media together, in bytes
	maxTime time.Duration
	client  *http.Client
	slots   chan struct{}
}

// New returns a fetcher that fetches up to that many bytes for a request; 0 stands for
// DefaultMaxSize.
func New(maxSize int64) *Fetcher {
	return newFetcher(maxSize, upstream.PublicDialer().DialContext)
}

func newFetcher(maxSize int64, dial upstream.DialFunc) *Fetcher {
	if maxSize == 0 {
		maxSize = DefaultMaxSize
	}
	return &Fetcher{
		maxSize: maxSize, maxTime: maxTime, slots: make(chan struct{}, allAtOnce),
		client: &http.Client{
			CheckRedirect: checkRedirect,
			// No proxy: it would connect to addresses that nothing has judged.
			Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10},
		},
	}
}

// MaxSize is how much is fetched for one request, in bytes.
func (f *Fetcher) MaxSize() int64 { return f.maxSize }

// Fetch is that of a dialect.FetchMedia, with a context that ends it. It is for as many URLs as
// dialect.MaxUses.
func (f *Fetcher) Fetch(ctx context.Context, wanted []dialect.Wanted, hold func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
	client := ctx
	ctx, cancel := context.WithTimeout(ctx, f.maxTime)
	defer cancel()
	left := &allowance{left: f.maxSize, hold: hold}
	got := make([]*dialect.Fetched, len(wanted))
	var (
		wg     sync.WaitGroup
		once   sync.Once
		failed *llmprovider.Error
	)
	next := make(chan int)
	for range min(atOnce, len(wanted)) {
		wg.Go(func() {
			for i := range next {
				content, err := f.one(ctx, &wanted[i], left)
				if err != nil {
					once.Do(func() { failed = f.explain(client, err, &wanted[i]) })
					cancel()
				}
				got[i] = content
			}
		})
	}
	for i := range wanted {
		next <- i
	}
	close(next)
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	out := make(map[dialect.Wanted]*dialect.Fetched, len(wanted))
	for i := range wanted {
		out[wanted[i]] = got[i]
	}
	return out, nil
}

// allowance is what of a request's media may still come.
type allowance struct {
	hold func(int64) *llmprovider.Error

	mu   sync.Mutex
	left int64
}

// take takes n bytes off.
func (a *allowance) take(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left -= n; a.left < 0 {
		return errTooLarge
	}
	return a.reserve(encoded(n))
}

// holdMore reserves memory beside that of what was taken, in bytes.
func (a *allowance) holdMore(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reserve(n)
}

func (a *allowance) reserve(n int64) error {
	if refused := a.hold(n); refused != nil {
		return refused
	}
	return nil
}

// fits reports whether n bytes more could come.
func (a *allowance) fits(n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return n <= a.left
}

// isTimeout reports whether an error is one of time.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
