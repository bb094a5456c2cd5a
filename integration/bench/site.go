package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// side is one of the gateways that are compared.
type side struct {
	*process
	requests map[*shape][]byte // head and body
	answers  map[*shape]*answer
	counts   bool // tokens
}

// site is everything that runs.
type site struct {
	wire     wire // what the provider speaks
	ca       *authority
	provider *process
	plain    *side             // reverse_proxy
	route    *side             // llm_route
	sides    []*side           // all gateways
	messages *messagesProvider // nil but where translation is measured
}

// startSite starts the three processes, and asks the provider itself what the
// answers must be.
func startSite(ctx context.Context, binary, dir string, w wire) (s *site, err error) {
	s = &site{wire: w}
	if s.ca, err = newAuthority(dir); err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	free, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.provider, err = startProcess(ctx, "provider", binary, dir, free[0], providerConfig(free[0], s.ca, w)); err != nil {
		return s, err
	}
	if s.plain, err = s.startSide(ctx, "reverse_proxy", binary, dir, free[1], plainConfig(free[1], free[0], s.ca, w)); err != nil {
		return s, err
	}
	if s.route, err = s.startSide(ctx, "llm_route", binary, dir, free[2], routeConfig(free[2], free[0], s.ca, w)); err != nil {
		return s, err
	}
	s.route.counts = true
	return s, s.prepare(ctx, s.plain, s.route)
}

// startSide starts a gateway.
func (s *site) startSide(ctx context.Context, name, binary, dir string, p ports, config object) (*side, error) {
	proc, err := startProcess(ctx, name, binary, dir, p, config)
	if err != nil {
		return nil, err
	}
	g := &side{process: proc}
	s.sides = append(s.sides, g)
	return g, nil
}

func (s *site) stop() {
	for _, g := range slices.Backward(s.sides) {
		g.stop()
	}
	if s.messages != nil {
		s.messages.stop()
	}
	if s.provider != nil {
		s.provider.stop()
	}
}

// prepare makes requests and answers for a pair of gateways.
func (s *site) prepare(ctx context.Context, plain, route *side) error {
	direct := &http.Client{Transport: &http.Transport{TLSClientConfig: s.ca.client(), DisableCompression: true}}
	defer direct.CloseIdleConnections()
	if err := plain.prepare(ctx, direct, s.wire.scheme()+"://", s.provider, clientModel, providerKey, false); err != nil {
		return err
	}
	return route.prepare(ctx, direct, s.wire.scheme()+"://", s.provider, routeModel, clientKey, true)
}

// prepare makes the requests that the side gets and the responses that it must
// give to them. model is the one that must reach the provider; with asksUsage
// the gateway must ask for usage and hide what comes of it.
func (g *side) prepare(ctx context.Context, direct *http.Client, scheme string, provider *process, model, key string, asksUsage bool) error {
	g.requests, g.answers = make(map[*shape][]byte), make(map[*shape]*answer)
	for _, s := range shapes {
		g.requests[s] = request(g.ports.address(s), key, chatAPI, s)
		if s == open {
			g.answers[s] = &answer{contentType: "text/event-stream"}
			continue
		}
		hides := s.stream && !s.askUsage && asksUsage
		answer, err := ask(ctx, direct, scheme+provider.ports.address(s)+"/v1/chat/completions", s.body(model, s.stream, s.askUsage || hides), hides)
		if err != nil {
			return fmt.Errorf("asking the provider itself: %w", err)
		}
		g.answers[s] = answer
	}
	return nil
}

// request is what an SDK sends, head and body.
func request(host, key string, a *api, s *shape) []byte {
	body := s.bodyIn(a, clientModel, s.stream, s.askUsage)
	return append(head(host, a.path, key, len(body)), body...)
}

// head is what an SDK sends before its body.
func head(host, path, key string, length int) []byte {
	return []byte("POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: llm-bench/1\r\nAccept: application/json\r\n" +
		"Authorization: Bearer " + key + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(length) + "\r\n\r\n")
}

// ask gets a response from the provider, without a gateway between.
func ask(ctx context.Context, direct *http.Client, url string, body []byte, dropUsage bool) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+providerKey)
	res, err := direct.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	example, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s: %.300q", res.Status, example)
	}
	if dropUsage {
		if example, err = withoutUsage(example); err != nil {
			return nil, err
		}
	}
	return newAnswer(res.Header.Get("Content-Type"), example)
}

// settle lets what earlier load left behind be collected.
func (g *side) settle(ctx context.Context) error {
	_, err := g.admin(ctx, "/debug/pprof/heap?gc=1")
	return err
}

// admin gets a document from the process's admin endpoint.
func (p *process) admin(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.ports.admin()+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: GET %s: %s: %.300q", p.name, path, res.Status, data)
	}
	return data, err
}
