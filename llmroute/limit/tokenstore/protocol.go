package tokenstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

// maxResponse bounds what is read of a response, in bytes.
const maxResponse = 64 << 10

// verdict is what the service says of its keys.
type verdict struct {
	Allow *bool `json:"allow"`
}

// allow asks the service whether the key may use more.
func (s *Store) allow(ctx context.Context, key string) (bool, error) {
	list, err := json.Marshal([]string{key})
	if err != nil {
		return false, err
	}
	body, err := s.do(ctx, http.MethodGet, "/ratelimit?ratelimit_keys="+url.QueryEscape(string(list)), nil)
	if err != nil {
		return false, err
	}
	var v verdict
	if err := json.Unmarshal(body, &v); err != nil || v.Allow == nil {
		return false, fmt.Errorf("the token service at %s answers /ratelimit with what is no {\"allow\": true} or false", s.URL)
	}
	return *v.Allow, nil
}

// usage is what the service is told. Whichever of the numbers it counts, it finds the same; but
// it is to count none of prompts for a limit of output, and the other way round.
type usage struct {
	Keys       []string `json:"ratelimit_keys"`
	Prompt     int64    `json:"prompt_tokens"`
	Completion int64    `json:"completion_tokens"`
	Total      int64    `json:"total_tokens"`
}

// record tells the service that the key used so much. Of tokens it is not known which part is of the
// prompt, since they are leased before they are used: they are recorded as output, which is what some
// services count alone.
func (s *Store) record(ctx context.Context, key string, unit string, n int64) error {
	u := usage{Keys: []string{key}, Completion: n, Total: n}
	if unit == string(limit.UnitInput) {
		u.Prompt, u.Completion = n, 0
	}
	body, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = s.do(ctx, http.MethodPost, "/update_ratelimit_record", body)
	return err
}

// do makes a request of the service, and returns the body of its response. No error holds the
// path, whose query is text of clients.
func (s *Store) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	status, data, err := s.client.Do(ctx, method, path, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the token service at %s answers with the status %d", s.URL, status)
	}
	return data, err
}
