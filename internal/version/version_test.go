package version

import (
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	caddy := &debug.Module{Path: "github.com/caddyserver/caddy/v2", Version: "v2.11.9"}
	for name, test := range map[string]struct {
		info  *debug.BuildInfo
		given string
		want  string
	}{
		"the main module":                 {&debug.BuildInfo{Main: debug.Module{Path: module, Version: "v1.2.3"}, Deps: []*debug.Module{caddy}}, "", "v1.2.3"},
		"a commit without a tag":          {&debug.BuildInfo{Main: debug.Module{Path: module, Version: "v0.0.0-20260131120000-0123456789ab+dirty"}}, "", "v0.0.0-20260131120000-0123456789ab+dirty"},
		"a dependency, as with xcaddy":    {&debug.BuildInfo{Main: debug.Module{Path: "caddy"}, Deps: []*debug.Module{caddy, {Path: module, Version: "v1.2.3"}}}, "", "v1.2.3"},
		"a fork in place of it":           {&debug.BuildInfo{Deps: []*debug.Module{{Path: module, Version: "v1.2.3", Replace: &debug.Module{Path: "example.com/fork", Version: "v9.0.0"}}}}, "", "v9.0.0"},
		"a folder in place of it":         {&debug.BuildInfo{Deps: []*debug.Module{{Path: module, Version: "v0.0.0", Replace: &debug.Module{Path: "/src"}}}}, "", "(devel)"},
		"a module below it is another":    {&debug.BuildInfo{Deps: []*debug.Module{{Path: module + "/x", Version: "v1.2.3"}}}, "", "(devel)"},
		"no history":                      {&debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, "", "(devel)"},
		"no history, but given":           {&debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, "v1.2.3", "v1.2.3"},
		"no information":                  {nil, "", "(devel)"},
		"built without module, but given": {nil, "v1.2.3", "v1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := of(test.info, test.given); got != test.want {
				t.Errorf("version %q, want %q", got, test.want)
			}
		})
	}
}
