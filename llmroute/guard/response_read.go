package guard

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// readResponse reads the texts of a document of a response, or of an event of a stream.
func (t *text) readResponse(body []byte) {
	t.reset()
	r := reader{text: t, body: body, seen: roleAny, response: true}
	if body[0] != '{' {
		r.later(asContent, body, roleAssistant, 0)
	}
	r.responseMembers(body)
	r.finish()
}

// responseMembers reads the members of a response in any API.
func (r *reader) responseMembers(object []byte) {
	var room [24]byte
	for key, value := range jsonscan.Members(object) {
		r.responseMember(string(memberName(room[:0], key)), value)
		r.finish()
	}
}

// responseMember reads a member of a response. What is of no API is text all the same.
func (r *reader) responseMember(name string, value []byte) {
	switch name {
	case "choices", "candidates": // of chat completions and completions, and of Google's API
		i := 0
		for one := range jsonscan.Elements(value) {
			r.choiceNo = i
			if one[0] == '{' {
				r.choiceNo = number(jsonscan.Get(one, "index"), i)
			}
			r.choice(one)
			i++
		}
	case "output": // of the Responses API
		r.list(value, roleAssistant)
	case "item", "part", "contentblock": // of its events, and of Anthropic's
		r.later(asMessage, value, roleAssistant, 0)
	case "text": // in the Responses API also how it is to be written
		if value[0] == '{' {
			r.later(asData, value, roleAssistant, 0)
			return
		}
		r.later(asContent, value, roleAssistant, 0)
	case "content", "refusal":
		r.later(asContent, value, roleAssistant, 0)
	case "message", "response":
		if value[0] == '{' {
			r.responseMembers(value)
			return
		}
		r.later(asContent, value, roleAssistant, 0)
	case "arguments":
		r.later(asCall, value, roleAssistant, 0)
	case "data": // images, and numbers for texts
		for one := range jsonscan.Elements(value) {
			if jsonscan.Get(one, "b64_json") != nil || jsonscan.Get(one, "url") != nil {
				r.cannotRead(unreadableWords[partImage])
			}
		}
		r.later(asData, value, roleAssistant, 0)
	case "audio", "partialimageb64", "b64json":
		if !jsonscan.IsNull(value) {
			r.cannotRead(mediaWordOf(name))
		}
		r.later(asData, value, roleAssistant, 0)
	case "logprobs", "logprobsresult":
		r.logprobs(value)
	case "usage", "usagemetadata": // names of counts
		eachLeaf(value, func(leaf []byte) {
			if !isMachine(leaf) {
				r.later(asData, leaf, roleAssistant, 0)
			}
		})
	case "id", "object", "model", "modelversion", "systemfingerprint", "servicetier", "type", "role", "status", "stopreason", "finishreason", "itemid",
		"responseid", "callid", "obfuscation":
		if !isMachine(value) {
			r.later(asData, value, roleAssistant, 0)
		}
	default:
		r.later(asData, value, roleAssistant, 0)
	}
}

func mediaWordOf(name string) string {
	if name == "audio" {
		return unreadableWords[partAudio]
	}
	return unreadableWords[partImage]
}

// choice reads a choice of a chat completion, or a candidate of Google's.
func (r *reader) choice(value []byte) {
	if value[0] != '{' {
		r.later(asContent, value, roleAssistant, 0)
		r.finish()
		return
	}
	var room [24]byte
	for key, member := range jsonscan.Members(value) {
		switch name := string(memberName(room[:0], key)); name {
		case "message", "delta":
			r.tasks = append(r.tasks, task{how: asMessage, value: member, role: roleAssistant, name: "delta"})
		case "content":
			r.later(asMessage, member, roleAssistant, 0)
		case "text":
			r.later(asContent, member, roleAssistant, 0)
		case "logprobs", "logprobsresult":
			r.logprobs(member)
		case "finishreason":
			if !isMachine(member) {
				r.later(asData, member, roleAssistant, 0)
			}
		default:
			r.later(asData, member, roleAssistant, 0)
		}
		r.finish()
	}
}

// logprobs reads probabilities of tokens. In a response they repeat the text in pieces, of
// which nothing can be masked.
func (r *reader) logprobs(value []byte) {
	if s := string(value); r.response && s != "null" && s != "[]" && s != "{}" {
		r.cannotRead("log probabilities")
	}
	r.later(asData, value, roleAssistant, 0)
}

// maxMachine is the longest text that is taken for a name that machines read, in bytes.
const maxMachine = 128

// isMachine reports whether a value is no text but a name that machines read: an id, a
// model, a type.
func isMachine(value []byte) bool {
	if value[0] != '"' {
		return value[0] != '{' && value[0] != '['
	}
	inner := value[1 : len(value)-1]
	if len(inner) > maxMachine {
		return false
	}
	for _, c := range inner {
		if !detect.IsLetter(c) && !detect.IsDigit(c) && c != '-' && c != '_' && c != '.' && c != ':' && c != '/' {
			return false
		}
	}
	return true
}
