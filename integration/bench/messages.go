package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"
)

// messagesProvider is a provider of the Messages API, inside the benchmark's own
// process, which is not measured: llm_mock has OpenAI's APIs alone. It has a listener
// for each shape, as all processes of the benchmark.
type messagesProvider struct {
	ports   ports
	servers []*http.Server
}

// startMessages listens with the authority's certificate.
func startMessages(p ports, a *authority) (*messagesProvider, error) {
	certificate, err := tls.LoadX509KeyPair(a.certFile, a.keyFile)
	if err != nil {
		return nil, err
	}
	m := &messagesProvider{ports: p}
	for _, s := range shapes {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		l, err := tls.Listen("tcp", p.address(s), config)
		if err != nil {
			m.stop()
			return nil, err
		}
		server := &http.Server{Handler: messagesOf(s), TLSConfig: config, ReadHeaderTimeout: requestTimeout, ErrorLog: log.New(io.Discard, "", 0)}
		m.servers = append(m.servers, server)
		go func() { _ = server.Serve(l) }()
	}
	return m, nil
}

func (m *messagesProvider) stop() {
	for _, server := range m.servers {
		_ = server.Close()
	}
}

// messagesOf answers requests of a shape in the form that Anthropic documents
// (https://docs.anthropic.com/en/api/messages).
func messagesOf(s *shape) http.Handler {
	text := strings.Repeat("The provider fills its response with this sentence. ", s.reply/50+1)[:s.reply]
	const id = `"id":"msg_0123456789abcdef","type":"message","role":"assistant","model":`
	usage := fmt.Sprintf(`"usage":{"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":%d}`, promptTokens, completionTokens)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		model, err := modelOf(r)
		if err != nil {
			http.Error(w, `{"type":"error","error":{"type":"invalid_request_error","message":"`+err.Error()+`"}}`, http.StatusBadRequest)
			return
		}
		if s.chunks == 0 {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{%s%q,"content":[{"type":"text","text":%q}],"stop_reason":"end_turn","stop_sequence":null,%s}`, id, model, text, usage)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		send := func(event, data string) {
			fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q%s}\n\n", event, event, data)
			_ = http.NewResponseController(w).Flush()
		}
		send("message_start", `,"message":{`+id+fmt.Sprintf(`%q,"content":[],"stop_reason":null,"stop_sequence":null,%s}`, model, strings.Replace(usage, fmt.Sprint(completionTokens), "1", 1)))
		send("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
		for i := range s.chunks {
			if i > 0 && !pause(r.Context(), s.interval) {
				return
			}
			send("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, text[len(text)*i/s.chunks:len(text)*(i+1)/s.chunks]))
		}
		send("content_block_stop", `,"index":0`)
		send("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},`+usage)
		send("message_stop", "")
	})
}

// modelOf returns the model of a request that may be answered.
func modelOf(r *http.Request) (string, error) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if r.Header.Get("X-Api-Key") != "" {
		key = r.Header.Get("X-Api-Key")
	}
	var request struct {
		Model     string    `json:"model"`
		MaxTokens int       `json:"max_tokens"`
		Messages  []message `json:"messages"`
	}
	switch err := json.NewDecoder(r.Body).Decode(&request); {
	case r.URL.Path != messagesAPI.path || r.Method != http.MethodPost:
		return "", errors.New("no such endpoint")
	case key != providerKey:
		return "", errors.New("another key")
	case err != nil || request.MaxTokens == 0 || len(request.Messages) == 0:
		return "", errors.New("not a request of the Messages API")
	}
	return request.Model, nil
}

// pause waits, and reports whether the client is still there.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
