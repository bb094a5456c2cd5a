// Package version knows which version of the gateway this build has in it. It
// imports nothing of the gateway. Start reading at Gateway.
package version

import (
	"runtime/debug"
	"sync"
)

const module = "github.com/caddy-llm/gateway"

// given is set where Go cannot know the version, as in a build of an image from a
// folder without its history:
//
//	go build -ldflags "-X github.com/caddy-llm/gateway/internal/version.given=v1.2.3"
var given string

// Gateway returns the gateway's version, such as v1.2.3: of the main module in
// cmd/caddy, which Go takes from the tag or commit that is built, or of a dependency
// in a build of xcaddy. It is "(devel)" where Go knows none, as with a local folder
// in place of the module.
var Gateway = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return of(info, given)
})

func of(info *debug.BuildInfo, given string) string {
	const unknown = "(devel)"
	if given != "" {
		return given
	}
	if info == nil {
		return unknown
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path != module {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" {
			return m.Version
		}
	}
	return unknown
}
