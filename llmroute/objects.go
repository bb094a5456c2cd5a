package llmroute

import (
	"strings"

	"github.com/caddy-llm/gateway/llmroute/meter"
)

// source is what became of what the source said, for metrics.
func (s *snapshot) source() *meter.Source {
	out := &meter.Source{Findings: make(map[meter.Finding]int)}
	out.Accepted, out.Rejected = s.objects()
	if s.state != nil {
		for _, f := range s.state.Findings {
			out.Findings[meter.Finding{Reason: f.Reason, Used: f.Used}]++
		}
	}
	return out
}

// objects are those of the source that the snapshot uses, and those that had to
// be left out, by kind, namespace and name.
func (s *snapshot) objects() (accepted, rejected map[string]bool) {
	accepted, rejected = make(map[string]bool), make(map[string]bool)
	if s.state == nil {
		return accepted, rejected
	}
	for _, f := range s.state.Findings {
		if !f.Used {
			rejected[f.Object] = true
		}
	}
	for _, said := range s.state.Providers {
		if s.providers[said.Name] != nil {
			accepted[objectOf(said.Origin)] = true
		} else {
			rejected[objectOf(said.Origin)] = true
		}
	}
	for _, t := range s.tables {
		for _, e := range t.entries {
			switch object := objectOf(e.Origin); {
			case object == "": // of the configuration
			case e.Unusable == "":
				accepted[object] = true
			default:
				rejected[object] = true
			}
		}
	}
	if s.state.Authorization != nil {
		for _, p := range s.state.Authorization.Policies {
			if object := "AuthorizationPolicy " + p.Name; !rejected[object] { // one that is wrong still denies
				accepted[object] = true
			}
		}
	}
	return accepted, rejected
}

// objectOf is the object that an origin, such as "LLMRoute default/a in a.yaml",
// is about, as findings name it.
func objectOf(origin string) string {
	kind, rest, _ := strings.Cut(origin, " ")
	name, _, _ := strings.Cut(rest, " ")
	if name == "" {
		return ""
	}
	return kind + " " + name
}
