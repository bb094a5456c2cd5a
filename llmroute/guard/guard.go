package guard

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// Action is what a guard did about a request or a response.
type Action string

// The actions.
const (
	Denied Action = "deny"
	Masked Action = "mask"
	Logged Action = "log"
	// Passed is that of what cannot be read and is let pass.
	Passed Action = "pass"
	// Failed is that of a guard whose service failed.
	Failed Action = "fail"
)

// The categories of what no pattern finds.
const (
	categoryUnreadable = "unreadable" // it cannot be read
	categoryTooLong    = "too_long"   // it is longer than maxHeld
)

// direction is what a guard looks at.
type direction = decide.Direction

const (
	onRequest  = decide.OnRequest
	onResponse = decide.OnResponse
)

// guard is a definition that is ready for use.
type guard struct {
	*Definition
	name       string
	deny, mask []*detect.Detector
	service    decide.Service // that decides elsewhere, nil without one
	decides    string         // the category of what it decides
	open       bool           // what it fails to decide about passes
	seen       role
}

// Check reports what is wrong with the guard of that name, if anything.
func Check(name string, d *Definition) error {
	if !categoryForm.MatchString(name) {
		return fmt.Errorf("%q is not the name of a guard; write letters, digits, _ and -, at most 32", name)
	}
	if err := d.Check(); err != nil {
		return fmt.Errorf("guard %s: %w", name, err)
	}
	return nil
}

func newGuard(name string, d *Definition, ask decide.Ask) (*guard, error) {
	if d == nil {
		return nil, fmt.Errorf("guard %s: it is null; write what it looks for", name)
	}
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("guard %s: %w", name, err)
	}
	g := &guard{Definition: d, name: name}
	g.seen, _ = rolesOf(d.Roles) // checked above
	switch {
	case d.Webhook != nil:
		g.service, g.decides, g.open = decide.NewWebhook(d.Webhook), categoryWebhook, d.Webhook.OnFailure == decide.FailureOpen
	case d.Moderation != nil:
		g.service, g.decides, g.open = decide.NewModerator(d.Moderation, ask), categoryModeration, d.Moderation.OnFailure == decide.FailureOpen
	case d.Judge != nil:
		j, err := decide.NewJudge(d.Judge, ask)
		if err != nil {
			return nil, fmt.Errorf("guard %s: %w", name, err)
		}
		g.service, g.decides, g.open = j, categoryJudge, d.Judge.OnFailure == decide.FailureOpen
	}
	for i := range d.Deny {
		found, _ := d.Deny[i].compile()
		g.deny = append(g.deny, found)
	}
	for i := range d.Mask {
		found, _ := d.Mask[i].compile()
		g.mask = append(g.mask, found)
	}
	return g, nil
}

// denies returns the category that the text is denied for, empty for none. skip reports
// whether what was found is of no account; nil for never.
func (g *guard) denies(t *text, skip func(start, end int) bool) string {
	for _, d := range g.deny {
		found := false
		t.each(d, func(start, end int) bool {
			found = skip == nil || !skip(start, end)
			return !found
		})
		if found {
			return d.Category
		}
	}
	return ""
}

// cut is a part of the body that is replaced.
type cut struct {
	start, end int
	with       string
}

// merged returns the cuts in order and without overlaps.
func merged(cuts []cut) []cut {
	if len(cuts) < 2 {
		return cuts
	}
	slices.SortStableFunc(cuts, func(a, b cut) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(len(b.with), len(a.with)))
	})
	out := cuts[:1]
	for _, c := range cuts[1:] {
		if last := &out[len(out)-1]; c.start < last.end {
			last.end = max(last.end, c.end)
			continue
		}
		out = append(out, c)
	}
	return out
}

// cutsOf adds what replaces the part of the text from start to end by word. What lies in
// several pieces is taken out of all of them, and the first has the word.
func (t *text) cutsOf(cuts []cut, start, end int, word string) []cut {
	i, _ := slices.BinarySearchFunc(t.pieces, start, func(p piece, at int) int { return cmp.Compare(p.end, at+1) })
	for ; i < len(t.pieces) && t.pieces[i].start < end; i++ {
		p := &t.pieces[i]
		if p.start == p.end {
			continue
		}
		from, to := t.locator.of(p, max(start, p.start), min(end, p.end))
		if !keep(t, &cuts, cut{from, to, p.written(word)}) {
			break
		}
		word = ""
	}
	return cuts
}

// written is a word as it is written in place of a part of the piece.
func (p *piece) written(word string) string {
	if word == "" || p.raw {
		return word
	}
	word = escaped(word)
	if p.number {
		word = `"` + word + `"`
	}
	if p.to > 0 {
		word = escaped(word)
	}
	return word
}

// escaped is a word as it stands in a JSON string.
func escaped(word string) string { return string(jsonscan.AppendEscaped(nil, word)) }

// spliced appends the body with the cuts made.
func spliced(dst, body []byte, cuts []cut) []byte {
	from := 0
	for _, c := range cuts {
		dst = append(dst, body[from:c.start]...)
		dst = append(dst, c.with...)
		from = c.end
	}
	return append(dst, body[from:]...)
}

// refusal is the error for a request or a response that the guard denies.
func (g *guard) refusal(of direction, category, what string) *llmprovider.Error {
	err := &llmprovider.Error{Status: g.Status, Type: llmprovider.TypePermission, Code: "content_policy"}
	if err.Status == 0 {
		err.Status = defaultStatus
	}
	advice := ""
	if of == onRequest {
		advice = "; leave that out"
	}
	switch {
	case category == categoryTooLong:
		err.Message = fmt.Sprintf("guard %s denies the %s (%s): it is longer than the %d MiB that guards look at", g.name, of, category, maxHeld>>20)
	case category == categoryWebhook, category == categoryModeration, category == categoryJudge:
		err.Message = fmt.Sprintf("guard %s denies the %s: its %s does not let it pass", g.name, of, category)
	case what != "":
		err.Message = fmt.Sprintf("guard %s denies the %s (%s): it has %s, which cannot be read as text%s", g.name, of, category, what, advice)
	default:
		err.Message = fmt.Sprintf("guard %s denies the %s: it has text of the category %s%s", g.name, of, category, advice)
	}
	return err
}
