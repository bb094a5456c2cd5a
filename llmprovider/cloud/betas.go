package cloud

import (
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
)

// Betas are the betas of Anthropic's API that a cloud takes. A cloud refuses a request that
// names another one, and clients such as Claude Code name those of Anthropic's own service
// in each request.
type Betas struct {
	families []string
	logger   *zap.Logger

	mu   sync.Mutex
	left map[string]bool // that were logged
}

// maxLeft is how many betas are logged that are left out: their names are the clients'.
const maxLeft = 100

// The beta that clouds have for one of Anthropic's service.
const (
	advancedToolUse = "advanced-tool-use"
	toolSearch      = "tool-search-tool-2025-10-19"
)

// NewBetas returns the betas of these families: names without their dates, such as
// context-1m.
func NewBetas(families []string, logger *zap.Logger) *Betas {
	return &Betas{families: families, logger: logger, left: make(map[string]bool)}
}

// Of returns what of the client's headers anthropic-beta the cloud takes. The others are left
// out, which is logged once for each.
func (b *Betas) Of(headers []string) []string {
	var taken []string
	for _, value := range headers {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			family := familyOf(name)
			if family == advancedToolUse && slices.Contains(b.families, familyOf(toolSearch)) {
				family, name = familyOf(toolSearch), toolSearch
			}
			switch {
			case !slices.Contains(b.families, family):
				b.leave(name)
			case !slices.Contains(taken, name):
				taken = append(taken, name)
			}
		}
	}
	return taken
}

// familyOf is a beta's name without the date at its end: -2025-08-07, or -20250219.
func familyOf(name string) string {
	family := strings.TrimRight(name, "-0123456789")
	if date := name[len(family):]; len(date) < len("-20250219") || date[0] != '-' {
		return name
	}
	return family
}

func (b *Betas) leave(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.left[name] && len(b.left) < maxLeft {
		b.left[name] = true
		b.logger.Warn("a beta in the client's header anthropic-beta is not sent, because this cloud does not take it", zap.String("beta", name[:min(len(name), 100)]))
	}
}
