package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// apis fills in the further APIs of the provider.
func (b *builder) apis() {
	list := b.object.Spec.APIs
	if len(list) > object.MaxAPIs {
		b.fault(object.ReasonInvalidField, "spec.apis: "+object.TooMany, object.MaxAPIs)
	}
	for i, api := range list {
		path := fmt.Sprintf("spec.apis[%d]", i)
		further := kind.API{Path: api.Path, KeyHeader: api.KeyHeader}
		_, twice := b.base.APIs[api.Name]
		switch {
		case api.Name == "":
			b.fault(object.ReasonInvalidField, "%s.name: a name is required; write messages, responses or chat", path)
		case twice:
			b.fault(object.ReasonInvalidField, "spec.apis: an API is listed twice; keep one of them")
		case !slices.Contains([]string{"messages", "responses", "chat"}, api.Name):
			b.fault(object.ReasonInvalidField, "%s.name: there is no API of this name; write messages, responses or chat", path)
		case b.out != nil && len(b.traits.APIs) == 0:
			b.fault(object.ReasonInvalidField, "spec.apis: providers of this kind have no further APIs; leave it out")
		case b.out != nil && !slices.Contains(b.traits.APIs, api.Name):
			b.fault(object.ReasonInvalidField, "spec.apis: providers of this kind support these further APIs: %s; leave out all others", strings.Join(b.traits.APIs, ", "))
		case len(api.Path) > object.MaxPath:
			b.fault(object.ReasonInvalidField, "%s.path: "+object.TooLong, path, object.MaxPath)
		case api.Path != "" && !isPath(api.Path):
			b.fault(object.ReasonInvalidField, "%s.path: this is not a URL path; write one such as /anthropic/v1/messages", path)
		case api.Path == "" && b.base.Path != "" && endsInChat(b.traits.DefaultPath) && !endsInChat(b.base.Path):
			b.fault(object.ReasonInvalidField, "spec.apis: spec.path does not end in %s, so the path of an API without one cannot be derived; write its path", llmprovider.ChatSuffix)
		case further.Check() != nil:
			b.fault(object.ReasonInvalidField, "%s.keyHeader: %s", path, further.Check())
		default:
			if b.base.APIs == nil {
				b.base.APIs = make(map[string]kind.API, len(list))
			}
			b.base.APIs[api.Name] = further
		}
	}
}

// endsInChat reports whether a path is that of chat completions.
func endsInChat(path string) bool {
	u, err := upstream.ParsePath(path)
	return err == nil && kind.Sibling(u, llmprovider.ChatSuffix, "") != nil
}

func isPath(path string) bool {
	_, err := upstream.ParsePath(path)
	return err == nil
}
