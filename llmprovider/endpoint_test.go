package llmprovider

import (
	"net/http"
	"strings"
	"testing"
)

func TestEndpointOfPath(t *testing.T) {
	for _, test := range []struct {
		method, path string
		want         Endpoint
	}{
		{"POST", "/", Endpoint{Chat, ""}},
		{"POST", "", Endpoint{Chat, ""}},
		{"GET", "/", Endpoint{Chat, ""}},
		{"POST", "/anything", Endpoint{Chat, ""}},
		{"POST", "/api/v3/generate", Endpoint{Chat, ""}},
		{"POST", "/v1", Endpoint{Chat, ""}},
		{"POST", "/v1/", Endpoint{Chat, ""}},
		{"POST", "/v1/chat/completions", Endpoint{Chat, ""}},
		{"POST", "/v1/chat/completions/", Endpoint{Chat, ""}},
		{"POST", "/chat/completions", Endpoint{Chat, ""}},
		{"POST", "/compatible-mode/v1/chat/completions", Endpoint{Chat, ""}},
		{"GET", "/v1/chat/completions", Endpoint{Chat, ""}},
		{"POST", "/v1/unknown", Endpoint{Chat, ""}},
		{"POST", "/v1/filesystem", Endpoint{Chat, ""}},
		{"POST", "/v1beta/files", Endpoint{Chat, ""}},
		{"POST", "/files", Endpoint{Chat, ""}},
		{"POST", "/xcompletions", Endpoint{Chat, ""}},
		{"OPTIONS", "*", Endpoint{Chat, ""}},

		{"POST", "/v1/completions", Endpoint{TextCompletion, "/completions"}},
		{"POST", "/completions/", Endpoint{TextCompletion, "/completions"}},
		{"POST", "/v1/engines/davinci/completions", Endpoint{TextCompletion, "/completions"}},
		{"POST", "/v1/responses", Endpoint{Responses, "/responses"}},
		{"POST", "/compatible-mode/v1/embeddings", Endpoint{Embeddings, "/embeddings"}},
		{"GET", "/v1/embeddings", Endpoint{Embeddings, "/embeddings"}},
		{"POST", "/rerank", Endpoint{Rerank, "/rerank"}},
		{"POST", "/v1/moderations", Endpoint{Moderations, "/moderations"}},
		{"POST", "/v1/images/generations", Endpoint{Images, "/images/generations"}},
		{"POST", "/v1/images/edits", Endpoint{Images, "/images/edits"}},
		{"POST", "/v1/images/variations", Endpoint{Images, "/images/variations"}},
		{"POST", "/v1/audio/speech", Endpoint{Audio, "/audio/speech"}},
		{"POST", "/v1/audio/transcriptions", Endpoint{Audio, "/audio/transcriptions"}},
		{"POST", "/v1/audio/translations", Endpoint{Audio, "/audio/translations"}},

		{"GET", "/v1/models", Endpoint{ListModels, "/models"}},
		{"GET", "/v1/models/", Endpoint{ListModels, "/models"}},
		{"GET", "/models", Endpoint{ListModels, "/models"}},
		{"HEAD", "/compatible-mode/v1/models", Endpoint{ListModels, "/models"}},
		{"GET", "/v1/models/gpt-4o", Endpoint{ListModels, "/models/gpt-4o"}},
		{"GET", "/v1/models/meta-llama/Llama-3", Endpoint{ListModels, "/models/meta-llama/Llama-3"}},
		{"GET", "/models/gpt-4o", Endpoint{ListModels, "/models/gpt-4o"}},
		{"HEAD", "/models/meta-llama/Llama-3/", Endpoint{ListModels, "/models/meta-llama/Llama-3"}},
		{"GET", "/models/a/v1/models/b", Endpoint{ListModels, "/models/a/v1/models/b"}},
		{"POST", "/models/gpt-4o", Endpoint{Chat, ""}},
		{"GET", "/v1/models/ft:x/models", Endpoint{ListModels, "/models/ft:x/models"}},
	} {
		got, err := EndpointOf(test.method, test.path)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
		} else if got != test.want {
			t.Errorf("%s %s is %+v, want %+v", test.method, test.path, got, test.want)
		}
	}
}

func TestEndpointsThatAreNotRouted(t *testing.T) {
	for _, test := range []struct{ method, path, api string }{
		{"POST", "/v1/assistants", "assistants"}, {"GET", "/v1/assistants/a1", "assistants"}, {"POST", "/v1/batches", "batches"},
		{"POST", "/v1/files", "files"}, {"GET", "/v1/files/f1/content", "files"}, {"POST", "/compatible-mode/v1/files/", "files"},
		{"POST", "/v1/fine_tuning/jobs", "fine_tuning"}, {"POST", "/v1/threads/t/runs", "threads"}, {"GET", "/v1/vector_stores", "vector_stores"},
		{"POST", "/v1/uploads", "uploads"}, {"POST", "/v1/realtime/sessions", "realtime"}, {"POST", "/v1/evals", "evals"}, {"POST", "/v1/videos", "videos"},
		{"POST", "/v1/conversations", "conversations"}, {"POST", "/v1/containers", "containers"}, {"GET", "/v1/organization/usage", "organization"},
		{"GET", "/v1/responses/r1", "responses"}, {"POST", "/v1/responses/r1/cancel", "responses"}, {"GET", "/v1/chat/completions/c1", "chat"},
		{"DELETE", "/v1/models/m", "models"}, {"POST", "/v1/models", "models"}, {"POST", "/v1/audio/voices", "audio"}, {"POST", "/v1/images/unknown", "images"},
	} {
		_, err := EndpointOf(test.method, test.path)
		if err == nil {
			t.Errorf("%s %s is routed", test.method, test.path)
			continue
		}
		if err.Status != http.StatusNotFound || err.Code != "unsupported_endpoint" || err.Type != TypeInvalidRequest {
			t.Errorf("%s %s: %d %s %s", test.method, test.path, err.Status, err.Type, err.Code)
		}
		if !strings.Contains(err.Message, test.method) || !strings.Contains(err.Message, "the "+test.api+" API") {
			t.Errorf("%s %s: the message is %q", test.method, test.path, err.Message)
		}
	}
}

func TestWhatAppliesToAnEndpoint(t *testing.T) {
	for operation, want := range map[Operation]struct{ generates, asksUsage, multipart bool }{
		Chat: {true, true, false}, TextCompletion: {true, true, false}, Responses: {true, false, false}, Embeddings: {}, Images: {multipart: true},
		Audio: {multipart: true}, Rerank: {}, Moderations: {}, ListModels: {},
	} {
		e := Endpoint{Operation: operation}
		got := struct{ generates, asksUsage, multipart bool }{e.generates(), e.asksStreamUsage(), e.multipart()}
		if got != want {
			t.Errorf("%s: %+v, want %+v", operation, got, want)
		}
	}
}
