package llmroute

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestModelsOfAHangingProvider holds when many clients ask for the list: they
// wait for the same answer, not one after another.
func TestModelsOfAHangingProvider(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	p := unique("hangs")
	g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	began := time.Now()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			res, err := g.Client().Get(g.URL + "/v1/models")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("status %d, want an empty list", res.StatusCode)
			}
		})
	}
	wait.Wait()
	if took := time.Since(began); took > 2*modelsWait {
		t.Errorf("20 clients took %s", took)
	}
	if n := u.count(); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
}
