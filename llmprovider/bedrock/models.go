package bedrock

import (
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

// ModelLists implements llmprovider.ModelLister: the models that can be called by their
// own IDs, and the inference profiles of the region
// (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html,
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListInferenceProfiles.html).
// Mantle has OpenAI's list, below the same base as its chat completions
// (https://docs.aws.amazon.com/bedrock/latest/userguide/models-get-info.html).
func (p *Provider) ModelLists() ([]*url.URL, *llmprovider.Error) {
	if isMantle(p.Host) {
		models := kind.Sibling(p.further[""], llmprovider.ChatSuffix, llmprovider.ModelsSuffix)
		if models == nil {
			return nil, kind.Unplaced("path of api chat", llmprovider.ChatSuffix, llmprovider.ModelsSuffix)
		}
		return []*url.URL{models}, nil
	}
	root := p.controlPlane()
	models, profiles := llmprovider.Below(root, "/foundation-models", "byInferenceType=ON_DEMAND"), llmprovider.Below(root, "/inference-profiles", "maxResults=1000")
	return []*url.URL{models, profiles}, nil
}

// controlPlane returns the URL below which the lists are. AWS has them at another host than
// the models, which has the same signatures; a host of somebody else's has both.
func (p *Provider) controlPlane() *url.URL {
	host := strings.ToLower(p.Host)
	if !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn") {
		return p.root
	}
	service := "bedrock"
	if host == p.hostOf("bedrock-runtime-fips") {
		service = "bedrock-fips"
	}
	out := *p.root
	out.Host = p.hostOf(service)
	if port := p.root.Port(); port != "" {
		out.Host += ":" + port
	}
	out.Path, out.RawPath = "/", ""
	return &out
}
