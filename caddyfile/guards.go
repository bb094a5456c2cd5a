package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// parseGuard reads:
//
//	guard <name> {
//		deny       <built-in...>
//		deny       regex <pattern> [as <word>]
//		mask       <built-in...>
//		mask       regex <pattern> as <word>
//		webhook    <url> {
//			format          agentgateway|litellm
//			timeout         <duration>
//			on_failure      closed|open
//			forward_headers <names...>
//		}
//		moderation <provider> model <model> {
//			timeout    <duration>
//			on_failure closed|open
//		}
//		judge <provider> [model <model>] prompt_file <file> {
//			timeout    <duration>
//			on_failure closed|open
//		}
//		roles      <roles...>
//		unreadable closed|open
//		log
//		on_request
//		on_response window <bytes>|whole|off
//		restore
//		parallel
//		status     <status>
//		everything
//	}
//
// All options set the fields of guard.Definition.
func parseGuard(d *caddyfile.Dispenser, app *llmroute.App) error {
	at := options.Here(d)
	if !d.NextArg() {
		return d.Errf("guard needs a name; expected: guard NAME { ... }")
	}
	name := d.Val()
	if d.NextArg() {
		return d.Errf("guard takes one name, got %s as well; its options go into a block", options.Quoted(d.Val()))
	}
	if app.Guards[name] != nil {
		return d.Errf("guard %s is defined twice; give each guard a different name", options.Quoted(name))
	}
	def := new(guard.Definition)
	if err := options.Parse(d, "guard", guardOptions(def)); err != nil {
		return err
	}
	if err := guard.Check(name, def); err != nil {
		return at.WrapErr(err)
	}
	if app.Guards == nil {
		app.Guards = make(map[string]*guard.Definition)
	}
	app.Guards[name] = def
	return nil
}

func guardOptions(def *guard.Definition) []options.Option {
	return []options.Option{
		{Name: "deny", Parse: func(d *caddyfile.Dispenser) error { return parsePatterns(d, "deny", "[as WORD]", &def.Deny) }},
		{Name: "mask", Parse: func(d *caddyfile.Dispenser) error { return parsePatterns(d, "mask", "as WORD", &def.Mask) }},
		{Name: "webhook", Parse: func(d *caddyfile.Dispenser) error { return parseWebhook(d, def) }, Block: true},
		{Name: "moderation", Parse: func(d *caddyfile.Dispenser) error { return parseModeration(d, def) }, Block: true},
		{Name: "judge", Parse: func(d *caddyfile.Dispenser) error { return parseJudge(d, def) }, Block: true},
		{Name: "roles", Parse: texts(&def.Roles)},
		{Name: "unreadable", Parse: options.Value(&def.Unreadable, "closed or open", options.OneOf(guard.UnreadableClosed, guard.UnreadableOpen))},
		{Name: "log", Parse: options.Presence(&def.Log)},
		{Name: "on_request", Parse: options.Presence(&def.OnRequest)},
		{Name: "on_response", Parse: func(d *caddyfile.Dispenser) error { return parseOnResponse(d, def) }},
		{Name: "restore", Parse: options.Presence(&def.Restore)},
		{Name: "parallel", Parse: options.Presence(&def.Parallel)},
		{Name: "status", Parse: options.Value(&def.Status, "a status from 400 to 499", options.Number(400, 499))},
		{Name: "everything", Parse: options.Presence(&def.Everything)},
	}
}

// parseWebhook reads the service that a guard asks. Errors do not repeat its URL, which
// may have a token in it.
func parseWebhook(d *caddyfile.Dispenser, def *guard.Definition) error {
	if def.Webhook != nil {
		return d.Errf("webhook is given twice; use a separate guard for each service")
	}
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("webhook takes one URL; expected: webhook URL { format agentgateway }")
	}
	def.Webhook = &decide.Webhook{URL: args[0]}
	return options.Parse(d, "webhook", webhookOptions(def.Webhook))
}

func webhookOptions(w *decide.Webhook) []options.Option {
	return []options.Option{
		{Name: "format", Parse: options.Value(&w.Format, "agentgateway or litellm", options.OneOf(decide.FormatAgentgateway, decide.FormatLiteLLM))},
		{Name: "timeout", Parse: options.Value(&w.Timeout, "a duration such as 2s", options.Duration)},
		{Name: "on_failure", Parse: options.Value(&w.OnFailure, "closed or open", options.OneOf(decide.FailureClosed, decide.FailureOpen))},
		{Name: "forward_headers", Parse: texts(&w.ForwardHeaders)},
	}
}

// parseModeration reads the provider that moderates texts.
func parseModeration(d *caddyfile.Dispenser, def *guard.Definition) error {
	if def.Moderation != nil {
		return d.Errf("moderation is given twice; use a separate guard for each provider")
	}
	args := d.RemainingArgs()
	if len(args) != 3 || args[1] != "model" {
		return d.Errf("moderation takes a provider and a model; expected: moderation PROVIDER model MODEL")
	}
	def.Moderation = &decide.Moderation{Provider: args[0], Model: args[2]}
	return options.Parse(d, "moderation", moderationOptions(def.Moderation))
}

func moderationOptions(m *decide.Moderation) []options.Option {
	return []options.Option{
		{Name: "timeout", Parse: options.Value(&m.Timeout, "a duration such as 2s", options.Duration)},
		{Name: "on_failure", Parse: options.Value(&m.OnFailure, "closed or open", options.OneOf(decide.FailureClosed, decide.FailureOpen))},
	}
}

// parseJudge reads the model that decides about texts.
func parseJudge(d *caddyfile.Dispenser, def *guard.Definition) error {
	if def.Judge != nil {
		return d.Errf("judge is given twice; use a separate guard for each model")
	}
	args := d.RemainingArgs()
	switch {
	case len(args) == 3 && args[1] == "prompt_file":
		def.Judge = &decide.Judge{Provider: args[0], PromptFile: args[2]}
	case len(args) == 5 && args[1] == "model" && args[3] == "prompt_file":
		def.Judge = &decide.Judge{Provider: args[0], Model: args[2], PromptFile: args[4]}
	default:
		return d.Errf("judge takes a provider, a model unless the provider names one, and a file; expected: judge PROVIDER [model MODEL] prompt_file FILE")
	}
	return options.Parse(d, "judge", judgeOptions(def.Judge))
}

func judgeOptions(j *decide.Judge) []options.Option {
	return []options.Option{
		{Name: "timeout", Parse: options.Value(&j.Timeout, "a duration such as 2s", options.Duration)},
		{Name: "on_failure", Parse: options.Value(&j.OnFailure, "closed or open", options.OneOf(decide.FailureClosed, decide.FailureOpen))},
	}
}

// parseOnResponse reads how a guard looks at streams.
func parseOnResponse(d *caddyfile.Dispenser, def *guard.Definition) error {
	if def.OnResponse != nil {
		return d.Errf("on_response is given twice; write it once")
	}
	args := d.RemainingArgs()
	switch {
	case len(args) == 2 && args[0] == guard.StreamWindow:
		n, err := options.Number(guard.MinWindow, guard.MaxWindow)(args[1])
		if err != nil {
			return d.Errf("on_response window takes how many bytes of text are held back, got %s; expected a number from %d to %d", options.Quoted(args[1]), guard.MinWindow, guard.MaxWindow)
		}
		def.OnResponse = &guard.OnResponse{Stream: guard.StreamWindow, Window: n}
	case len(args) == 1 && (args[0] == guard.StreamWhole || args[0] == guard.StreamOff):
		def.OnResponse = &guard.OnResponse{Stream: args[0]}
	default:
		return d.Errf("on_response needs a mode for streams; expected: on_response window BYTES, on_response whole, or on_response off")
	}
	return nil
}

// parsePatterns reads the arguments of deny and mask: names of built-in patterns, or a
// regular expression and its word.
func parsePatterns(d *caddyfile.Dispenser, option, as string, list *[]guard.Pattern) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return d.Errf("%s needs what to look for; expected: %[1]s NAME..., or: %[1]s regex PATTERN %s", option, as)
	case args[0] != "regex":
		for _, name := range args {
			*list = append(*list, guard.Pattern{Builtin: name})
		}
		return nil
	case len(args) == 2:
		*list = append(*list, guard.Pattern{Regex: args[1]})
		return nil
	case len(args) == 4 && args[2] == "as" && args[3] != "":
		*list = append(*list, guard.Pattern{Regex: args[1], As: args[3]})
		return nil
	}
	// What stands there may be a part of a pattern, which errors do not repeat.
	return d.Errf("%s regex takes one pattern; expected: %[1]s regex PATTERN %s, with quotes around a pattern that has spaces", option, as)
}
