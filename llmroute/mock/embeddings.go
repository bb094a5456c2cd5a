package mock

import (
	"net/http"
	"strconv"
)

// answerEmbeddings sends the same small vector for each input.
func (m *Handler) answerEmbeddings(w http.ResponseWriter, req *request) {
	buf := getBuffer(&m.outs)
	defer putBuffer(&m.outs, buf)

	b := append(*buf, `{"object":"list","data":[`...)
	for i := range req.inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"object":"embedding","index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"embedding":`...)
		if req.base64 {
			b = append(b, '"')
			b = append(b, m.vector64...)
			b = append(b, '"')
		} else {
			b = append(b, m.vector...)
		}
		b = append(b, '}')
	}
	b = append(b, `],"model":`...)
	b = append(b, req.model...)
	prompt, _ := m.usage(req)
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(prompt), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(prompt), 10)
	*buf = append(b, `}}`...)
	writeJSON(w, http.StatusOK, *buf, nil, nil)
}

// moderationResult is the result for one input: nothing is ever flagged.
const moderationResult = `{"flagged":false,` +
	`"categories":{"harassment":false,"harassment/threatening":false,"sexual":false,"hate":false,` +
	`"hate/threatening":false,"illicit":false,"illicit/violent":false,"self-harm/intent":false,` +
	`"self-harm/instructions":false,"self-harm":false,"sexual/minors":false,"violence":false,"violence/graphic":false},` +
	`"category_scores":{"harassment":0.0,"harassment/threatening":0.0,"sexual":0.0,"hate":0.0,` +
	`"hate/threatening":0.0,"illicit":0.0,"illicit/violent":0.0,"self-harm/intent":0.0,` +
	`"self-harm/instructions":0.0,"self-harm":0.0,"sexual/minors":0.0,"violence":0.0,"violence/graphic":0.0},` +
	`"category_applied_input_types":{"harassment":["text"],"harassment/threatening":["text"],"sexual":["text"],"hate":["text"],` +
	`"hate/threatening":["text"],"illicit":["text"],"illicit/violent":["text"],"self-harm/intent":["text"],` +
	`"self-harm/instructions":["text"],"self-harm":["text"],"sexual/minors":["text"],"violence":["text"],"violence/graphic":["text"]}}`

// answerModerations finds nothing wrong with each input.
func (m *Handler) answerModerations(w http.ResponseWriter, req *request, id uint64) {
	buf := getBuffer(&m.outs)
	defer putBuffer(&m.outs, buf)

	b := append(*buf, `{"id":"`...)
	b = appendID(b, "modr-", id)
	b = append(b, `","model":`...)
	b = append(b, req.model...)
	b = append(b, `,"results":[`...)
	for i := range req.inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, moderationResult...)
	}
	*buf = append(b, `]}`...)
	writeJSON(w, http.StatusOK, *buf, nil, nil)
}
