package prompt

import (
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// places are where the requests of an API have the texts that a prompt adds to.
type places struct {
	// list is the member with the conversation.
	list string
	// system is the member with the system prompt, empty if that is in the list.
	system string
	// instead is another name of system.
	instead string
	// optional says that a request may have no list.
	optional bool
	// text says that the list may be the text of one message of the user's, and single that
	// it may be one message.
	text, single bool
	// parts says that the system prompt is an object with parts, and blocks that it may be
	// a list of them.
	parts, blocks bool
}

// The places of the APIs:
// https://platform.openai.com/docs/api-reference/chat/create,
// https://platform.openai.com/docs/api-reference/responses/create,
// https://docs.anthropic.com/en/api/messages and
// https://ai.google.dev/api/generate-content.
var (
	inChat      = &places{list: "messages"}
	inResponses = &places{list: "input", system: "instructions", optional: true, text: true}
	inMessages  = &places{list: "messages", system: "system", blocks: true}
	inGemini    = &places{list: "contents", system: "systemInstruction", instead: "system_instruction", single: true, parts: true}
)

// placesOf returns the places of the requests of an endpoint, nil if it has no
// conversation. The tokens of a request are counted with what will be added to it, but for
// those of Google's API, where what counts them takes no system prompt. What compacts a
// conversation gets nothing, since each request after it has the same added again.
func placesOf(e llmprovider.Endpoint) *places {
	generates := e.Operation == llmprovider.Chat
	switch {
	case e.API == llmprovider.GeminiAPI && generates:
		return inGemini
	case e.API == llmprovider.MessagesAPI && (generates || e.Operation == llmprovider.CountTokens):
		return inMessages
	case e.API != llmprovider.OpenAIAPI:
	case generates:
		return inChat
	case e.Operation == llmprovider.Responses && e.Suffix != llmprovider.CompactSuffix, e.Operation == llmprovider.CountTokens:
		return inResponses
	}
	return nil
}

// message appends a message in the form of the API.
func (p *places) message(dst []byte, role, text string) []byte {
	if p == inGemini {
		if role == RoleAssistant {
			role = "model"
		}
		dst = append(append(append(dst, `{"role":"`...), role...), `","parts":[{"text":`...)
		return append(jsonscan.AppendString(dst, text), `}]}`...)
	}
	dst = append(append(append(dst, `{"role":"`...), role...), `","content":`...)
	return append(jsonscan.AppendString(dst, text), '}')
}

// block returns a part of a system prompt.
func (p *places) block(text string) []byte {
	open := `{"type":"text","text":`
	if p.parts {
		open = `{"text":`
	}
	return append(jsonscan.AppendString([]byte(open), text), '}')
}

// messages returns the messages in the form of the API, with commas between them. Neighbours
// of the role system are one message: templates of some models take no second one.
func (p *places) messages(all []text, system string) []byte {
	var out []byte
	for i := 0; i < len(all); i++ {
		role, content := all[i].role, all[i].text
		if role == RoleSystem {
			for ; i+1 < len(all) && all[i+1].role == RoleSystem; i++ {
				content += separator + all[i+1].text
			}
			role = system
		}
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = p.message(out, role, content)
	}
	return out
}

// separator stands between texts of one system prompt.
const separator = "\n\n"

// split takes the texts of the role system out of all, and returns them as one.
func split(all []text) (system string, others []text) {
	for _, t := range all {
		switch {
		case t.role != RoleSystem:
			others = append(others, t)
		case system == "":
			system = t.text
		default:
			system += separator + t.text
		}
	}
	return system, slices.Clip(others)
}
