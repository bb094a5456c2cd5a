package grant

import (
	"encoding/hex"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// Counted is what the counter of a Call counts, for stores whose rules, or whose keys, are
// made by somebody else.
type Counted struct {
	Limit  string
	Unit   string        // as it was configured, such as tokens
	Window string        // as it was configured: a duration or a period of the calendar
	Start  int64         // of the window, in seconds since 1970; 0 for a bucket
	Length time.Duration // of the window, 0 for a bucket
	Hash   string        // of the values of the limit's key

	// Combination is the values of the limit's key as package tuple writes them, and Parts how
	// many they are. Values reads them.
	Combination string
	Parts       int
}

// Values returns the values of the limit's key: text of clients, among others. A long one is
// its SHA-256.
func (c *Counted) Values() []string {
	values := make([]string, c.Parts)
	rest := []byte(c.Combination)
	for i := range values {
		var hashed bool
		if values[i], hashed, rest = tuple.Next(rest); hashed {
			values[i] = "sha256:" + hex.EncodeToString([]byte(values[i]))
		}
	}
	return values
}
