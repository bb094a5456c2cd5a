// Package modellist has lists of models in the APIs of clients and providers: it reads what
// providers list, which it fetches, and writes what a client is told.
//
// It imports llmprovider. Begin with Read and Model, then List.
package modellist

import (
	"encoding/json"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Model is a model in a list.
type Model struct {
	ID string
	// Object is the model as the provider lists it, byte for byte, in the shape of API;
	// empty if it lists the name alone, or if the gateway's configuration names the
	// model.
	Object string
	API    llmprovider.API
	// Display is its name for people, and Created when it was made; empty if that is not
	// known.
	Display string
	Created time.Time
}

// In returns the model as an entry of a list in the shape of an API. owner is the
// provider's name.
func (m *Model) In(api llmprovider.API, owner string) string {
	if m.Object != "" && m.API == api {
		return m.Object
	}
	display := m.Display
	if display == "" {
		display = m.ID
	}
	var object any
	switch api {
	case llmprovider.MessagesAPI: // https://docs.anthropic.com/en/api/models-list
		created := m.Created // 0001 is not known, as there
		if created.IsZero() {
			created = time.Unix(0, 0).UTC()
		}
		object = struct {
			Type        string    `json:"type"`
			ID          string    `json:"id"`
			DisplayName string    `json:"display_name"`
			CreatedAt   time.Time `json:"created_at"`
		}{"model", m.ID, display, created}
	case llmprovider.GeminiAPI: // https://ai.google.dev/api/models
		object = struct {
			Name        string   `json:"name"`
			DisplayName string   `json:"displayName"`
			Methods     []string `json:"supportedGenerationMethods"`
		}{"models/" + m.ID, display, []string{"generateContent", "countTokens"}}
	default: // https://platform.openai.com/docs/api-reference/models
		created := int64(0)
		if !m.Created.IsZero() {
			created = m.Created.Unix()
		}
		object = struct {
			ID      string `json:"id"`
			Object  string `json:"object"`
			Created int64  `json:"created"`
			OwnedBy string `json:"owned_by"`
		}{m.ID, "model", created, owner}
	}
	text, _ := json.Marshal(object) // strings, numbers and times always marshal
	return string(text)
}

// Parts returns a list of models in the shape of an API, in parts. All of it is
// one page.
func Parts(api llmprovider.API, objects []string, first, last string) []string {
	begin, end := `{"object":"list","data":[`, "]}"
	switch api {
	case llmprovider.MessagesAPI:
		begin, end = `{"data":[`, `],"has_more":false,"first_id":`+nameOrNull(first)+`,"last_id":`+nameOrNull(last)+"}"
	case llmprovider.GeminiAPI:
		begin = `{"models":[`
	}
	parts := make([]string, 0, 2*len(objects)+2)
	parts = append(parts, begin)
	for i, object := range objects {
		if i > 0 {
			parts = append(parts, ",")
		}
		parts = append(parts, object)
	}
	return append(parts, end)
}

func nameOrNull(s string) string {
	if s == "" {
		return "null"
	}
	text, _ := json.Marshal(s) // a string always marshals
	return string(text)
}
