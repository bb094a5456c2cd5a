package options

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// Server is how a module is written that uses a server: with one URL, and options in a block.
type Server struct {
	// Of is how its line begins, such as store redis, for the errors.
	Of string
	// Kind is what the URL leads to, and Example is one.
	Kind, Example string
	// URL is where it is written to.
	URL *string
	// Options are those of the block.
	Options []Option
	// Check reports what is wrong with all of it, if anything.
	Check func() error
}

// Parse reads, from the name of the module on:
//
//	<name> <url> {
//		<options>
//	}
func (s *Server) Parse(d *caddyfile.Dispenser) error {
	d.Next() // its name
	at := Here(d)
	if !d.NextArg() {
		return d.Errf("%s needs the %s's URL, such as: %s %s", s.Of, s.Kind, s.Of, s.Example)
	}
	*s.URL = d.Val()
	if d.NextArg() {
		return d.Errf("%s takes one URL, got %s as well; options go into a block", s.Of, Quoted(d.Val()))
	}
	if err := Parse(d, s.Of, s.Options); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return at.Errf("%s: %w", s.Of, err)
	}
	return nil
}
