package status

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/cache"
)

const (
	cachePath      = "/llm/cache"
	cachePurgePath = cachePath + "/purge"
)

// CacheView is the cache in what the admin endpoint and the status page show.
type CacheView struct {
	// Store is the name of the store's module, Down whether it failed when it was last used.
	Store string `json:"store"`
	Down  bool   `json:"down,omitempty"`
	// Use is how full it is.
	Use cache.Use `json:"use"`
	// Rules is what was done for each rule, since the process began.
	Rules List[cache.RuleView] `json:"rules"`
}

// cacheView returns the cache for rules that match the filter; nil if no rule uses it.
func cacheView(g *Gateway, filter string) *CacheView {
	if g.Cache == nil {
		return nil
	}
	var matching []cache.RuleView
	all := g.Metrics.CacheStats().Rules()
	for _, r := range all {
		if matchesFilter(filter, r.Rule) {
			matching = append(matching, r)
		}
	}
	return &CacheView{Store: g.Cache.StoreName(), Down: g.Cache.StoreDown(), Use: g.Cache.Use(), Rules: cut(matching, len(all))}
}

// serveCache serves what the cache does, and removes responses from it.
func (a AdminAPI) serveCache(w http.ResponseWriter, r *http.Request) error {
	app, err := a.app()
	if err != nil {
		return err
	}
	g := app.Gateway()
	if g.Cache == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no cache; use one with cache in a rule")}
	}
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case cachePath:
		if r.Method != http.MethodGet {
			return errMethod(r, http.MethodGet)
		}
		return writeJSON(w, cacheView(g, ""))
	case cachePurgePath:
		if r.Method != http.MethodPost {
			return errMethod(r, http.MethodPost)
		}
		var tags cache.Tags // none of them selects everything
		if err := readBody(r, &tags, "the body does not say what to remove; expected JSON such as {\"client\": \"alice\", \"model\": \"gpt-5\", \"rule\": \"default\"}, of which each may be left out"); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
		removed, err := g.Cache.Purge(r.Context(), tags)
		switch {
		case errors.Is(err, cache.ErrCannotPurge):
			return caddy.APIError{HTTPStatus: http.StatusNotImplemented, Err: fmt.Errorf("store %s: %w", g.Cache.StoreName(), err)}
		case err != nil:
			return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: fmt.Errorf("%d responses were removed, and others may be left; try again when the store works: %w", removed, err)}
		}
		return writeJSON(w, map[string]any{"removed": removed})
	}
	return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("expected %s or %s", cachePath, cachePurgePath)}
}
