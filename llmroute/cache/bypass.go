package cache

import (
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// reason is why a request is not cached, as logs, metrics and the header Cache-Status name
// it.
type reason string

// The reasons.
const (
	none           reason = ""
	byIdentity     reason = "identity"    // nobody knows who is calling
	byOperation    reason = "operation"   // images, sounds, forms
	byStored       reason = "stored"      // the provider stores the response
	byState        reason = "state"       // the response depends on what the provider has stored
	byTools        reason = "tools"       // the provider runs tools
	byMedia        reason = "media"       // files, sounds, and what is elsewhere
	byTemperature  reason = "temperature" // of more than is configured
	byNoStore      reason = "no-store"    // the client says so
	maxContentDeep        = 64
)

// bypass returns why the request is not cached, if it is not.
func bypass(cfg *Config, scope Scope, c *filter.Call) reason {
	in := c.Inbound
	switch in.Endpoint.Operation {
	case llmprovider.Chat, llmprovider.TextCompletion, llmprovider.Responses, llmprovider.CountTokens, llmprovider.Embeddings, llmprovider.Rerank,
		llmprovider.Moderations, llmprovider.Tokenize, llmprovider.Score, llmprovider.Classify, llmprovider.Pooling:
	default:
		return byOperation
	}
	switch {
	case !in.IsJSON():
		return byOperation
	case !identified(scope, c):
		return byIdentity
	}
	r := reading{api: in.Endpoint.API, temperature: 1}
	if !jsonscan.Object(in.Body(), r.member) {
		return byOperation
	}
	switch {
	case r.why != none:
		return r.why
	case in.Endpoint.Operation == llmprovider.Responses && !r.notStored:
		return byStored // the API's default
	case cfg.MaxTemperature != nil && generates(in.Endpoint.Operation) && !(r.temperature <= *cfg.MaxTemperature):
		return byTemperature
	}
	return none
}

// generates reports whether a temperature means something to the operation.
func generates(o llmprovider.Operation) bool {
	return o == llmprovider.Chat || o == llmprovider.TextCompletion || o == llmprovider.Responses
}

// reading finds what in a request's body speaks against caching it. Of members that are
// there twice, or in two writings, each counts.
type reading struct {
	api         llmprovider.API
	why         reason
	notStored   bool
	temperature float64
	warm        bool // temperature was read
}

func (r *reading) note(why reason) {
	if r.why == none {
		r.why = why
	}
}

// member reads a member of the body.
func (r *reading) member(quoted, value []byte) {
	if jsonscan.IsNull(value) {
		return
	}
	switch string(jsonscan.Folded(jsonscan.Plain(quoted))) {
	case "store":
		if string(value) == "false" {
			r.notStored = true
		} else {
			r.note(byStored)
		}
	case "background":
		if string(value) != "false" {
			r.note(byState)
		}
	case "previousresponseid", "conversation", "cachedcontent", "container", "threadid", "sessionid":
		r.note(byState)
	case "prompt":
		if value[0] == '{' { // one that the provider has; it may be changed there
			r.note(byState)
		}
	case "tools":
		for tool := range jsonscan.Elements(value) {
			r.tool(tool)
		}
	case "websearchoptions", "searchparameters", "plugins", "mcpservers", "enablesearch", "datasources":
		r.note(byTools)
	case "temperature":
		r.heat(value)
	case "generationconfig":
		for quoted, value := range jsonscan.Members(value) {
			switch string(jsonscan.Folded(jsonscan.Plain(quoted))) {
			case "temperature":
				r.heat(value)
			case "responsemodalities":
				r.modalities(value)
			}
		}
	case "modalities":
		r.modalities(value)
	case "audio":
		r.note(byMedia)
	case "messages", "input", "contents", "content", "system", "systeminstruction", "instructions", "requests", "documents", "query":
		r.content(value, 0)
	}
}

func (r *reading) heat(value []byte) {
	t, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		t = 2 * maxTemperature // of more than any bound
	}
	if r.temperature = max(t, r.temperature); !r.warm {
		r.temperature, r.warm = t, true
	}
}

func (r *reading) modalities(value []byte) {
	for one := range jsonscan.Elements(value) {
		if strings.EqualFold(jsonscan.Text(one), "audio") {
			r.note(byMedia)
		}
	}
}

// clientTools are the beginnings of the types of those tools in Anthropic's API, beside custom ones, that
// the client runs.
var clientTools = [...]string{"bash_", "text_editor_", "computer_", "memory_"}

// tool reads one of the tools: the client has to run it.
func (r *reading) tool(tool []byte) {
	if r.api == llmprovider.GeminiAPI {
		for quoted, value := range jsonscan.Members(tool) {
			if string(jsonscan.Folded(jsonscan.Plain(quoted))) != "functiondeclarations" && !jsonscan.IsNull(value) {
				r.note(byTools)
			}
		}
		return
	}
	for quoted, value := range jsonscan.Members(tool) {
		if string(jsonscan.Folded(jsonscan.Plain(quoted))) != "type" || jsonscan.IsNull(value) {
			continue
		}
		switch kind := jsonscan.Text(value); kind {
		case "function", "custom":
		default:
			ours := false
			for _, begin := range clientTools {
				ours = ours || r.api == llmprovider.MessagesAPI && strings.HasPrefix(kind, begin)
			}
			if !ours {
				r.note(byTools)
			}
		}
	}
}

// content reads a conversation, a message of it, or a part.
func (r *reading) content(value []byte, depth int) {
	if depth > maxContentDeep {
		r.note(byMedia)
		return
	}
	switch value[0] {
	case '[':
		for one := range jsonscan.Elements(value) {
			if one[0] == '[' || one[0] == '{' {
				r.content(one, depth+1)
			}
		}
	case '{':
		for quoted, value := range jsonscan.Members(value) {
			if !jsonscan.IsNull(value) {
				r.part(string(jsonscan.Folded(jsonscan.Plain(quoted))), value, depth)
			}
		}
	}
}

// part reads a member of a message, or of a part of one.
func (r *reading) part(name string, value []byte, depth int) {
	switch name {
	case "input", "args", "arguments", "response", "annotations", "citations", "cachecontrol", "metadata":
		// what tools are called with and say, and where texts are from
	case "type":
		switch jsonscan.Text(value) {
		case "file", "input_file", "input_audio", "audio", "audio_url", "video_url", "input_video", "container_upload", "item_reference":
			r.note(byMedia)
		}
	case "fileid", "fileuri", "fileurl", "filedata", "inputaudio", "audio", "containerid":
		r.note(byMedia)
	case "url", "imageurl":
		if jsonscan.IsString(value) {
			if url := jsonscan.Text(value); len(url) < 5 || !strings.EqualFold(url[:5], "data:") { // what is there may change
				r.note(byMedia)
			}
			return
		}
		r.content(value, depth+1)
	case "mimetype", "mediatype":
		kind := strings.ToLower(jsonscan.Text(value))
		if strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") {
			r.note(byMedia)
		}
	default:
		if value[0] == '[' || value[0] == '{' {
			r.content(value, depth+1)
		}
	}
}
