package llmroute

import (
	"context"
	"net/http"
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/modellist"
)

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
// as the client does.
func (x *exchange) fetchModelsOf(p *provider) {
	loop, logger := llmprovider.MarkLoop(x.r.Header), x.h.logger
	p.state.models.Refresh(x.r.Context(), func() func(context.Context) ([]modellist.Model, error) {
		p.life.Hold() // as the snapshot of the request does until now
		return func(ctx context.Context) ([]modellist.Model, error) {
			defer p.life.Release()
			models, err := modellist.Ask(ctx, p.Provider.(llmprovider.ModelLister), loop, p.sendAnywhere)
			if err != nil {
				if c := logger.Check(zap.WarnLevel, "cannot get the provider's list of models"); c != nil {
					c.Write(zap.String("provider", p.name), zap.Error(err))
				}
			}
			return models, err
		}
	})
}

// sendAnywhere sends a request to the provider: to any endpoint, if it is a pool.
func (p *provider) sendAnywhere(req *http.Request) (*http.Response, error) {
	if p.pool != nil {
		address := p.pool.Any(req.Context())
		if address == "" {
			return nil, errNoEndpoint(p)
		}
		req.URL, req.Host = llmprovider.At(address, req.URL), address
	}
	return p.RoundTrip(req)
}
