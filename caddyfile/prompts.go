package caddyfile

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/prompt"
)

// parsePrompt reads:
//
//	prompt <name> {
//		prepend  system|user|assistant <text>
//		prepend  system_file|user_file|assistant_file <file>
//		append   <the same>
//		template <name> {
//			system|user|assistant <text>
//			system_file|user_file|assistant_file <file>
//		}
//	}
//
// Each line is one message, and may be repeated. All options set the fields of
// prompt.Definition.
func parsePrompt(d *caddyfile.Dispenser, app *llmroute.App) error {
	at := options.Here(d)
	if !d.NextArg() {
		return d.Errf("prompt needs a name; expected: prompt NAME { ... }")
	}
	name := d.Val()
	if d.NextArg() {
		return d.Errf("prompt takes one name, got %s as well; its options go into a block", options.Quoted(d.Val()))
	}
	if app.Prompts[name] != nil {
		return d.Errf("prompt %s is defined twice; give each prompt a different name", options.Quoted(name))
	}
	def := new(prompt.Definition)
	if err := options.Parse(d, "prompt", promptOptions(def)); err != nil {
		return err
	}
	if err := prompt.Check(name, def); err != nil {
		return at.WrapErr(err)
	}
	if app.Prompts == nil {
		app.Prompts = make(map[string]*prompt.Definition)
	}
	app.Prompts[name] = def
	return nil
}

func promptOptions(def *prompt.Definition) []options.Option {
	return []options.Option{
		{Name: "prepend", Parse: func(d *caddyfile.Dispenser) error { return parseAddition(d, "prepend", &def.Prepend) }},
		{Name: "append", Parse: func(d *caddyfile.Dispenser) error { return parseAddition(d, "append", &def.Append) }},
		{Name: "template", Parse: func(d *caddyfile.Dispenser) error { return parseTemplate(d, def) }, Block: true},
	}
}

// roleFile is what follows a role in the name of what takes the text from a file.
const roleFile = "_file"

// parseAddition reads the role and the text of what is prepended or appended.
func parseAddition(d *caddyfile.Dispenser, option string, list *[]prompt.Message) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("%s takes a role and a text; expected: %[1]s system \"TEXT\", or: %[1]s system_file FILE, with user or assistant in place of system for their messages", option)
	}
	role, file := strings.CutSuffix(args[0], roleFile)
	if !slices.Contains(prompt.Roles, role) {
		return d.Errf("%s has no role %s; expected system, user or assistant, or one of these with _file", option, options.Quoted(args[0]))
	}
	*list = append(*list, message(role, file, args[1]))
	return nil
}

// parseTemplate reads a template: its name, and a block with a line for each message.
func parseTemplate(d *caddyfile.Dispenser, def *prompt.Definition) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("template takes one name; expected: template NAME { user \"TEXT\" }")
	}
	name := args[0]
	if _, twice := def.Templates[name]; twice {
		return d.Errf("template %s is defined twice; give each template a different name", options.Quoted(name))
	}
	var list []prompt.Message
	var lines []options.Option
	for _, role := range prompt.Roles {
		for _, suffix := range []string{"", roleFile} {
			lines = append(lines, options.Option{Name: role + suffix, Parse: func(d *caddyfile.Dispenser) error {
				args := d.RemainingArgs()
				if len(args) != 1 {
					return d.Errf("%s takes one value; put quotes around a text that has spaces", role+suffix)
				}
				list = append(list, message(role, suffix != "", args[0]))
				return nil
			}})
		}
	}
	if err := options.Parse(d, "template", lines); err != nil {
		return err
	}
	if def.Templates == nil {
		def.Templates = make(map[string][]prompt.Message)
	}
	def.Templates[name] = list
	return nil
}

func message(role string, file bool, value string) prompt.Message {
	if file {
		return prompt.Message{Role: role, File: value}
	}
	return prompt.Message{Role: role, Content: value}
}
