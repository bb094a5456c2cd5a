package llmroute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// modelsKept is how long a provider's own list of models is used.
	modelsKept = time.Minute
	// modelsWait bounds the wait for it.
	modelsWait = 5 * time.Second
	// maxModelsSize bounds its size, in bytes, and maxModels its length.
	maxModelsSize = 4 << 20
	maxModels     = 10_000
)

// modelList is a provider's own list of models as it was last fetched.
type modelList struct {
	mu      sync.Mutex
	models  []listedModel
	fetched time.Time
	coming  chan struct{} // closed when the list that is being fetched is there
}

// fetchModels brings the lists of the providers that have no configured model
// up to date, all at once.
func (x *exchange) fetchModels(rules []ruleTargets) {
	var wait sync.WaitGroup
	asked := make(map[*provider]bool)
	for _, rt := range rules {
		for i := range rt.targets {
			t := &rt.targets[i]
			if !t.usable() || asked[t.provider] {
				continue
			}
			if _, fixed := t.RequestModel(modelsProbe, t.settings(rt.rule)); fixed {
				continue
			}
			if _, has := t.provider.Provider.(llmprovider.ModelLister); !has {
				continue
			}
			asked[t.provider] = true
			wait.Add(1)
			go func() {
				defer wait.Done()
				x.fetchModelsOf(t.provider)
			}()
		}
	}
	wait.Wait()
}

// fetchModelsOf brings one provider's list up to date, and waits for it as long
// as the client does. Requests that come meanwhile wait for the same answer.
// The last good list stays in use while the provider gives none.
func (x *exchange) fetchModelsOf(p *provider) {
	list := &p.state.models
	list.mu.Lock()
	if time.Since(list.fetched) < modelsKept {
		list.mu.Unlock()
		return
	}
	if list.coming == nil {
		list.coming = make(chan struct{})
		p.life.hold() // as the snapshot of the request does until now
		go x.h.fetchModels(p, list, llmprovider.MarkLoop(x.r.Header))
	}
	coming := list.coming
	list.mu.Unlock()
	select {
	case <-coming:
	case <-x.r.Context().Done():
	}
}

// fetchModels asks the provider. It belongs to no request: others wait for it.
func (h *Handler) fetchModels(p *provider, list *modelList, loop []string) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()), modelsWait)
	defer cancel()
	defer p.life.release()
	models, err := askModels(ctx, p, loop)
	if err != nil {
		if c := h.logger.Check(zap.WarnLevel, "could not get the provider's list of models"); c != nil {
			c.Write(zap.String("provider", p.name), zap.Error(err))
		}
	}
	list.mu.Lock()
	defer list.mu.Unlock()
	if err == nil {
		list.models, list.fetched = models, time.Now()
	} else {
		list.fetched = time.Now().Add(modelsWait - modelsKept) // ask again, but not at once
	}
	close(list.coming)
	list.coming = nil
}

// askModels gets the provider's list.
func askModels(ctx context.Context, p *provider, loop []string) ([]listedModel, error) {
	req, refused := p.Provider.(llmprovider.ModelLister).ModelsRequest(ctx, loop)
	if refused != nil {
		return nil, refused
	}
	if p.pool != nil {
		address := p.pool.Any(ctx)
		if address == "" {
			return nil, errNoEndpoint(p)
		}
		req.URL, req.Host = llmprovider.At(address, req.URL), address
	}
	res, err := p.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answered with status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxModelsSize+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxModelsSize {
		return nil, fmt.Errorf("the list is over %d bytes long", maxModelsSize)
	}
	return readModels(body)
}

// readModels reads a provider's list of models: OpenAI's, Anthropic's, Google's, or the
// models alone, which are objects or their names.
func readModels(body []byte) ([]listedModel, error) {
	if !json.Valid(body) {
		return nil, errors.New("the list is not valid JSON")
	}
	list := gjson.ParseBytes(body)
	if list.IsObject() {
		data := list.Get("data")
		if models := list.Get("models"); !data.Exists() && models.Exists() {
			data = models
		}
		list = data
	}
	if !list.IsArray() && list.Raw != "null" { // as some write a list without members
		return nil, errors.New("the response is not a list of models")
	}
	var models []listedModel
	list.ForEach(func(_, entry gjson.Result) bool {
		if m, ok := readModel(entry); ok {
			models = append(models, m)
		}
		return len(models) < maxModels
	})
	return models, nil
}
