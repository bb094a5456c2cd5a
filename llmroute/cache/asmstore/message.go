package asmstore

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/llmroute/cache"
)

const (
	// maxResponse bounds what is read of a response, in bytes: a stored one has at most 1 MiB,
	// of which each byte may take six in JSON.
	maxResponse = 8 << 20

	// keyHeader is the header of a stored response with the key that it was stored under.
	keyHeader = "llm-cache-key"
	// entryHeader is the one with what else is known of it, as JSON.
	entryHeader = "llm-cache-entry"
)

// message is what both sides send: the service is asked with a request alone, and told a
// response as well.
type message struct {
	Request  *part `json:"request,omitempty"`
	Response *part `json:"response,omitempty"`
}

// part is a request or a response.
type part struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// requestOf is the request that stands for a key. Services make their own keys of some of the
// host, the model and the last message: each of them is the whole key here.
func requestOf(key cache.Key) *part {
	text := hex.EncodeToString(key[:])
	return &part{
		Headers: map[string]string{":authority": text, "host": text, ":method": http.MethodPost, ":path": "/v1/chat/completions", "content-type": "application/json"},
		Body:    `{"model":"` + text + `","messages":[{"role":"user","content":"` + text + `"}]}`,
	}
}

// response is what the service is told of an entry, nil if it cannot be.
func (s *Store) response(key cache.Key, e *cache.Entry) (*part, error) {
	name := hex.EncodeToString(key[:])
	out := &part{Headers: map[string]string{"content-type": e.Header.Get("Content-Type"), keyHeader: name}}
	if s.codec.Seals() {
		value, err := s.codec.Encode(name, e)
		out.Headers["content-type"] = "application/octet-stream"
		out.Body = base64.StdEncoding.EncodeToString(value)
		return out, err
	}
	if !utf8.Valid(e.Body) { // JSON would change it
		return nil, nil
	}
	about, err := json.Marshal(e)
	out.Headers[entryHeader], out.Body = string(about), string(e.Body)
	return out, err
}

// entry is what a response of the service holds, nil if it is not what was stored under the
// key: the service may tell requests apart by less.
func (s *Store) entry(key cache.Key, p *part) *cache.Entry {
	name := hex.EncodeToString(key[:])
	if p == nil || subtle.ConstantTimeCompare([]byte(header(p, keyHeader)), []byte(name)) != 1 {
		return nil
	}
	if s.codec.Seals() {
		value, err := base64.StdEncoding.DecodeString(p.Body)
		if err != nil {
			return nil
		}
		return s.codec.Decode(name, value)
	}
	e := new(cache.Entry)
	if json.Unmarshal([]byte(header(p, entryHeader)), e) != nil || len(e.Header) == 0 {
		return nil
	}
	e.Body = []byte(p.Body)
	return e
}

// header returns a header of the part, whose names a service may have written otherwise.
func header(p *part, name string) string {
	for other, value := range p.Headers {
		if strings.EqualFold(other, name) {
			return value
		}
	}
	return ""
}

// ask sends the service a message, and returns the one that it answers with: nil if it has
// none. An error has no text of the service.
func (s *Store) ask(ctx context.Context, path string, m *message) (*message, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	status, data, err := s.client.Do(ctx, http.MethodPost, path, body)
	out := new(message)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("the cache service at %s answers %s with the status %d", s.URL, path, status)
	case m.Response != nil: // it is told one, and has nothing to say
		return out, nil
	case json.Unmarshal(data, out) != nil || out.Response == nil:
		return nil, fmt.Errorf(`the cache service at %s answers %s with what is no {"response": {"headers": {}, "body": ""}}`, s.URL, path)
	}
	return out, nil
}
