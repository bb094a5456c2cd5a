package kind

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/media"
)

// FetchMedia says that the gateway fetches images and documents that clients of other APIs
// give as URLs. Only https and http URLs without a port, of servers with public addresses,
// are fetched: up to 20 for a request, within 10 seconds.
type FetchMedia struct {
	// The most to fetch for one request, in bytes. Default: 20 MiB.
	MaxSize int64 `json:"max_size,omitempty"`
}

// maxMediaSize is the largest MaxSize, in bytes.
const maxMediaSize = 1 << 30

// Check reports what is wrong with the setting for providers of a kind, if anything: that
// they have no such setting, or the size. The setting may be nil.
func (f *FetchMedia) Check(t *Traits) error {
	switch {
	case f == nil:
	case !t.FetchesMedia:
		return errors.New("providers of this kind are sent URLs, and fetch them themselves; leave it out")
	case f.MaxSize != 0:
		return CheckMediaSize(f.MaxSize)
	}
	return nil
}

// CheckMediaSize reports what is wrong with the most to fetch for one request, in bytes.
func CheckMediaSize(n int64) error {
	if n < 1 || n > maxMediaSize {
		return errors.New("the size is not one from 1 byte to 1 GiB; write one such as 20971520")
	}
	return nil
}

// MediaFetcher returns what fetches media for an attempt with that context; nil if that is
// not configured.
func (b *Base) MediaFetcher(ctx context.Context) *dialect.FetchMedia {
	f := b.ready.media
	if f == nil {
		return nil
	}
	return &dialect.FetchMedia{MaxSize: f.MaxSize(), Fetch: func(wanted []dialect.Wanted, hold func(int64) *llmprovider.Error) (map[dialect.Wanted]*dialect.Fetched, *llmprovider.Error) {
		return f.Fetch(ctx, wanted, hold)
	}}
}

func newFetcher(f *FetchMedia) *media.Fetcher {
	if f == nil {
		return nil
	}
	return media.New(f.MaxSize)
}

// parseFetchMedia reads: fetch_media [<size>]
func (p *block) parseFetchMedia(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if p.FetchMedia != nil {
		return d.Errf("fetch_media is given twice; keep one")
	}
	p.FetchMedia = new(FetchMedia)
	if len(args) == 0 {
		return nil
	}
	n, err := humanize.ParseBytes(args[0])
	if err != nil || len(args) > 1 || n == 0 || n > maxMediaSize {
		return d.Errf("fetch_media takes a size of up to 1GiB, such as 20MiB, or nothing")
	}
	p.FetchMedia.MaxSize = int64(n)
	return nil
}
