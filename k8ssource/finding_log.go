package k8ssource

import (
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute"
)

// FindingLog logs what is wrong with objects, once for as long as it is so. The
// zero value has logged nothing. It is not safe for concurrent use.
type FindingLog struct {
	logged map[llmroute.Finding]bool
}

// Log logs those findings that were not among the last ones.
func (l *FindingLog) Log(logger *zap.Logger, findings []llmroute.Finding) {
	seen := make(map[llmroute.Finding]bool, len(findings))
	for _, f := range findings {
		unplaced := f
		unplaced.Origin = "" // an object that only moved is not new
		seen[unplaced] = true
		if l.logged[unplaced] {
			continue
		}
		fields := []zap.Field{zap.String("object", f.Object), zap.String("origin", f.Origin), zap.String("reason", f.Reason), zap.String("message", f.Message)}
		if f.Used {
			logger.Warn("object is used, but something is wrong with it", fields...)
		} else {
			logger.Error("object is not used", fields...)
		}
	}
	l.logged = seen
}
