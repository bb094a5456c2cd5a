package media

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// pieceSize is how much is read at a time, in bytes: a multiple of what base64 encodes
// without padding.
const pieceSize = 48 << 10

// encoded returns the length in base64 of n bytes.
func encoded(n int64) int64 { return (n + 2) / 3 * 4 }

// one fetches the content of one URL.
func (f *Fetcher) one(ctx context.Context, wanted *dialect.Wanted, left *allowance) (*dialect.Fetched, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, errBusy
	}
	u, err := url.Parse(wanted.URL)
	if err != nil || checkURL(u) != nil {
		return nil, errURL
	}
	u.Fragment = ""
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errURL
	}
	r.Header.Set("Accept", accepts(wanted.Kind))
	r.Header.Set("User-Agent", "Caddy")
	res, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, statusError(res.StatusCode)
	case res.Header.Get("Content-Encoding") != "" && res.Header.Get("Content-Encoding") != "identity":
		return nil, errType
	case !left.fits(res.ContentLength):
		return nil, errTooLarge
	}
	return read(res, wanted.Kind, left)
}

// read reads a response into what the provider is sent.
func read(res *http.Response, kind dialect.Kind, left *allowance) (*dialect.Fetched, error) {
	piece := make([]byte, pieceSize)
	out := new(dialect.Fetched)
	var text []byte
	for first := true; ; first = false {
		n, err := fill(res.Body, piece)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return nil, err
		}
		if err := left.take(int64(n)); err != nil {
			return nil, err
		}
		if first {
			if n == 0 {
				return nil, errEmpty
			}
			if out.Type = mediaType(res.Header.Get("Content-Type"), piece[:n], kind); out.Type == "" {
				return nil, errType
			}
		}
		out.Size += int64(n)
		if isText(out.Type) {
			text = append(text, piece[:n]...)
		} else {
			out.Data = base64.StdEncoding.AppendEncode(out.Data, piece[:n])
		}
		if last {
			break
		}
	}
	if !isText(out.Type) {
		return out, nil
	}
	if err := left.holdMore(2 * int64(len(text))); err != nil { // both forms are there for a while
		return nil, err
	}
	return asText(out, text)
}

// fill is io.ReadFull for a body that may break off: io.EOF stands for its end alone.
func fill(body io.Reader, piece []byte) (n int, err error) {
	for n < len(piece) && err == nil {
		var m int
		m, err = body.Read(piece[n:])
		n += m
	}
	return n, err
}

// checkURL reports what is wrong with a URL that a client or a redirect names. What its
// host stands for is judged when it is connected to.
func checkURL(u *url.URL) error {
	port := u.Port()
	switch {
	case u.Hostname() == "", u.User != nil, u.Opaque != "":
	case u.Scheme == "https" && (port == "" || port == "443"), u.Scheme == "http" && (port == "" || port == "80"):
		return nil
	}
	return errURL
}

// checkRedirect follows a redirect to a URL that a client could name, and from https to https
// alone. The next server is not told the URL, which may hold a token.
func checkRedirect(r *http.Request, via []*http.Request) error {
	r.Header.Del("Referer")
	if len(via) > maxRedirects || via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errRedirect
	}
	return checkURL(r.URL)
}
