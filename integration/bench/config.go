package main

import (
	"fmt"
	"time"
)

type (
	object = map[string]any
	array  = []any
)

// keyVariable is the environment variable with the provider's key.
const keyVariable = "LLM_BENCH_KEY"

// configFor puts together what the three processes have in common: an admin
// endpoint for metrics and profiles, one server a shape, and no logs of single
// requests.
func configFor(ports ports, apps object, server func(*shape) object) object {
	servers := object{}
	for i, s := range shapes {
		one := server(s)
		one["listen"] = array{ports.address(s)}
		one["automatic_https"] = object{"disable": true}
		if one["protocols"] == nil {
			one["protocols"] = array{"h1"} // what remains of the default without TLS; saves warnings
		}
		servers[fmt.Sprintf("s%d", i)] = one
	}
	apps["http"] = object{"servers": servers}
	return object{
		"admin":   object{"listen": ports.admin(), "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "WARN"}}},
		"apps":    apps,
	}
}

func routes(handler object) array { return array{object{"handle": array{handler}}} }

// wire is what the provider speaks.
type wire string

const (
	http2TLS wire = "HTTP/2 over TLS" // as most providers do
	http1TLS wire = "HTTP/1.1 over TLS"
	http1    wire = "HTTP/1.1 without TLS" // as own models in a cluster do
)

func (w wire) tls() bool { return w != http1 }

func (w wire) scheme() string {
	if w.tls() {
		return "https"
	}
	return "http"
}

// protocols are what the provider's servers speak.
func (w wire) protocols() []string {
	if w == http2TLS {
		return []string{"h1", "h2"}
	}
	return []string{"h1"}
}

// providerConfig is the provider: llm_mock.
func providerConfig(p ports, a *authority, w wire) object {
	apps := object{}
	if w.tls() {
		apps["tls"] = object{"certificates": object{"load_files": array{object{"certificate": a.certFile, "key": a.keyFile}}}}
	}
	return configFor(p, apps, func(s *shape) object {
		mock := object{
			"handler": "llm_mock", "reply_size": s.reply, "api_key": "{env." + keyVariable + "}",
			"prompt_tokens": promptTokens, "completion_tokens": completionTokens,
		}
		if s.chunks > 0 {
			mock["chunks"], mock["chunk_interval"] = s.chunks, s.interval.String()
		}
		one := object{"protocols": w.protocols(), "routes": routes(mock)}
		if w.tls() {
			one["tls_connection_policies"] = array{object{}}
		}
		return one
	})
}

// transport is the transport of both gateways, which trusts the provider's certificate.
// Everything else of it is as each of them has it by default.
func transport(a *authority, w wire) object {
	if !w.tls() {
		return object{}
	}
	return object{"tls": object{"ca": object{"provider": "file", "pem_files": array{a.caFile}}}}
}

// plainConfig is the side that is compared with: reverse_proxy, all defaults.
func plainConfig(p, provider ports, a *authority, w wire) object {
	to := transport(a, w)
	to["protocol"] = "http"
	return configFor(p, object{}, func(s *shape) object {
		return object{"routes": routes(object{
			"handler":   "reverse_proxy",
			"upstreams": array{object{"dial": provider.address(s)}},
			"transport": to,
		})}
	})
}

// routeConfig is llm_route with what a plain gateway needs: a rule by header
// that these requests do not match, a rule with two weighted backends, a model
// and a key to fill in. Usage and metrics are always on.
func routeConfig(p, provider ports, a *authority, w wire) object {
	return routeConfigFor(p, provider, a, w, "openai", chatAPI.path)
}

// routeConfigFor is the same for a provider of a kind whose main endpoint is at path.
func routeConfigFor(p, provider ports, a *authority, w wire, kind, path string) object {
	providers := object{}
	for i, s := range shapes {
		for _, account := range []string{"one", "two"} {
			providers[fmt.Sprintf("p%d-%s", i, account)] = object{
				"kind": kind, "scheme": w.scheme(), "host": "127.0.0.1", "port": provider.of[s], "path": path,
				"config":    object{"model": routeModel, "api_key": "{env." + keyVariable + "}"},
				"rules":     object{"vip-route": object{"model": "another-model"}},
				"transport": transport(a, w),
			}
		}
	}
	llm := object{"status_listen": "off", "drain_timeout": time.Second.String(), "providers": providers}
	return configFor(p, object{"llm": llm}, func(s *shape) object {
		one, two := "", ""
		for i := range shapes {
			if shapes[i] == s {
				one, two = fmt.Sprintf("p%d-one", i), fmt.Sprintf("p%d-two", i)
			}
		}
		return object{"routes": routes(object{
			"handler": "llm_route",
			"rules": array{
				object{
					"name": "vip-route", "match": array{object{"header": object{"User-Type": array{"subscriber"}}}},
					"backends": array{object{"provider": one}},
				},
				object{
					"name": "migrate-rule", "attempts": 2,
					"backends": array{object{"provider": one, "weight": 80}, object{"provider": two, "weight": 20}},
				},
			},
		})}
	})
}
