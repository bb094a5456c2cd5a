package gemini

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// logProbs returns the log probabilities of a candidate in the form of dialect.Event,
// or nil without any.
func logProbs(result dialect.JSON) dialect.JSON {
	if result == nil {
		return nil
	}
	var tops []dialect.JSON
	for step := range jsonscan.Elements(dialect.GetCamel(result, "topCandidates")) {
		tops = append(tops, dialect.GetCamel(step, "candidates"))
	}
	var out dialect.JSON
	n := 0
	for chosen := range jsonscan.Elements(dialect.GetCamel(result, "chosenCandidates")) {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(appendToken(out, chosen), `,"top_logprobs":[`...)
		if n < len(tops) {
			first := true
			for top := range jsonscan.Elements(tops[n]) {
				if !first {
					out = append(out, ',')
				}
				first = false
				out = append(appendToken(out, top), '}')
			}
		}
		out = append(out, `]}`...)
		n++
	}
	return out
}

// appendToken begins the object of a token.
func appendToken(dst []byte, candidate dialect.JSON) []byte {
	token, p := dialect.CamelString(candidate, "token"), dialect.GetCamel(candidate, "logProbability")
	if token == nil {
		token = dialect.JSON(`""`)
	}
	if p == nil {
		p = dialect.JSON("0") // of a certain token, which protobuf's JSON leaves out
	}
	dst = append(append(dst, `{"token":`...), token...)
	dst = append(append(dst, `,"logprob":`...), p...)
	return append(dst, `,"bytes":null`...)
}
