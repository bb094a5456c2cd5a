package llmroute

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
)

// slowSender is a provider whose transport reads a request slowly, and on for a while
// after the request was cancelled.
type slowSender struct {
	llmprovider.Provider
	t *testing.T
}

const beforeText = `{"messages":[{"role":"user","content":"`

// RoundTrip implements llmprovider.Provider.
func (s slowSender) RoundTrip(r *http.Request) (*http.Response, error) {
	go func() {
		defer r.Body.Close()
		head := make([]byte, len(beforeText)+1)
		if _, err := io.ReadFull(r.Body, head); err != nil || string(head[:len(beforeText)]) != beforeText {
			s.t.Errorf("%q was sent: %v", head, err)
		}
		letter := head[len(beforeText):]
		piece := make([]byte, 8<<10)
		for range 60 {
			if _, err := io.ReadFull(r.Body, piece); err != nil {
				s.t.Error(err)
				return
			}
			if rest := bytes.Trim(piece, string(letter)); len(rest) > 0 {
				s.t.Errorf("%.50q was sent in a text of %q", rest, letter)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// TestTwoAttempts runs two attempts of one request at once, answers with one, and drops
// the other while it is being sent. What the other sends must stay as it is until its
// connection has let go of it, although the request has ended and its memory is wanted
// by the next ones.
func TestTwoAttempts(t *testing.T) {
	fast := newUpstream(t, answers("fast"))
	first, second := unique("slow"), unique("fast")
	g := newGateway(t, providers(first, unreachable, second, fast.provider("")),
		fmt.Sprintf(`{"rules":[{"name":"r","attempts":2,"backends":[{"provider":%q},{"provider":%q}]}]}`, first, second))
	slow := g.app.snapshot().providers[first]
	slow.Provider = slowSender{slow.Provider, t}
	var wg, dropped sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for range 5 {
				body := []byte(beforeText + strings.Repeat(string(rune('a'+worker)), 1<<20) + `"}]}`)
				r := httptest.NewRequest(http.MethodPost, "http://a.test/v1/chat/completions", bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
				raceTwo(t, g.handler, w, r, second, &dropped)
				if !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), "fast") {
					t.Errorf("the client got %d %.200q", w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	dropped.Wait()
	for _, name := range []string{first, second} {
		if n := g.app.snapshot().providers[name].state.InFlight.Load(); n != 0 {
			t.Errorf("%s: %d attempts in flight", name, n)
		}
	}
	if _, figures := figuresOf(g.app, slow); figures.Requests != 0 {
		t.Errorf("%d dropped attempts were counted", figures.Requests)
	}
}

// raceTwo serves a request as Handler.ServeHTTP does, with two attempts at once.
func raceTwo(t *testing.T, h *Handler, w http.ResponseWriter, r *http.Request, want string, dropped *sync.WaitGroup) {
	t.Helper()
	x := newExchange(h, w, r)
	h.app.open.Add(&x.place, x)
	defer x.end()
	var refused *llmprovider.Error
	if x.in, refused = llmprovider.NewInbound(r); refused == nil {
		refused = x.route()
	}
	if refused == nil {
		refused = x.in.Read(r, x.maxBody)
	}
	if refused != nil {
		t.Error(refused)
		return
	}
	ended := make(chan *attempt, 2)
	var both [2]*attempt
	for i := range both {
		if both[i], refused = x.begin(&x.targets[i], ""); refused != nil {
			t.Error(refused)
			return
		}
	}
	for _, a := range both {
		go func() {
			a.send()
			ended <- a
		}()
	}
	winner := <-ended
	if winner.provider.name != want {
		t.Errorf("%s won: %v", winner.provider.name, winner.err)
	}
	_, _, _, err := x.conclude(winner)
	x.finish(winner)
	dropped.Go(func() { // while the next requests take the memory that is free
		time.Sleep(20 * time.Millisecond)
		for _, a := range both {
			if a != winner {
				x.finish(a)
			}
		}
		if loser := <-ended; loser.res != nil {
			_ = loser.res.Body.Close()
		}
	})
	if err != nil {
		t.Error(err)
	}
}
