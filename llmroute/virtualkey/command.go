package virtualkey

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-llm/gateway/llmroute/command"
)

func init() {
	command.Add(newHashKeyCommand)
}

const (
	// generatedPrefix tells people and secret scanners what a key is.
	generatedPrefix = "sk-llm-"
	// generatedBytes is how much of a generated key is random.
	generatedBytes = 32
	// minKeySize is the shortest key that is hashed. A random one of that length
	// cannot be guessed, however fast a SHA-256 is.
	minKeySize = 20
)

const hashKeyHelp = `Prints the hash of a virtual key for the file that the llm_keys directive names.
The file holds one client a line: its name, the hash of its key, and the models
it may use, if not all.

With --generate it makes a new random key, and prints the key on the first line
and its hash on the second. The key is not kept anywhere: hand it to the client.

Otherwise it reads a key from standard input: one line from a pipe, or typed in
without being shown. A key is not taken as an argument, since arguments stay in
the shell's history and are shown to other users of the machine.

With --name the hash comes with the name before it, as a line for the file.`

const hashKeyExample = `  caddy llm hash-key --generate --name alice
  caddy llm hash-key --name alice < alice.key`

// newHashKeyCommand builds `caddy llm hash-key`.
func newHashKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "hash-key [--generate] [--name <name>]",
		Short:   "Makes virtual keys and their hashes for llm_keys",
		Long:    hashKeyHelp,
		Example: hashKeyExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errors.New("hash-key takes no arguments: a key given as one stays in the shell's history and is shown to other users of the machine. " +
					"Consider that key known to others, make a new one with --generate, or pass one through standard input")
			}
			return nil
		},
		SilenceUsage: true,
	}
	generate := cmd.Flags().Bool("generate", false, "Make a new random key and print it before its hash")
	name := cmd.Flags().String("name", "", "The client's name, to print a whole line for the file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runHashKey(cmd, *generate, *name, cmd.Flags().Changed("name"))
	}
	return cmd
}

func runHashKey(cmd *cobra.Command, generate bool, name string, named bool) error {
	before := ""
	if named {
		if err := checkClientName(name); err != nil {
			return err
		}
		before = name + " "
	}
	var key string
	if generate {
		key = generateKey()
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), key); err != nil {
			return fmt.Errorf("printing the key: %w", err)
		}
	} else {
		var err error
		if key, err = readKey(cmd); err != nil {
			return err
		}
		if err := checkKey(key); err != nil {
			return err
		}
	}
	hash := hashKey(key)
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s%s%s\n", before, hashPrefix, hex.EncodeToString(hash[:])); err != nil {
		return fmt.Errorf("printing the hash: %w", err)
	}
	return nil
}

func generateKey() string {
	random := make([]byte, generatedBytes)
	_, _ = rand.Read(random) // never fails: it ends the program instead
	return generatedPrefix + base64.RawURLEncoding.EncodeToString(random)
}

// readKey reads the key from standard input.
func readKey(cmd *cobra.Command) (string, error) {
	in := cmd.InOrStdin()
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return promptKey(cmd.ErrOrStderr(), int(file.Fd()))
	}
	text, err := io.ReadAll(io.LimitReader(in, 8*maxKeySize)) // too much of a key is told from more lines
	if err != nil {
		return "", fmt.Errorf("reading the key from standard input: %w", err)
	}
	key, rest, _ := strings.Cut(string(text), "\n")
	if strings.TrimSpace(rest) != "" {
		return "", errors.New("standard input has more than one line; pass one key at a time")
	}
	return strings.TrimSuffix(key, "\r"), nil
}

// promptKey reads the key from a terminal without showing it.
func promptKey(out io.Writer, fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("reading the key from the terminal: %w", err)
	}
	// An interrupt must not leave behind a terminal that shows nothing.
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	defer signal.Stop(interrupt)
	type line struct {
		key []byte
		err error
	}
	typed := make(chan line, 1)
	fmt.Fprint(out, "Key (it is not shown): ")
	go func() {
		key, err := term.ReadPassword(fd)
		typed <- line{key, err}
	}()
	select {
	case <-interrupt:
		_ = term.Restore(fd, before)
		fmt.Fprintln(out)
		return "", errors.New("interrupted")
	case l := <-typed:
		fmt.Fprintln(out)
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return "", fmt.Errorf("reading the key from the terminal: %w", l.err)
		}
		return string(l.key), nil
	}
}

// checkKey refuses a key that is easy to guess or that no request can carry.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("there is no key in standard input; pass one line with the key, or make one with --generate")
	case len(key) < minKeySize:
		return fmt.Errorf("the key has %d characters; a key has at least %d, all of them random: a key that people think up can be found from its hash by trying. "+
			"Make one with --generate", len(key), minKeySize)
	case len(key) > maxKeySize:
		return fmt.Errorf("the key has over %d characters, more than llm_keys takes; make one with --generate", maxKeySize)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the key has a space or a character outside of ASCII, which not every client sends unchanged; " +
			"look for a space before or after it, or make one with --generate")
	}
	return nil
}

// checkClientName refuses a name that could not be read back from the file.
func checkClientName(name string) error {
	if fields := strings.Fields(name); len(fields) != 1 || fields[0] != name || strings.HasPrefix(name, "#") {
		return errors.New("--name: a client's name is one word, without spaces, that does not begin with #")
	}
	if _, _, err := parseKeyLine(name + " " + hashPrefix + strings.Repeat("0", hex.EncodedLen(len(keyHash{})))); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	return nil
}
