package llmroute

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

const (
	limitsPath = "/llm/limits"
	// maxChange bounds the body of a change, in bytes.
	maxChange = 64 << 10
)

func serveLimits(w http.ResponseWriter, r *http.Request) error {
	app, err := activeApp()
	if err != nil {
		return err
	}
	return app.serveLimits(w, r)
}

// serveLimits serves where limits stand, and changes what was used of them.
func (a *App) serveLimits(w http.ResponseWriter, r *http.Request) error {
	if a.limits == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no limits; define some with llm { limits { ... } }")}
	}
	rest := strings.Trim(strings.TrimPrefix(r.URL.Path, limitsPath), "/")
	if rest == "" {
		if r.Method != http.MethodGet {
			return errMethod(r, http.MethodGet)
		}
		return writeJSON(w, map[string]any{"limits": a.limits.Set().View()})
	}
	name, action, _ := strings.Cut(rest, "/")
	set := a.limits.Set()
	change := set.Reset
	switch action {
	case "reset":
	case "credit":
		change = set.Credit
	default:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("expected /llm/limits, /llm/limits/NAME/reset or /llm/limits/NAME/credit")}
	}
	if r.Method != http.MethodPost {
		return errMethod(r, http.MethodPost)
	}
	ch, err := readChange(r)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	counters, err := change(name, ch)
	switch {
	case errors.Is(err, limit.ErrNoLimit):
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	case err != nil && counters > 0:
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: fmt.Errorf("changed for this process, but not stored; try again when the store works: %w", err)}
	case err != nil:
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	return writeJSON(w, map[string]any{"limit": name, "counters": counters})
}

// readChange reads the body, which may be empty.
func readChange(r *http.Request) (limit.Change, error) {
	var ch limit.Change
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxChange))
	d.DisallowUnknownFields()
	d.UseNumber()
	switch err := d.Decode(&ch); {
	case errors.Is(err, io.EOF):
		return ch, nil
	case err != nil:
		return ch, fmt.Errorf("the body is not a change; expected JSON such as {\"key\": {\"client\": \"alice\"}, \"unit\": \"tokens\", \"amount\": 1000}: %w", err)
	case d.More():
		return ch, errors.New("the body has more than one JSON object; send one")
	}
	return ch, nil
}

func errMethod(r *http.Request, want string) error {
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method %s not allowed; use %s", r.Method, want)}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// activeApp is the app of the running configuration.
func activeApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("llm")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("the running configuration has no llm app: %w", err)}
	}
	return app.(*App), nil
}
