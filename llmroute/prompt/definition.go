// Package prompt adds the operator's text to requests before they are sent: messages
// before and after the conversation, and templates that clients name. It inserts them into
// the client's body where its API has a place for them, and leaves all other bytes alone.
//
// It imports llmprovider, its neighbour filter and internal/jsonscan. Begin with Definition
// and Filter; places says where an API has its texts, body makes the insertions, and
// template fills in what a client named.
package prompt

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Definition is one prompt: what is added to the requests of rules that name it.
type Definition struct {
	// What is put before the conversation. Messages of the role `system` go before the
	// client's own system prompt, or before all messages where the API has it among them.
	// Default: nothing.
	Prepend []Message `json:"prepend,omitempty"`

	// What is put after the conversation. Messages of the role `system` go after the
	// client's own system prompt, or after all messages where the API has it among them.
	// Default: nothing.
	Append []Message `json:"append,omitempty"`

	// Conversations by name. A client that sends the name as `template`, and an object of
	// values as `properties`, has that template's messages put before its own. In the
	// texts, `{{name}}` stands for the property of that name. Default: none.
	Templates map[string][]Message `json:"templates,omitempty"`
}

// Message is a text of a role: one of Content and File.
type Message struct {
	// Whose text it is: `system`, `user` or `assistant`. Required.
	Role string `json:"role"`

	// The text.
	Content string `json:"content,omitempty"`

	// A file with the text, at most 64 KiB, without the space around it. It is read when
	// the configuration is loaded. A relative path starts at Caddy's working directory.
	File string `json:"file,omitempty"`
}

// The roles of messages.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// Roles are the roles that a message may have.
var Roles = []string{RoleSystem, RoleUser, RoleAssistant}

// maxFile bounds the file of a Message, in bytes.
const maxFile = 64 << 10

// nameForm is what the name of a prompt or of a template may look like.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Check reports what is wrong with a prompt of that name, if anything. It reads no files.
func Check(name string, d *Definition) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is not the name of a prompt; write letters, digits, _ and -, at most 32", name)
	}
	if err := d.Check(); err != nil {
		return fmt.Errorf("prompt %s: %w", name, err)
	}
	return nil
}

// Check reports what is wrong with the prompt, if anything. It reads no files.
func (d *Definition) Check() error {
	if d == nil || len(d.Prepend) == 0 && len(d.Append) == 0 && len(d.Templates) == 0 {
		return errors.New("it adds nothing; write a prepend or an append line, or a template")
	}
	if err := checkMessages(d.Prepend); err != nil {
		return fmt.Errorf("prepend: %w", err)
	}
	if err := checkMessages(d.Append); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Templates)) {
		if !nameForm.MatchString(name) {
			return fmt.Errorf("%q is not the name of a template; write letters, digits, _ and -, at most 32", name)
		}
		if len(d.Templates[name]) == 0 {
			return fmt.Errorf("template %s has no messages; write at least one, such as: user \"Explain {{topic}}.\"", name)
		}
		if err := checkMessages(d.Templates[name]); err != nil {
			return fmt.Errorf("template %s: %w", name, err)
		}
	}
	return nil
}

func checkMessages(all []Message) error {
	for i := range all {
		m := &all[i]
		switch {
		case !slices.Contains(Roles, m.Role):
			return fmt.Errorf("there is no role %q; the roles are: %s", m.Role, strings.Join(Roles, ", "))
		case m.Content != "" && m.File != "":
			return fmt.Errorf("a %s message has both a text and a file; give it one of them", m.Role)
		case strings.TrimSpace(m.Content) == "" && m.File == "":
			return fmt.Errorf("a %s message is empty; write its text, or name a file", m.Role)
		}
	}
	return nil
}

// text is a Message with its text read.
type text struct {
	role, text string
}

// load returns the messages with what is in their files.
func load(all []Message) ([]text, error) {
	out := make([]text, 0, len(all))
	for i := range all {
		m := &all[i]
		content := m.Content
		if m.File != "" {
			raw, err := os.ReadFile(m.File)
			switch {
			case err != nil:
				return nil, fmt.Errorf("reading the text of a %s message: %w", m.Role, err)
			case len(raw) > maxFile:
				return nil, fmt.Errorf("the file %s is longer than %d KiB; shorten it", m.File, maxFile>>10)
			}
			if content = strings.TrimSpace(string(raw)); content == "" {
				return nil, fmt.Errorf("the file %s is empty; write the text of the %s message in it", m.File, m.Role)
			}
		}
		out = append(out, text{m.Role, strings.ToValidUTF8(content, "\uFFFD")})
	}
	return out, nil
}
