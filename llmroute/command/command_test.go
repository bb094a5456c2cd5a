package command

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestCommandsOfOtherPackages(t *testing.T) {
	before := subcommands
	t.Cleanup(func() { subcommands = before })
	Add(func() *cobra.Command {
		return &cobra.Command{Use: "check", Short: "Checks", RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "checked")
			return err
		}}
	})
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		root, llm := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}, &cobra.Command{Use: "llm <command>"}
		setUpCommand(llm)
		root.AddCommand(llm)
		root.SetOut(&out)
		root.SetArgs(append([]string{"llm"}, args...))
		err := root.Execute()
		return out.String(), err
	}
	for range 2 { // each command tree has its own
		if out, err := run("check"); err != nil || out != "checked\n" {
			t.Errorf("printed %q, error %v", out, err)
		}
	}
	out, err := run()
	if err != nil || !strings.Contains(out, "check ") {
		t.Errorf("help is %q, error %v", out, err)
	}
	if _, err := run("chekc"); err == nil || !strings.Contains(err.Error(), `unknown command "chekc"`) {
		t.Errorf("error is %v", err)
	}
}
