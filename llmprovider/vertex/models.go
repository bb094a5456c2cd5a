package vertex

import (
	"net/url"

	"github.com/caddy-llm/gateway/llmprovider"
)

// listed are the publishers whose models are listed: those that Vertex AI has an API of
// their own for. There is no list of all that a project may call.
var listed = []string{"google", "anthropic"}

// ModelLists implements llmprovider.ModelLister. The lists are the same for all projects
// (https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/publishers.models/list).
func (p *Provider) ModelLists() ([]*url.URL, *llmprovider.Error) {
	out := make([]*url.URL, len(listed))
	for i, publisher := range listed {
		out[i] = llmprovider.Below(p.catalog, "/publishers/"+publisher+llmprovider.ModelsSuffix, "pageSize=100")
	}
	return out, nil
}
