package dialect

import (
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Invalid returns the error for a request that has another form than the client's
// API documents. field is a path from a table, such as messages[].content, and want
// what stands there in a valid request.
func Invalid(field, want string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "invalid_value", Param: field,
		Message: field + " must be " + want + ", so the request cannot be translated for the provider of this model",
	}
}
