package modellist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// kept is how long a provider's own list of models is used.
	kept = time.Minute
	// askTime bounds the wait for it, and how soon it is asked for again after a failure.
	askTime = 5 * time.Second
	// maxSize bounds its size, in bytes, and maxPages the pages of each of its
	// parts.
	maxSize  = 4 << 20
	maxPages = 20
)

// List is a provider's own list of models as it was last fetched. The zero value is one that
// was not. It is safe for concurrent use.
type List struct {
	mu      sync.Mutex
	models  []Model
	fetched time.Time
	coming  chan struct{} // closed when the list that is being fetched is there
}

// Models returns the models of the last good list. They are not to be changed.
func (l *List) Models() []Model {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.models
}

// Refresh brings the list up to date, and waits for it until ctx is done. Those who come
// meanwhile wait for the same response. The last good list stays in use while there is none.
// begin is called if the list is to be asked for, and returns what asks; this belongs to no
// request, since others wait for it. With an error it returns the models that could be had.
func (l *List) Refresh(ctx context.Context, begin func() func(context.Context) ([]Model, error)) {
	l.mu.Lock()
	if time.Since(l.fetched) < kept {
		l.mu.Unlock()
		return
	}
	if l.coming == nil {
		l.coming = make(chan struct{})
		go l.fetch(begin())
	}
	coming := l.coming
	l.mu.Unlock()
	select {
	case <-coming:
	case <-ctx.Done():
	}
}

func (l *List) fetch(ask func(context.Context) ([]Model, error)) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()), askTime)
	defer cancel()
	models, err := ask(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.models, l.fetched = models, time.Now()
	} else {
		if len(l.models) == 0 { // or the last good list stays
			l.models = models
		}
		l.fetched = time.Now().Add(askTime - kept) // ask again, but not at once
	}
	close(l.coming)
	l.coming = nil
}

// Ask gets a provider's lists; send sends a request to it. With an error come the models of
// what could be had.
func Ask(ctx context.Context, lister llmprovider.ModelLister, loop []string, send func(*http.Request) (*http.Response, error)) ([]Model, error) {
	lists, refused := lister.ModelLists()
	if refused != nil {
		return nil, refused
	}
	asked := &asked{lister: lister, loop: loop, send: send, left: maxSize}
	var errs []error
	for _, u := range lists {
		errs = append(errs, asked.list(ctx, u))
	}
	return asked.models, errors.Join(errs...)
}

// asked is what has come of a provider's lists.
type asked struct {
	lister llmprovider.ModelLister
	loop   []string
	send   func(*http.Request) (*http.Response, error)
	left   int // bytes that may still come, of all lists
	models []Model
}

// list gets a list, in pages if it has some.
func (a *asked) list(ctx context.Context, u *url.URL) error {
	for range maxPages {
		body, err := a.page(ctx, u)
		if err != nil {
			return err
		}
		models, next, err := read(body)
		if err != nil {
			return err
		}
		a.models = append(a.models, models[:min(len(models), Max-len(a.models))]...)
		if next == nil || len(a.models) == Max {
			return nil
		}
		page := *u
		query := page.Query()
		query.Set(next.Parameter, next.Token)
		page.RawQuery = query.Encode()
		u = &page
	}
	return fmt.Errorf("the list has over %d pages", maxPages)
}

// page gets a page of a list.
func (a *asked) page(ctx context.Context, u *url.URL) ([]byte, error) {
	req, refused := a.lister.ModelsRequest(ctx, u, a.loop)
	if refused != nil {
		return nil, refused
	}
	res, err := a.send(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answered with status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(a.left)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > a.left {
		return nil, fmt.Errorf("the list is over %d bytes long", maxSize)
	}
	a.left -= len(body)
	return body, nil
}
