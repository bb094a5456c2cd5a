package detect

import (
	"bytes"
	"cmp"
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxRegex bounds a regular expression, in bytes.
const maxRegex = 4096

// Regex returns the detector of a regular expression in Go's syntax, whose matches are of
// the category. Default: regex. Errors do not repeat the expression.
func Regex(expression, category string) (*Detector, error) {
	if len(expression) > maxRegex {
		return nil, errors.New("the regular expression is longer than 4096 bytes; split it into several")
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		// The error repeats a part of the expression, which may be what is to be kept
		// secret; its code says enough.
		var syntaxError *syntax.Error
		if errors.As(err, &syntaxError) {
			return nil, errors.New("the regular expression is not one that Go takes: " + syntaxError.Code.String() + "; see https://pkg.go.dev/regexp/syntax")
		}
		return nil, errors.New("the regular expression is not one that Go takes; see https://pkg.go.dev/regexp/syntax")
	}
	if re.Match(nil) {
		return nil, errors.New("the regular expression matches empty text, so it would match everything; write what must be there")
	}
	d := &Detector{Category: cmp.Or(category, "regex")}
	if parsed, err := syntax.Parse(expression, syntax.Perl); err == nil {
		if all, ok := required(parsed.Simplify()); ok {
			d.perhaps = func(t *Text) bool { return t.hasOne(all) }
		}
	}
	d.Each = func(b []byte, f func(start, end int) bool) bool {
		at := re.FindIndex(b)
		switch {
		case at == nil:
			return true
		case at[1] > at[0] && !f(at[0], at[1]):
			return false
		}
		for _, at = range re.FindAllIndex(b, -1)[1:] {
			if at[1] > at[0] && !f(at[0], at[1]) {
				return false
			}
		}
		return true
	}
	return d, nil
}

// literal is text that a match must contain.
type literal struct {
	text []byte
	fold bool // in any case; text is in lower case then
}

// maxLiterals bounds the alternatives that are looked for before a regular expression
// is run.
const maxLiterals = 16

// required returns texts of which each match contains one, if there are such.
func required(re *syntax.Regexp) ([]literal, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		l := literal{text: []byte(string(re.Rune)), fold: re.Flags&syntax.FoldCase != 0}
		if l.fold {
			l.text = []byte(strings.ToLower(string(re.Rune)))
			for _, c := range l.text {
				if c >= utf8.RuneSelf {
					return nil, false // folding goes beyond lower case there
				}
			}
		}
		return []literal{l}, !bytes.ContainsRune(l.text, utf8.RuneError) // which stands for any invalid byte
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []literal
		for _, sub := range re.Sub {
			if all, ok := required(sub); ok && shortest(all) > shortest(best) {
				best = all
			}
		}
		return best, best != nil
	case syntax.OpAlternate:
		var union []literal
		for _, sub := range re.Sub {
			all, ok := required(sub)
			if union = append(union, all...); !ok || len(union) > maxLiterals {
				return nil, false
			}
		}
		return union, true
	}
	return nil, false
}

func shortest(all []literal) int {
	n := 0
	for i := range all {
		if i == 0 || len(all[i].text) < n {
			n = len(all[i].text)
		}
	}
	return n
}
