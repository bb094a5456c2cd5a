// Package command is the command `caddy llm`, to which other packages add what is below it.
//
// It imports nothing of the gateway. Begin with Add.
package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:      "llm",
		Usage:     "<command>",
		Short:     "Tools of the LLM gateway",
		CobraFunc: setUpCommand,
	})
}

// subcommands build what stands below `caddy llm`. Like Caddy's own list of
// commands it is written by init functions only.
var subcommands []func() *cobra.Command

// Add adds a subcommand to `caddy llm`. Packages call it in an init
// function; Caddy builds its commands later, in main. build returns a new command
// at each call. Its RunE returns its errors: they are printed after "Error: ", and
// end the program with status 1.
func Add(build func() *cobra.Command) {
	subcommands = append(subcommands, build)
}

// setUpCommand makes cmd the command `caddy llm`.
func setUpCommand(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs // a mistyped subcommand is an error
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, build := range subcommands {
		cmd.AddCommand(build())
	}
}
