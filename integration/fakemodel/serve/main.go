// Command serve runs a provider with the scripted model of fakemodel, for tests in other
// languages than Go. Its first line of standard output says what it is; then each command,
// a JSON object on standard input, is answered by a report on a line. See hello, command
// and report. It ends with standard input.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// hello has what the tests need to know of the provider.
type hello struct {
	// Blocks are for a Caddyfile, by the API that the provider speaks.
	Blocks map[fakemodel.API]string `json:"blocks"`
	// KeyVariable is where the gateway has the provider's key.
	KeyVariable string `json:"keyVariable"`
	// State is that of all reasoning, Usage the prompt, what of it was cached, and the
	// completion of all responses, in tokens.
	State string `json:"state"`
	Usage [3]int `json:"usage"`
}

// command says what the provider does from now on, if it says anything.
type command struct {
	API fakemodel.API `json:"api"`
	// Turns are what the model says, one after the other; the last is repeated.
	Turns []fakemodel.Turn `json:"turns"`
	// Hang keeps streams open before their last two events.
	Hang bool `json:"hang"`
	// Fail is the status of an error in place of turns, with the text.
	Fail int    `json:"fail"`
	Text string `json:"text"`
	// Left is the number of clients to wait for that left, since the start.
	Left int `json:"left"`
}

// report is what the model was asked since the report before it, and how many clients
// have left since the start.
type report struct {
	Requests []asked `json:"requests"`
	Left     int     `json:"left"`
}

// asked is a request: how the model reads it, or why a provider would reject it, and its
// target, header and body.
type asked struct {
	*fakemodel.Request
	Error string `json:"error"`
	Raw   string `json:"raw"`
}

func main() {
	h := new(harness)
	if err := serve(h, os.Stdin, os.Stdout); err != nil {
		h.Fatalf("%v", err)
	}
	h.cleanUp()
}

// serve obeys the commands until there are no more.
func serve(t testing.TB, in io.Reader, out io.Writer) error {
	s, model := fakeprovider.New(t), new(model)
	blocks := make(map[fakemodel.API]string)
	for _, api := range fakemodel.All() {
		blocks[api] = api.Block(string(api), s.URL(), s.CAFile())
	}
	commands, reports := json.NewDecoder(in), json.NewEncoder(out)
	if err := reports.Encode(hello{blocks, fakemodel.KeyVariable, fakemodel.State, [3]int{fakemodel.PromptTokens, fakemodel.CachedTokens, fakemodel.CompletionTokens}}); err != nil {
		return err
	}
	for {
		var c command
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a command: %w", err)
		}
		if c.API != "" {
			s.Script(model.script(c))
		}
		s.WaitCancelled(c.Left, time.Minute)
		if err := reports.Encode(report{model.take(), s.Cancelled()}); err != nil {
			return err
		}
	}
}

// model notes what it is asked.
type model struct {
	mu       sync.Mutex
	requests []asked
}

func (m *model) take() []asked {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.requests
	m.requests = nil
	return taken
}

func (m *model) script(c command) func(int, *fakeprovider.Recorded) fakeprovider.Reply {
	return func(i int, r *fakeprovider.Recorded) fakeprovider.Reply {
		note := asked{Raw: fmt.Sprint(r.Target, r.Header, string(r.Body))}
		q, err := c.API.Read(r)
		note.Request = q
		if err != nil {
			note.Error = err.Error()
		}
		m.mu.Lock()
		m.requests = append(m.requests, note)
		m.mu.Unlock()
		switch {
		case err != nil:
			return c.API.Fail(400, err.Error())
		case c.Fail != 0:
			return c.API.Fail(c.Fail, c.Text)
		}
		reply := c.API.Reply(q.Stream, c.Turns[min(i, len(c.Turns)-1)])
		if c.Hang && q.Stream {
			reply.Steps = append(reply.Steps[:len(reply.Steps)-2], fakeprovider.Hang())
		}
		return reply
	}
}

// harness stands in for the test that fakeprovider.New takes.
type harness struct {
	testing.TB
	cleanups []func()
}

func (h *harness) Helper()                           {}
func (h *harness) Failed() bool                      { return false }
func (h *harness) Cleanup(f func())                  { h.cleanups = append(h.cleanups, f) }
func (h *harness) Errorf(format string, args ...any) { log.Printf(format, args...) }

func (h *harness) Fatalf(format string, args ...any) {
	h.cleanUp()
	log.Fatalf(format, args...)
}

func (h *harness) TempDir() string {
	dir, err := os.MkdirTemp("", "fakemodel-")
	if err != nil {
		h.Fatalf("%v", err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (h *harness) cleanUp() {
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
}
