package receive

import (
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// moreStatuses are statuses of errors inside responses that have status 200, by code
// or type, beside those that dialect knows.
var moreStatuses = map[string]int{
	"BadRequestError": 400, "bad_request": 400, "bad_request_error": 400, "invalid_request": 400, "invalid_parameter_error": 400, "InvalidParameter": 400,
	"content_policy_violation": 400, "data_inspection_failed": 400, "DataInspectionFailed": 400, "string_above_max_length": 400, "ContextWindowExceededError": 400,
	"invalid_value": 400, "validation_error": 422, "unprocessable_entity": 422, "NotFoundError": 404,
	"RateLimitError": 429, "too_many_requests": 429, "Throttling": 429,
}

// ErrorStatus returns the status that a provider's error inside a response would have
// had: what it says itself, as a number or by its code or type, else 502.
func ErrorStatus(data []byte) int {
	for _, path := range [...]string{
		"error.code", "error.status", "error.status_code", "error.http_status", "code", "status", "status_code", "response.error.code",
	} {
		switch v := gjson.GetBytes(data, path); v.Type {
		case gjson.Number, gjson.String:
			if n, err := strconv.Atoi(v.String()); err == nil && n >= 400 && n <= 599 {
				return n
			}
		}
	}
	for _, path := range [...]string{"error.code", "error.type", "code", "type", "response.error.code"} {
		if n := moreStatuses[gjson.GetBytes(data, path).Str]; n != 0 {
			return n
		}
	}
	if e := gjson.GetBytes(data, "response.error"); e.IsObject() { // of the Responses API
		data = []byte(e.Raw)
	}
	if status := dialect.ReadError(0, data).Status; status != 0 {
		return status
	}
	return http.StatusBadGateway
}
