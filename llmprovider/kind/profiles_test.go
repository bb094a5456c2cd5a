package kind_test

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// The table of profiles in the context takes the place of the built-in one.
func TestProfilesOfTheContext(t *testing.T) {
	table, err := dialect.ParseProfiles("t.yaml", []byte("vendors:\n- {name: own, hosts: [own.example], habits: {top_k: true}}\n- {name: deepseek, hosts: [api.deepseek.com], habits: {seed_name: other}}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		profile, host string
		ok            bool
		want          dialect.Profile
	}{
		{"own", "x.example", true, dialect.Profile{TopK: true}}, {"", "own.example", true, dialect.Profile{TopK: true}},
		{"", "api.deepseek.com", true, dialect.Profile{SeedName: "other"}}, {"", "api.mistral.ai", true, dialect.Profile{}}, {"mistral", "x.example", false, dialect.Profile{}},
	} {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: dialect.WithProfiles(context.Background(), table)})
		p := new(thirdParty)
		p.Host, p.Profile = test.host, test.profile
		err := p.Provision(ctx)
		if (err == nil) != test.ok {
			t.Errorf("%s at %s: %v", test.profile, test.host, err)
		} else if err == nil {
			if got := p.ProfileOf("m"); got.TopK != test.want.TopK || got.SeedName != test.want.SeedName || got.MaxTokensName != "" {
				t.Errorf("%s at %s: %+v", test.profile, test.host, got)
			}
			_ = p.Cleanup()
		}
		cancel()
	}
}
