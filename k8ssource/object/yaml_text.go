package object

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// fixedYAML are the parser's texts without anything of the file.
	fixedYAML = regexp.MustCompile(`^(found|did not find|could not find|mapping|block|exceeded|control|incomplete|document contains|map merge requires|invalid (leading|trailing|length|Unicode)) ?[A-Za-z0-9 ,.'<>:%!\[\]{}-]*$`)
	// keyTwice is its text about a key that is there twice.
	keyTwice = regexp.MustCompile(`^key "([^"]*)" already set in map$`)
)

// YAMLText is what may be shown of an error of the YAML parser, which may repeat a part
// of the file.
func YAMLText(text string) string {
	switch {
	case strings.Contains(text, "unknown anchor"):
		return "a value begins with *, which refers to an anchor that is not there; write it in quotes"
	case keyTwice.MatchString(text):
		return fieldTwice(keyTwice.FindStringSubmatch(text)[1])
	case strings.Contains(text, "already set in map"):
		return "a field is there twice"
	case fixedYAML.MatchString(text):
		return Bounded(text)
	}
	return "a value, or the name of a field, is not one that YAML has here"
}

// fieldTwice says that a field is written twice.
func fieldTwice(field string) string {
	if field == "" {
		return "a field is there twice"
	}
	return fmt.Sprintf("the field %s is there twice", ShownName(field))
}
