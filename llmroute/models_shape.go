package llmroute

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/llmprovider"
)

// listedModel is a model in a list.
type listedModel struct {
	id string
	// object is the model as the provider lists it, byte for byte, in the shape of api;
	// empty if it lists the name alone, or if the gateway's configuration names the
	// model.
	object string
	api    llmprovider.API
	// display is its name for people, and created when it was made; empty if that is not
	// known.
	display string
	created time.Time
}

// readModel reads an entry of a provider's list in any shape. It reports whether it is
// a model.
func readModel(entry gjson.Result) (m listedModel, ok bool) {
	switch {
	case entry.Type == gjson.String:
		return listedModel{id: entry.Str}, true
	case !entry.IsObject():
		return m, false
	}
	m.object = entry.Raw
	if name := entry.Get("name").Str; strings.HasPrefix(name, "models/") && !entry.Get("id").Exists() { // Google's
		m.id, m.api, m.display = strings.TrimPrefix(name, "models/"), llmprovider.GeminiAPI, entry.Get("displayName").Str
		return m, true
	}
	id := entry.Get("id")
	m.id, m.display = id.Str, entry.Get("display_name").Str
	if entry.Get("type").Str == "model" && !entry.Get("object").Exists() { // Anthropic's
		m.api = llmprovider.MessagesAPI
		m.created, _ = time.Parse(time.RFC3339, entry.Get("created_at").Str)
	} else if created := entry.Get("created").Int(); created > 0 {
		m.created = time.Unix(created, 0).UTC()
	}
	return m, id.Type == gjson.String
}

// modelsAPI returns the API in whose shape the client wants lists of models.
func (x *exchange) modelsAPI() llmprovider.API {
	if x.in.Endpoint.API == llmprovider.OpenAIAPI && x.r.Header.Get("Anthropic-Version") != "" {
		return llmprovider.MessagesAPI
	}
	return x.in.Endpoint.API
}

// shaped returns the model as an entry of a list in the shape of an API. owner is the
// provider's name.
func (m *listedModel) shaped(api llmprovider.API, owner string) string {
	if m.object != "" && m.api == api {
		return m.object
	}
	display := m.display
	if display == "" {
		display = m.id
	}
	var object any
	switch api {
	case llmprovider.MessagesAPI: // https://docs.anthropic.com/en/api/models-list
		created := m.created // 0001 is not known, as there
		if created.IsZero() {
			created = time.Unix(0, 0).UTC()
		}
		object = struct {
			Type        string    `json:"type"`
			ID          string    `json:"id"`
			DisplayName string    `json:"display_name"`
			CreatedAt   time.Time `json:"created_at"`
		}{"model", m.id, display, created}
	case llmprovider.GeminiAPI: // https://ai.google.dev/api/models
		object = struct {
			Name        string   `json:"name"`
			DisplayName string   `json:"displayName"`
			Methods     []string `json:"supportedGenerationMethods"`
		}{"models/" + m.id, display, []string{"generateContent", "countTokens"}}
	default: // https://platform.openai.com/docs/api-reference/models
		created := int64(0)
		if !m.created.IsZero() {
			created = m.created.Unix()
		}
		object = struct {
			ID      string `json:"id"`
			Object  string `json:"object"`
			Created int64  `json:"created"`
			OwnedBy string `json:"owned_by"`
		}{m.id, "model", created, owner}
	}
	text, _ := json.Marshal(object) // strings, numbers and times always marshal
	return string(text)
}

// modelListParts returns a list of models in the shape of an API, in parts. All of it is
// one page.
func modelListParts(api llmprovider.API, objects []string, first, last string) []string {
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

// errNoModel is the error for a model that the list has not.
func errNoModel(id string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "model_not_found", Param: "model",
		Message: "there is no model " + strconv.Quote(bounded(id)) + " here; GET /v1/models lists those there are",
	}
}
