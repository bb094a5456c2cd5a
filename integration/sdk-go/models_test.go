package sdk

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// models has configured ones and a provider's own.
const models = `{
	llm {
		status_listen off
		provider configured {{.Main}}/v1/chat/completions {
			model qwen/qwen-turbo
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
			for large {
				model qwen/qwen-max
			}
		}
		provider own {{.Own}}/v1/chat/completions {
			api_key {env.OTHER_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	handle_path /keys/* {
		llm_keys keys.txt
		llm_route {
			to configured
			to own
		}
	}
	handle {
		llm_route {
			rule large {
				match llm_model large gpt-*
				to configured
			}
			rule {
				to configured
				to own
			}
		}
	}
}
`

func TestModels(t *testing.T) {
	main, own := fakeprovider.New(t), fakeprovider.New(t)
	list := fixtures.Get(t, "ollama/models.json")
	own.Script(fakeprovider.Always(list.Reply()))
	g := serve(t, models, map[string]any{"Main": main.URL(), "Own": own.URL(), "CA": main.CAFile()},
		gateway.File("keys.txt", fmt.Sprintf("bob sha256:%x qwen/*\n", sha256.Sum256([]byte("gw-key-of-bob")))))
	theirs, err := direct(own).Models.List(t.Context())
	if err != nil || len(theirs.Data) == 0 {
		t.Fatal(theirs, err)
	}
	own.Reset()

	page, err := g.client().Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"large", "qwen/qwen-turbo"}
	for _, m := range theirs.Data {
		want = append(want, m.ID)
	}
	if got := ids(page.Data); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, m := range page.Data {
		if string(m.Object) != "model" || m.OwnedBy == "" {
			t.Errorf("%s", m.RawJSON())
		}
	}
	if main.Count() != 0 {
		t.Errorf("a provider whose models are configured was asked %d times", main.Count())
	}
	checkKeys(t, own.Last(), otherKey)

	for _, id := range want { // with a slash in some
		if one, err := g.client().Models.Get(t.Context(), id); err != nil || one.ID != id {
			t.Errorf("%s: %v %v", id, one, err)
		}
	}
	if n := own.Count(); n != 1 {
		t.Errorf("the provider was asked for its list %d times within a minute", n)
	}

	// Auto-paging must come to an end.
	pager := g.client().Models.ListAutoPaging(t.Context())
	n := 0
	for pager.Next() {
		n++
	}
	if pager.Err() != nil || n != len(want) {
		t.Errorf("%d models by pages, %v", n, pager.Err())
	}

	// A virtual key sees what it may use.
	page, err = sdkAt(g.URL+"/keys/v1", option.WithAPIKey("gw-key-of-bob")).Models.List(t.Context())
	if err != nil || !slices.Equal(ids(page.Data), []string{"qwen/qwen-turbo"}) {
		t.Errorf("bob sees %v, %v", page, err)
	}
}

// A provider that cannot list its models takes none of the others away.
func TestModelsWithoutAProvider(t *testing.T) {
	main, own := fakeprovider.New(t), fakeprovider.New(t)
	own.Script(fakeprovider.Always(fakeprovider.JSON(500, `{"error":{"message":"no"}}`)))
	g := serve(t, models, map[string]any{"Main": main.URL(), "Own": own.URL(), "CA": main.CAFile()}, gateway.File("keys.txt", ""))
	page, err := g.client().Models.List(t.Context())
	if err != nil || !slices.Equal(ids(page.Data), []string{"large", "qwen/qwen-turbo"}) {
		t.Errorf("%v %v", page, err)
	}
}

func ids(list []openai.Model) []string {
	var all []string
	for _, m := range list {
		all = append(all, m.ID)
	}
	slices.Sort(all)
	return all
}
