package limithttp

import (
	"strconv"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/limit"
)

// writeHeaders tells the client where it stands: in the headers of the API that it
// speaks, and in those of draft-ietf-httpapi-ratelimit-headers-11. Of several limits
// it is the one with the least share left.
func (s *step) writeHeaders() {
	c := s.call
	for _, name := range s.headers { // of another provider
		delete(c.Header, name)
	}
	s.headers = s.headers[:0]
	if llmprovider.APIOf(c.Request.URL.Path) == llmprovider.MessagesAPI {
		s.write(anthropicHeaders, c.Time)
	} else {
		s.write(openAIHeaders, time.Time{})
	}
	least, ok := s.r.Least()
	if !ok {
		return
	}
	unit, scale := "", int64(1)
	switch least.Unit {
	case limit.UnitRequests:
	case limit.UnitCost: // structured fields have whole numbers of at most 15 digits
		unit, scale = `;qu="micro-units"`, limit.Nano/1e6
	default:
		unit = `;qu="tokens"`
	}
	name := `"` + least.Limit + `"`
	policy := name + ";q=" + integer(least.Amount/scale) + unit
	if least.Length > 0 {
		policy += ";w=" + integer(int64(least.Length/time.Second))
	}
	s.set("Ratelimit-Policy", policy)
	s.set("Ratelimit", name+";r="+integer(least.Remaining/scale)+";t="+integer(seconds(least.Reset)))
}

// integer writes a number as a structured field may have it: RFC 9651, section 3.3.1.
func integer(n int64) string { return strconv.FormatInt(min(n, 999_999_999_999_999), 10) }

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// headerNames are those of one kind of unit, as they stand in a http.Header.
type headerNames struct {
	units                   []limit.Unit
	limit, remaining, reset string
}

var (
	openAIHeaders = []headerNames{
		{[]limit.Unit{limit.UnitRequests}, "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
		{[]limit.Unit{limit.UnitTokens, limit.UnitInput, limit.UnitOutput}, "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	}
	anthropicHeaders = []headerNames{
		{[]limit.Unit{limit.UnitRequests}, "Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
		{[]limit.Unit{limit.UnitTokens}, "Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
		{[]limit.Unit{limit.UnitInput}, "Anthropic-Ratelimit-Input-Tokens-Limit", "Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset"},
		{[]limit.Unit{limit.UnitOutput}, "Anthropic-Ratelimit-Output-Tokens-Limit", "Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset"},
	}
)

// write writes the headers of an API. The reset is a duration, or with a time from
// which it counts, a time.
func (s *step) write(names []headerNames, from time.Time) {
	for i := range names {
		n := &names[i]
		least, ok := s.r.Least(n.units...)
		if !ok {
			continue
		}
		reset := least.Reset.Round(time.Millisecond).String()
		if !from.IsZero() {
			reset = from.Add(least.Reset + time.Second - 1).UTC().Format(time.RFC3339)
		}
		s.set(n.limit, strconv.FormatInt(least.Amount, 10))
		s.set(n.remaining, strconv.FormatInt(least.Remaining, 10))
		s.set(n.reset, reset)
	}
}

// set sets a header of the response, whose name is canonical.
func (s *step) set(name, value string) {
	s.call.Header[name] = []string{value}
	s.headers = append(s.headers, name)
}
