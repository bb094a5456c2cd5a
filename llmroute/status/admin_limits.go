package status

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

// serveLimits serves where limits stand, and changes what was used of them.
func (a AdminAPI) serveLimits(w http.ResponseWriter, r *http.Request) error {
	app, err := a.app()
	if err != nil {
		return err
	}
	set := app.Gateway().Limits
	if set == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no limits; define some with llm { limits { ... } }, or as LLMLimit objects")}
	}
	rest := strings.Trim(strings.TrimPrefix(r.URL.Path, limitsPath), "/")
	if rest == "" {
		if r.Method != http.MethodGet {
			return errMethod(r, http.MethodGet)
		}
		return writeJSON(w, map[string]any{"limits": set.View()})
	}
	name, action, _ := strings.Cut(rest, "/")
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
	var ch limit.Change
	if err := readBody(r, &ch, "the body is not a change; expected JSON such as {\"key\": {\"client\": \"alice\"}, \"unit\": \"tokens\", \"amount\": 1000}"); err != nil {
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

// readBody reads the body, a JSON object, into v. It may be empty. The error of one that is not what
// is expected begins with unexpected.
func readBody(r *http.Request, v any, unexpected string) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxChange))
	d.DisallowUnknownFields()
	d.UseNumber()
	switch err := d.Decode(v); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", unexpected, err)
	case d.More():
		return errors.New("the body has more than one JSON object; send one")
	}
	return nil
}

func errMethod(r *http.Request, want string) error {
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method %s not allowed; use %s", r.Method, want)}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// app returns what is shown.
func (a AdminAPI) app() (App, error) {
	if a.App != nil {
		return a.App, nil
	}
	app, err := caddy.ActiveContext().AppIfConfigured("llm")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("the running configuration has no llm app: %w", err)}
	}
	return app.(App), nil
}
