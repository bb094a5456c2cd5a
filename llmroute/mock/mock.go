// Package mock is the llm_mock handler: a small OpenAI-compatible provider for
// the quickstart, tests and fault drills. It imports Caddy and nothing of the
// gateway. Begin with Handler, then serve.go.
package mock

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

const (
	defaultModel = "mock-model"
	defaultReply = "Hello from the mock provider of this gateway. " +
		"It gives every prompt this same response; route to a real provider to reach a model."
	defaultChunks = 8

	// A configuration beyond these would be a typing mistake or would hold
	// an unreasonable amount of memory.
	maxReply  = 64 << 20
	maxChunks = 100_000

	// Fault shares are counted in millionths.
	wholeText = 1_000_000
)

// Handler responds like a small OpenAI-compatible provider: chat completions,
// completions, responses, embeddings, moderations and the list of models, streaming
// included, under any path prefix. It needs no key and reaches no network, which makes
// it the provider of the quickstart, the upstream of load tests, and a source of faults
// for drills.
//
// Responses never repeat anything of the prompt. A request with `tools` whose last
// message comes from the user gets one call of the tool that `tool_choice` names, else
// of the first function, with the arguments `{}`. The mock is the last handler of its
// route: what it does not know is a 404 in OpenAI's shape.
type Handler struct {
	// The model named in the response when the request names none, and the one
	// `GET …/models` lists. Default: `mock-model`.
	Model string `json:"model,omitempty"`

	// The text of every response. Default: a sentence that says where it comes
	// from. Placeholders are not expanded.
	Reply string `json:"reply,omitempty"`

	// Respond with a text of this many bytes instead of `reply`. At most 64 MiB. Default: 0,
	// which means `reply`.
	ReplySize int `json:"reply_size,omitempty"`

	// How long to wait, once the request has been read, before the first byte
	// of any response, errors included. Default: 0.
	Latency caddy.Duration `json:"latency,omitempty"`

	// The most requests that are served at a time; others wait. `GET …/metrics` reports how
	// many are served and how many wait, as vLLM's metrics do. Default: 0, which means no
	// bound.
	Concurrency int `json:"concurrency,omitempty"`

	// Into how many content chunks a streamed text is cut. When the text has
	// fewer characters than that, the last chunks are empty. At most 100000.
	// Default: 8.
	Chunks int `json:"chunks,omitempty"`

	// How long to wait between two content chunks of a stream. Default: 0.
	ChunkInterval caddy.Duration `json:"chunk_interval,omitempty"`

	// Respond with this status, 400 to 599, and an error in OpenAI's shape. Default: 0,
	// which means no such faults.
	Status int `json:"status,omitempty"`

	// The share of the requests that get `status`, above 0 and at most 1. The
	// faults are spread evenly and not at random: 0.25 is every fourth request.
	// Default: 1, every request.
	StatusRatio float64 `json:"status_ratio,omitempty"`

	// The value in seconds of the `Retry-After` header sent with `status`.
	// Default: 0, which means no such header.
	RetryAfter int `json:"retry_after,omitempty"`

	// Cut the connection of every stream after this many events (all of them
	// count, the first one with the role as well); 0 cuts it after the header.
	// A stream that ends sooner, or a response that is not streamed, is not affected. Unset,
	// streams end as they should.
	AbortAfter *int `json:"abort_after,omitempty"`

	// The prompt tokens to report. Unset, an estimate from the size of the
	// prompt: one for each four bytes.
	PromptTokens *int `json:"prompt_tokens,omitempty"`

	// The completion tokens to report. Unset, an estimate from the size of the
	// response: one for each four bytes.
	CompletionTokens *int `json:"completion_tokens,omitempty"`

	// The key that requests must carry as `Authorization: Bearer <key>`; others
	// get a 401. Placeholders such as `{env.MOCK_KEY}` are resolved once, when
	// the configuration is loaded. The mock guards nothing, so a made-up literal
	// will do; never put a real key here. Unset, every request is accepted.
	APIKey string `json:"api_key,omitempty"`

	queue      queue
	model      string   // the default model as a JSON string
	text       []byte   // the reply as a JSON string
	chunkTexts [][]byte // the reply's chunks as JSON strings
	textTokens int
	key        string
	fault      *apiError
	faultShare uint64 // in millionths
	vector     string // the embedding as a JSON array
	vector64   string // the same as base64 of little-endian float32
	models     []byte // the body of GET /models

	requests atomic.Uint64 // counts what the faults are spread over
	lastID   atomic.Uint64
	bodies   sync.Pool // of *[]byte, for request bodies
	outs     sync.Pool // of *[]byte, for what is written
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_mock",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the options, fills in the defaults, and builds once all
// that responses have in common.
func (m *Handler) Provision(caddy.Context) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("llm_mock: %w", err)
	}
	if m.Model == "" {
		m.Model = defaultModel
	}
	if m.Chunks == 0 {
		m.Chunks = defaultChunks
	}
	reply := m.Reply
	if m.ReplySize > 0 {
		reply = replyText(m.ReplySize)
	} else if reply == "" {
		reply = defaultReply
	}
	key, err := caddy.NewReplacer().ReplaceOrErr(m.APIKey, true, true)
	if err != nil {
		return fmt.Errorf("llm_mock: api_key: %w", err)
	}
	m.key = strings.TrimSpace(key)
	if m.APIKey != "" && m.key == "" {
		return errors.New("llm_mock: api_key is empty; leave the option out to accept every request")
	}

	if m.Concurrency > 0 {
		m.queue.slots = make(chan struct{}, m.Concurrency)
	}
	m.model = string(quoted(m.Model))
	m.text = quoted(reply)
	m.textTokens = countTokens(len(reply))
	m.chunkTexts = nil
	for _, part := range splitText(reply, m.Chunks) {
		m.chunkTexts = append(m.chunkTexts, quoted(part))
	}
	m.vector, m.vector64 = vectorOf()
	m.models = fmt.Appendf(nil, `{"object":"list","data":[{"id":%s,"object":"model","created":%d,"owned_by":"llm_mock"}]}`,
		m.model, time.Now().Unix())
	if m.Status != 0 {
		m.fault = fault(m.Status)
		m.fault.retryAfter = m.RetryAfter
		m.faultShare = wholeText
		if m.StatusRatio > 0 {
			m.faultShare = uint64(math.Round(m.StatusRatio * wholeText))
		}
	}
	// Answers after a reload must not repeat the ids of those before it.
	m.lastID.Store(uint64(time.Now().UnixNano()))
	return nil
}

// check reports the first option whose value makes no sense.
func (m *Handler) check() error {
	switch {
	case m.Reply != "" && m.ReplySize != 0:
		return errors.New("set either reply or reply_size, not both")
	case m.ReplySize < 0 || m.ReplySize > maxReply:
		return fmt.Errorf("reply_size is %d; expected 1 to %d bytes", m.ReplySize, maxReply)
	case len(m.Reply) > maxReply:
		return fmt.Errorf("reply has %d bytes; expected at most %d", len(m.Reply), maxReply)
	case len(m.Model) > maxModel:
		return fmt.Errorf("model has %d bytes; expected at most %d", len(m.Model), maxModel)
	case m.Chunks < 0 || m.Chunks > maxChunks:
		return fmt.Errorf("chunks is %d; expected 1 to %d", m.Chunks, maxChunks)
	case m.Concurrency < 0:
		return fmt.Errorf("concurrency is %d; expected 1 or more requests", m.Concurrency)
	case m.Latency < 0:
		return fmt.Errorf("latency is %s; expected a duration that is not negative", time.Duration(m.Latency))
	case m.ChunkInterval < 0:
		return fmt.Errorf("chunk_interval is %s; expected a duration that is not negative", time.Duration(m.ChunkInterval))
	case m.Status != 0 && (m.Status < 400 || m.Status > 599):
		return fmt.Errorf("status is %d; expected an error status from 400 to 599", m.Status)
	case math.IsNaN(m.StatusRatio) || m.StatusRatio < 0 || m.StatusRatio > 1:
		return fmt.Errorf("the ratio of status is %v; expected a number above 0 and at most 1", m.StatusRatio)
	case m.StatusRatio > 0 && m.StatusRatio < 1.0/wholeText:
		return fmt.Errorf("the ratio of status is %v; expected at least one in a million", m.StatusRatio)
	case m.Status == 0 && m.StatusRatio != 0:
		return errors.New("status_ratio needs status")
	case m.RetryAfter < 0:
		return fmt.Errorf("retry_after is %d; expected a number of seconds of at least 1", m.RetryAfter)
	case m.Status == 0 && m.RetryAfter != 0:
		return errors.New("retry_after needs status")
	case m.AbortAfter != nil && *m.AbortAfter < 0:
		return fmt.Errorf("abort_after is %d; expected a number of events of at least 0", *m.AbortAfter)
	case m.PromptTokens != nil && *m.PromptTokens < 0:
		return fmt.Errorf("prompt_tokens is %d; expected at least 0", *m.PromptTokens)
	case m.CompletionTokens != nil && *m.CompletionTokens < 0:
		return fmt.Errorf("completion_tokens is %d; expected at least 0", *m.CompletionTokens)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Module      = (*Handler)(nil)
	_ caddy.Provisioner = (*Handler)(nil)
)
