package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// appVariable is the environment variable that makes of this program an
// application which calls a provider, and says how.
const appVariable = "LLM_BENCH_APPLICATION"

// calls are what an application does.
type calls struct {
	URL      string
	Shape    int    // of podShapes
	Model    string // to ask for
	Key      string // may be empty
	Kept     bool   // connections are, from one call to the next
	Conns    int    // calls under way at any time
	WarmUp   time.Duration
	Duration time.Duration
	Gateway  int // the process whose CPU time is read, 0 without one
}

// callsMade are what came of them.
type callsMade struct {
	Requests int
	P50, P99 float64 // ms
	CPU      float64 // µs for each call, in the application
	Gateway  float64 // µs for each call, in the gateway
	Answer   []byte  // the first one
}

// runApplication is the main function of the application. It calls as SDKs do:
// with the HTTP client of its language, over HTTP/1.1.
func runApplication(ctx context.Context, spec string, w io.Writer) error {
	var c calls
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	a := &application{calls: &c, body: podShapes[c.Shape].body(c.Model, podShapes[c.Shape].stream, podShapes[c.Shape].askUsage)}
	a.client.Transport = &http.Transport{DisableCompression: true, DisableKeepAlives: !c.Kept, MaxIdleConnsPerHost: c.Conns, Protocols: onlyHTTP1()}
	media, first, err := a.call(ctx, nil)
	if err != nil {
		return err
	}
	if a.want, err = newAnswer(media, first); err != nil {
		return err
	}
	if _, err := a.run(ctx, c.WarmUp); err != nil {
		return err
	}
	own, gateway, err := a.spent()
	if err != nil {
		return err
	}
	took, err := a.run(ctx, c.Duration)
	if err != nil {
		return err
	}
	ownThen, gatewayThen, err := a.spent()
	if err != nil {
		return err
	}
	n := float64(len(took))
	r := result{latencies: took}
	return json.NewEncoder(w).Encode(callsMade{
		Requests: len(took), P50: r.quantile(.5), P99: r.quantile(.99), CPU: (ownThen - own) * 1e6 / n, Gateway: (gatewayThen - gateway) * 1e6 / n, Answer: first,
	})
}

func onlyHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// application calls a provider.
type application struct {
	*calls
	client http.Client
	body   []byte
	want   *answer
}

// spent is the CPU time of the application and of the gateway so far.
func (a *application) spent() (own, gateway float64, err error) {
	if own, err = schedSeconds(os.Getpid()); err != nil || a.Gateway == 0 {
		return own, 0, err
	}
	gateway, err = schedSeconds(a.Gateway)
	return own, gateway, err
}

// run calls for d, and returns how long each call took, sorted.
func (a *application) run(ctx context.Context, d time.Duration) (all []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var group sync.WaitGroup
	deadline := time.Now().Add(d)
	for range a.Conns {
		group.Go(func() {
			mine := make([]time.Duration, 0, 4096)
			buffer := make([]byte, 32<<10)
			for ctx.Err() == nil && time.Now().Before(deadline) {
				began := time.Now()
				if _, _, err := a.call(ctx, buffer); err != nil {
					cancel(err)
					return
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	group.Wait()
	slices.Sort(all)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no call ended within %v", d)
	}
	return all, nil
}

// call makes one call. With a buffer the response is compared with the one that is
// wanted, without one it is returned.
func (a *application) call(ctx context.Context, buffer []byte) (media string, whole []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(a.body))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.Key != "" {
		req.Header.Set("Authorization", "Bearer "+a.Key)
	}
	res, err := a.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 600))
		return "", nil, fmt.Errorf("%s: the response is %s: %.600q", a.URL, res.Status, text)
	}
	if buffer == nil {
		whole, err = io.ReadAll(res.Body)
		return res.Header.Get("Content-Type"), whole, err
	}
	check := checker{want: a.want}
	for {
		n, err := res.Body.Read(buffer)
		if wrong := check.take(buffer[:n]); wrong != nil {
			return "", nil, wrong
		}
		switch {
		case err == io.EOF:
			return "", nil, check.end()
		case err != nil:
			return "", nil, err
		}
	}
}
