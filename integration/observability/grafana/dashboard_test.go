// Package grafana_test holds the dashboard to Grafana's own schema, in the types
// that Grafana generates from it. It is a module of its own: nothing of it enters
// the gateway.
package grafana_test

import (
	"errors"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Everything in the dashboard, options of panels and queries included, is a field
// that Grafana knows and has the type that it takes; what it would drop without a
// word is an error here.
func TestDashboardIsWhatGrafanaReads(t *testing.T) {
	plugins.RegisterDefaultPlugins() // the types of panels and queries
	data, err := os.ReadFile("../../../examples/observability/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard.Dashboard //nolint:staticcheck // the newer model is not what Grafana 10 and 11 import
	report(t, d.UnmarshalJSONStrict(data))
	report(t, d.Validate())
	if len(d.Panels) == 0 {
		t.Error("the dashboard has no panels")
	}
}

// report shows each part of an error on a line of its own.
func report(t *testing.T, err error) {
	t.Helper()
	var several cog.BuildErrors
	switch {
	case err == nil:
	case errors.As(err, &several):
		for _, one := range several {
			t.Error(one.Error())
		}
	default:
		t.Error(err)
	}
}
