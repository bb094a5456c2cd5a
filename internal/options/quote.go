package options

import (
	"regexp"
	"strconv"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// plainWord is the form of words that an error may repeat: names of options, hosts and
// models, numbers and durations, with what is easily typed wrong.
var plainWord = regexp.MustCompile(`^(@?[A-Za-z0-9_.,:*/{}+-]{0,64}|[A-Za-z-]{1,16} [A-Za-z-]{1,16})$`)

// Quoted is a word of the Caddyfile as an error repeats it. One that may be a key or hold
// a password is not repeated: errors get into logs.
func Quoted(word string) string {
	if !repeatable(word) {
		return "a text that is not shown"
	}
	return strconv.Quote(word)
}

// Unquoted is like Quoted, without the quotes.
func Unquoted(word string) string {
	if !repeatable(word) {
		return "a text that is not shown"
	}
	return word
}

// repeatable reports whether a word may be repeated. What URLs hold before the host or in
// their queries is in no plain word.
func repeatable(word string) bool {
	return plainWord.MatchString(word) && !upstream.LooksLikeKey(word)
}
