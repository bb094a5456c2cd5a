package k8ssource

import (
	"fmt"
	"slices"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

// apis fills in the further APIs of the provider.
func (b *providerBuilder) apis() {
	list := b.object.Spec.APIs
	if len(list) > maxAPIs {
		b.fault(ReasonInvalidField, "spec.apis: "+tooMany, maxAPIs)
	}
	for i, api := range list {
		path := fmt.Sprintf("spec.apis[%d]", i)
		further := kind.API{Path: api.Path, KeyHeader: api.KeyHeader}
		_, twice := b.base.APIs[api.Name]
		switch {
		case api.Name == "":
			b.fault(ReasonInvalidField, "%s.name: a name is required; write messages or responses", path)
		case twice:
			b.fault(ReasonInvalidField, "spec.apis: an API is there twice; keep one of them")
		case api.Name != "messages" && api.Name != "responses":
			b.fault(ReasonInvalidField, "%s.name: there is no API of this name; write messages or responses", path)
		case b.out != nil && !slices.Contains(b.traits.APIs, api.Name):
			b.fault(ReasonInvalidField, "%s.name: providers of this kind have no such API beside their own; leave it out", path)
		case len(api.Path) > maxPath:
			b.fault(ReasonInvalidField, "%s.path: "+tooLong, path, maxPath)
		case api.Path != "" && !isPath(api.Path):
			b.fault(ReasonInvalidField, "%s.path: this is not a URL path; write one such as /anthropic/v1/messages", path)
		case api.Path == "" && b.base.Path != "" && !endsInChat(b.base.Path):
			b.fault(ReasonInvalidField, "%s.path: spec.path does not end in %s, so the place of this API is not known; write its path", path, llmprovider.ChatSuffix)
		case further.Check() != nil:
			b.fault(ReasonInvalidField, "%s.keyHeader: %s", path, further.Check())
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
	u, err := llmprovider.ParsePath(path)
	return err == nil && kind.Sibling(u, llmprovider.ChatSuffix, "") != nil
}

func isPath(path string) bool {
	_, err := llmprovider.ParsePath(path)
	return err == nil
}
