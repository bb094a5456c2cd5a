package kind

import "github.com/caddy-llm/gateway/llmprovider"

// EditStreamOptions works out what becomes of the stream_options of a request that passes
// in an API of OpenAI's: they are removed if the configuration turned the stream off, and a
// stream of chat completions is asked for its usage, which a client that did not ask does
// not get.
func EditStreamOptions(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) {
	switch {
	case !in.IsJSON() || !in.Endpoint.TakesStream():
	case out.StreamForced:
		out.Edits.DropOptions = true
	case s.WithoutStreamOptions && !in.HasStreamOptions():
	case out.Stream && in.Endpoint.AsksStreamUsage() && !in.AsksUsage():
		out.Edits.IncludeUsage, out.HideUsage = true, true
	}
}
