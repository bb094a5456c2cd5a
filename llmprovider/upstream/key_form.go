package upstream

import (
	"regexp"
	"strings"
)

var (
	// keyForm is how keys and tokens begin.
	keyForm = regexp.MustCompile(`(?i)(^|[^a-z0-9])((sk|pk|rk|gsk)[-_]|xai-|aiza|hf_|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|a[ks]ia[0-9a-z]{12}|eyj[a-z0-9]|r8_|nvapi-|pplx-|bearer\b)`)
	// longForm is that of long texts of letters and digits at random.
	longForm = regexp.MustCompile(`[A-Za-z0-9]{20,}`)
)

// LooksLikeKey reports whether a text may be a key at the wrong place, which must not be
// repeated in messages. It takes many texts for keys that are none, and not every key
// for one.
func LooksLikeKey(s string) bool {
	if keyForm.MatchString(s) {
		return true
	}
	for _, run := range longForm.FindAllString(s, -1) {
		if len(run) >= 40 || strings.ContainsAny(run, "0123456789") {
			return true
		}
	}
	return false
}
