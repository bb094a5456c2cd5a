package source

import (
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// maxLogged bounds how many new findings are logged at once, each in a line. What makes
// more of them, such as one field in a thousand rules, is seen by the first ones.
const maxLogged = 100

// FindingLog logs what is wrong with objects, once for as long as it is so. The
// zero value has logged nothing. It is not safe for concurrent use.
type FindingLog struct {
	logged map[spec.Finding]bool
}

// Log logs those findings that were not among the last ones, and of more than maxLogged
// how many others there are.
func (l *FindingLog) Log(logger *zap.Logger, findings []spec.Finding) {
	seen := make(map[spec.Finding]bool, len(findings))
	lines := 0
	for _, f := range findings {
		unplaced := f
		unplaced.Origin = "" // an object that only moved is not new
		if seen[unplaced] = true; l.logged[unplaced] {
			continue
		}
		if lines++; lines > maxLogged {
			continue
		}
		fields := []zap.Field{zap.String("object", f.Object), zap.String("origin", f.Origin), zap.String("reason", f.Reason), zap.String("message", f.Message)}
		if f.Used {
			logger.Warn("object is used, but something is wrong with it", fields...)
		} else {
			logger.Error("object is not used", fields...)
		}
	}
	if lines > maxLogged {
		logger.Error("more findings than are logged; GET /llm on the admin endpoint and `caddy llm check` list all of them", zap.Int("not_logged", lines-maxLogged))
	}
	l.logged = seen
}
