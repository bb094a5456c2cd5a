package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// scrapeEvery is how often endpoints are asked while the pool is used.
	scrapeEvery = time.Second
	// scrapeTimeout bounds one response.
	scrapeTimeout = 2 * time.Second
	// scrapeIdle is for how long after its last request a pool is still scraped.
	scrapeIdle = 15 * time.Second
	// scrapeAtOnce is how many endpoints are asked at a time.
	scrapeAtOnce = 8
	// maxScrape is how much of a response is read, in bytes.
	maxScrape = 4 << 20
	// maxUnread is the longest pause, in rounds, between the questions to an endpoint
	// that gives no values.
	maxUnread = 60
)

// scrapeState is what is known of the questions to one endpoint.
type scrapeState struct {
	busy atomic.Bool // pools of two configurations may ask at once
	skip int         // rounds
	row  int         // answers without values
}

// use notes that the pool is used, and begins to scrape its endpoints if that was not
// so.
func (p *Pool) use(now time.Time) {
	at := ticks(now)
	if before := p.used.Load(); at-before > int64(scrapeEvery)/10 { // not each request has to write it
		p.used.Store(at)
	}
	if p.options.Scrape != nil && !p.scraping.Load() && p.scraping.CompareAndSwap(false, true) {
		go p.scrape()
	}
}

// scrape asks the endpoints until the pool is closed, or is not used any more.
func (p *Pool) scrape() {
	defer p.scraping.Store(false)
	ticker := time.NewTicker(scrapeEvery)
	defer ticker.Stop()
	for p.ctx.Err() == nil && ticks(time.Now())-p.used.Load() < int64(scrapeIdle) {
		p.scrapeAll()
		select {
		case <-p.ctx.Done():
		case <-ticker.C:
		}
	}
}

// scrapeAll asks every endpoint once.
func (p *Pool) scrapeAll() {
	s := p.current.Load()
	if s == nil {
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(scrapeAtOnce, len(s.endpoints)) {
		wait.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(s.endpoints); i = next.Add(1) - 1 {
				p.scrapeOne(s.endpoints[i])
			}
		})
	}
	wait.Wait()
}

// scrapeOne asks one endpoint, if it is its turn.
func (p *Pool) scrapeOne(e *Endpoint) {
	state := &e.scraper
	if !state.busy.CompareAndSwap(false, true) {
		return
	}
	defer state.busy.Store(false)
	if state.skip > 0 {
		state.skip--
		return
	}
	v, err := p.fetch(e)
	if err != nil {
		p.registry.unread.Add(1)
		state.row++
		state.skip = min(1<<min(state.row-1, 10)-1, maxUnread)
		return
	}
	p.registry.scrapes.Add(1)
	state.row = 0
	e.load.set(&v, ticks(time.Now()))
}

var scrapeBuffers = sync.Pool{New: func() any { return new([]byte) }}

var errNoValues = errors.New("none of the metrics that are known")

func (p *Pool) fetch(e *Endpoint) (v values, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, scrapeTimeout)
	defer cancel()
	res, err := p.options.Scrape(ctx, e.Address)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return v, fmt.Errorf("status %d", res.StatusCode)
	}
	buf := scrapeBuffers.Get().(*[]byte)
	defer scrapeBuffers.Put(buf)
	*buf, err = readInto((*buf)[:0], res.Body)
	if err != nil {
		return v, err
	}
	if v = readValues(*buf); !v.any {
		return v, errNoValues
	}
	return v, nil
}

// readInto reads r to its end, or as much as is wanted.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	if cap(buf) == 0 {
		buf = make([]byte, 0, 64<<10)
	}
	for len(buf) < maxScrape {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), maxScrape)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// set makes these the endpoint's values.
func (l *loadValues) set(v *values, now int64) {
	l.waiting.Store(v.waiting)
	l.running.Store(v.running)
	l.cache.Store(v.cache)
	if old := l.adapters.Load(); v.adapters != nil || old != nil {
		l.adapters.Store(&v.adapters)
	}
	l.at.Store(now)
}
