package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// lane is a pair of APIs: clients speak one, and the provider the other.
type lane struct {
	client, provider *api
	// What its requests are compared with: the provider's API from the client on, through
	// reverse_proxy and through llm_route.
	plain, passed *side
	translated    *side
}

func (l *lane) name() string { return l.client.name + " to " + l.provider.name }

// laneCases are the shapes that are translated, with the number of connections.
func laneCases() []benchCase { return []benchCase{{small, 16}, {medium, 16}, {events, 16}} }

// laneNames are the APIs of all lanes.
var laneNames = []struct{ client, provider *api }{{messagesAPI, chatAPI}, {responsesAPI, chatAPI}, {chatAPI, messagesAPI}}

// startLanes starts what the lanes need beside the site: a provider of the Messages API
// and gateways for it.
func (s *site) startLanes(ctx context.Context, binary, dir string) ([]*lane, error) {
	free, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	if s.messages, err = startMessages(free[0], s.ca); err != nil {
		return nil, err
	}
	plain, err := s.startSide(ctx, "reverse_proxy-messages", binary, dir, free[1], plainConfig(free[1], free[0], s.ca, http2TLS))
	if err != nil {
		return nil, err
	}
	route, err := s.startSide(ctx, "llm_route-messages", binary, dir, free[2], routeConfigFor(free[2], free[0], s.ca, http2TLS, "anthropic", messagesAPI.path))
	if err != nil {
		return nil, err
	}
	route.counts = true
	var lanes []*lane
	for _, n := range laneNames {
		l := &lane{client: n.client, provider: n.provider, plain: s.plain, passed: s.route}
		if l.provider == messagesAPI {
			l.plain, l.passed = plain, route
		}
		l.translated = &side{process: l.passed.process, counts: true}
		if err := l.prepare(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name(), err)
		}
		lanes = append(lanes, l)
	}
	return lanes, nil
}

// prepare makes the requests of a lane's sides and finds out what is to be answered: what
// is passed must be what comes through reverse_proxy, and what is translated must say the
// same.
func (l *lane) prepare(ctx context.Context) error {
	for _, one := range []struct {
		side *side
		api  *api
		key  string
	}{{l.plain, l.provider, providerKey}, {l.passed, l.provider, clientKey}, {l.translated, l.client, clientKey}} {
		if one.side.requests != nil {
			continue // the site's own
		}
		one.side.requests, one.side.answers = make(map[*shape][]byte), make(map[*shape]*answer)
		for _, s := range []*shape{small, medium, events, open} {
			address := one.side.ports.address(s)
			one.side.requests[s] = request(address, one.key, one.api, s)
			if s == open {
				one.side.answers[s] = &answer{contentType: "text/event-stream"}
				continue
			}
			var err error
			if one.side.answers[s], err = askAt(ctx, "http://"+address+one.api.path, one.key, s.bodyIn(one.api, clientModel, s.stream, s.askUsage)); err != nil {
				return fmt.Errorf("%s, %s: %w", one.side.name, s.name, err)
			}
		}
	}
	for _, s := range []*shape{small, medium, events} {
		base, passed := l.plain.answers[s].whole, l.passed.answers[s].whole
		if asked := bytes.ReplaceAll(base, []byte(clientModel), []byte(routeModel)); len(asked) != len(passed) {
			return fmt.Errorf("%s: llm_route passes on %.300q, want %.300q", s.name, passed, asked)
		}
		want, err := readSaid(base)
		if err != nil {
			return err
		}
		got, err := readSaid(l.translated.answers[s].whole)
		if err != nil || got != want || len(got.text) != s.reply || got.prompt != promptTokens || got.produced != completionTokens {
			return fmt.Errorf("%s: the translation says %.300q with %d and %d tokens, want %.300q with %d and %d (%w)",
				s.name, got.text, got.prompt, got.produced, want.text, promptTokens, completionTokens, err)
		}
	}
	return nil
}

// askAt asks a gateway.
func askAt(ctx context.Context, url, key string, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	example, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the response is %s: %.300q", res.Status, example)
	}
	if err != nil {
		return nil, err
	}
	return newAnswer(res.Header.Get("Content-Type"), example)
}

// laneRound is one measurement of a lane's three sides, one right after the other.
type laneRound struct{ plain, passed, translated sample }

// measureLanes prints what translation costs beside requests that pass, through llm_route
// and through reverse_proxy.
func measureLanes(ctx context.Context, s *site, dir string, o *options, w io.Writer) error {
	lanes, err := s.startLanes(ctx, o.binary, dir)
	if err != nil {
		return err
	}
	type measured struct {
		*lane
		benchCase
		rounds []laneRound
	}
	var all []*measured
	for _, l := range lanes {
		for _, c := range laneCases() {
			if o.pattern.MatchString(l.name() + ", " + c.name()) {
				all = append(all, &measured{lane: l, benchCase: c})
			}
		}
	}
	began, then := time.Now(), s.busy()
	for n := range o.rounds {
		for _, m := range all {
			var r laneRound
			order := []struct {
				side *side
				into *sample
			}{{m.plain, &r.plain}, {m.passed, &r.passed}, {m.translated, &r.translated}}
			if n%2 == 1 {
				slices.Reverse(order)
			}
			for _, one := range order {
				if *one.into, err = one.side.measure(ctx, m.benchCase, o); err != nil {
					return fmt.Errorf("%s, %s: %w", m.lane.name(), m.benchCase.name(), err)
				}
			}
			m.rounds = append(m.rounds, r)
			progress("round %d of %d  %-24s  %-28s  CPU of reverse_proxy %.0f, passed %.0f, translated %.0f µs", n+1, o.rounds, m.lane.name(), m.benchCase.name(), r.plain.CPU, r.passed.CPU, r.translated.CPU)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CPU time of the gateway for a request: median of %d rounds of %s (of the last two columns, the middle half of them). %d CPUs shared by client, gateway and provider; %s, %s/%s.\n\n",
		o.rounds, o.duration, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	b.WriteString("| Lane | Case | `reverse_proxy` | passed | translated | ÷ `reverse_proxy` | allocations | translating adds |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, m := range all {
		of := func(value func(*laneRound) float64) []float64 {
			var values []float64
			for i := range m.rounds {
				values = append(values, value(&m.rounds[i]))
			}
			slices.Sort(values)
			return values
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f µs | %.0f µs | %.0f µs | **%.2f** | %+.0f | %s µs |\n", m.lane.name(), m.benchCase.name(),
			median(of(func(r *laneRound) float64 { return r.plain.CPU })), median(of(func(r *laneRound) float64 { return r.passed.CPU })),
			median(of(func(r *laneRound) float64 { return r.translated.CPU })), median(of(func(r *laneRound) float64 { return r.translated.CPU / r.plain.CPU })),
			median(of(func(r *laneRound) float64 { return r.translated.Allocs - r.passed.Allocs })), middle(of(func(r *laneRound) float64 { return r.translated.CPU - r.passed.CPU })))
	}
	b.WriteString("\nA request has the size of the case in the client's API. \"passed\" is llm_route with a client that speaks the provider's API; the last column is what translating adds to that.\n")
	if others := s.busy().others(then, runtime.NumCPU(), time.Since(began).Seconds()); others > .1 {
		fmt.Fprintf(&b, "\nOther processes had %.0f %% of the machine's CPU time: these times are less certain than on an idle one.\n", others*100)
	}
	if _, err = io.WriteString(w, b.String()); err != nil || o.profile == "" {
		return err
	}
	if err := os.MkdirAll(o.profile, 0o750); err != nil {
		return err
	}
	for _, m := range all {
		if err := m.translated.profile(ctx, m.benchCase, filepath.Join(o.profile, strings.ReplaceAll(m.lane.name(), " ", "-")+"-"), profileSeconds(o)); err != nil {
			return fmt.Errorf("profiling %s, %s: %w", m.lane.name(), m.benchCase.name(), err)
		}
	}
	return nil
}
