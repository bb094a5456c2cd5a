package fakeprovider

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Default is the script of a new server: every POST gets a chat completion of
// a few words under the model it asked for (fake-model if none), as a stream
// when it asked for one, with 9 prompt and 12 completion tokens. A stream
// carries a usage chunk when the request asked for it. GET …/models lists one
// model.
func Default(_ int, r *Recorded) Reply {
	if r.Method == "GET" && strings.HasSuffix(r.Path, "/models") {
		return JSON(200, `{"object":"list","data":[{"id":"fake-model","object":"model","created":1700000000,"owned_by":"fake"}]}`)
	}
	model := r.Model
	if model == "" {
		model = "fake-model"
	}
	if r.Stream {
		u := Usage{Prompt: 9, Completion: 12}
		if r.IncludeUsage {
			return ChatStream(model, "Hello from the fake provider.", &u)
		}
		return ChatStream(model, "Hello from the fake provider.", nil)
	}
	return Chat(model, "Hello from the fake provider.", Usage{Prompt: 9, Completion: 12})
}

// Chat is a complete chat completion.
func Chat(model, text string, u Usage) Reply {
	return JSON(200, fmt.Sprintf(
		`{"id":"chatcmpl-fake","object":"chat.completion","created":1700000000,"model":%s,"choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],"usage":%s}`,
		quote(model), quote(text), u.json()))
}

// ChatStream is a chat completion as a stream, one event for each word, closed
// by a usage chunk without choices when u is not nil, and [DONE].
func ChatStream(model, text string, u *Usage) Reply {
	chunk := func(choices, rest string) string {
		return fmt.Sprintf("data: {\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":%s,\"choices\":[%s]%s}\n\n",
			quote(model), choices, rest)
	}
	null := ""
	if u != nil {
		null = `,"usage":null`
	}
	events := []string{chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, null)}
	for word := range strings.SplitAfterSeq(text, " ") {
		events = append(events, chunk(fmt.Sprintf(`{"index":0,"delta":{"content":%s},"finish_reason":null}`, quote(word)), null))
	}
	events = append(events, chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`, null))
	if u != nil {
		events = append(events, chunk("", `,"usage":`+u.json()))
	}
	return SSE(append(events, "data: [DONE]\n\n")...)
}

func (u Usage) json() string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, u.Prompt, u.Completion, u.Prompt+u.Completion)
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}
