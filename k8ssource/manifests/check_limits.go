package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/caddy-llm/gateway/llmroute"
)

// checkLimits says what the limits of a Caddyfile cannot do: what the log says of them at startup.
// The adapter cannot, since Caddy takes no warnings from global options.
func checkLimits(out io.Writer, path string, text []byte, llm json.RawMessage, handlers []map[string]any) error {
	warnings, err := llmroute.CheckLimits(llm, handlers)
	if err != nil {
		return fmt.Errorf("%s: limits cannot be checked: %w", path, err)
	}
	for _, w := range warnings {
		about := w.Kind + " " + w.Name
		if len(w.Known) > 0 {
			about += "; those that exist: " + strings.Join(w.Known, ", ")
		}
		fmt.Fprintf(out, "%s: limit %s: warning: %s: %s: %s\n", limitOrigin(path, text, w.Limit), w.Limit, w.Reason, w.Message, about)
	}
	if len(warnings) > 0 {
		return fmt.Errorf("%s: warnings about limits: %d", path, len(warnings))
	}
	return nil
}

// limitOrigin returns where a Caddyfile defines a limit: the file and line, or the file alone if
// it is in an imported one.
func limitOrigin(path string, text []byte, name string) string {
	at := regexp.MustCompile(`(?m)^[ \t]*limit[ \t]+` + regexp.QuoteMeta(name) + `[ \t]*\{`).FindIndex(text)
	if at == nil {
		return path
	}
	return fmt.Sprintf("%s:%d", path, 1+bytes.Count(text[:at[0]], []byte("\n")))
}
