package virtualkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// runLLM runs `caddy llm` with these arguments and this standard input.
func runLLM(t testing.TB, in string, args ...string) (out string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}
	llm := &cobra.Command{Use: "llm <command>"}
	caddycmd.Commands()["llm"].CobraFunc(llm)
	root.AddCommand(llm)
	var stdout, stderr bytes.Buffer
	root.SetIn(strings.NewReader(in))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"llm"}, args...))
	err = root.Execute()
	if stderr.Len() > 0 {
		t.Errorf("standard error has %q", stderr.String())
	}
	return stdout.String(), err
}

func TestHashKey(t *testing.T) {
	line, long := keyLine("alice", aliceKey), strings.Repeat("k", maxKeySize)
	_, hash, _ := strings.Cut(line, " ")
	for _, tc := range []struct{ name, in, args, out, err string }{
		{"a line", aliceKey + "\n", "", hash, ""},
		{"no line break", aliceKey, "", hash, ""},
		{"a Windows line break and blank lines after it", aliceKey + "\r\n\r\n", "", hash, ""},
		{"a name", aliceKey, "--name alice", line, ""},
		{"the longest key", long, "--name x", keyLine("x", long), ""},

		{"nothing", "", "", "", "there is no key in standard input"},
		{"an empty line", "\n" + aliceKey, "", "", "more than one line"},
		{"two keys", aliceKey + "\n" + bobKey, "", "", "pass one key at a time"},
		{"a short key", "tomato", "", "", "the key has 6 characters; a key has at least 20, all of them random"},
		{"a key that is too long", long + "k", "", "", "over 512 characters"},
		{"a file that is no key", strings.Repeat("x", 1<<20), "", "", "over 512 characters"},
		{"a space at the end", aliceKey + " \n", "", "", "a space or a character outside of ASCII"},
		{"a character outside of ASCII", aliceKey + "é", "", "", "outside of ASCII"},
		{"a key as an argument", "", aliceKey, "", "hash-key takes no arguments: a key given as one stays in the shell's history"},
		{"a key after --generate", "", "--generate " + aliceKey, "", "Consider that key known to others"},
		{"a name that is a comment", aliceKey, "--name #alice", "", "--name: a client's name is one word"},
		{"a name in place of which a hash is read", aliceKey, "--name sha256:x", "", "--name: the client's name is missing"},
		{"an unknown option", aliceKey, "--bcrypt", "", "unknown flag: --bcrypt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := runLLM(t, tc.in, append([]string{"hash-key"}, strings.Fields(tc.args)...)...)
			if out != tc.out {
				t.Errorf("printed %q, want %q", out, tc.out)
			}
			if tc.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error is %v, want %q", err, tc.err)
			}
			if strings.Contains(err.Error(), aliceKey) || strings.Contains(err.Error(), "tomato") {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
	for _, name := range []string{"", "a b", "a\nb", " alice"} {
		if out, err := runLLM(t, aliceKey, "hash-key", "--name", name); err == nil || out != "" {
			t.Errorf("name %q: printed %q, error %v", name, out, err)
		}
	}
}

func TestHashKeyGenerate(t *testing.T) {
	shape := regexp.MustCompile(`^sk-llm-[A-Za-z0-9_-]{43}$`)
	known := make(map[string]bool)
	for range 100 {
		out, err := runLLM(t, "not read", "hash-key", "--generate", "--name", "alice")
		if err != nil {
			t.Fatal(err)
		}
		key, line, _ := strings.Cut(out, "\n")
		if !shape.MatchString(key) || known[key] {
			t.Fatalf("key %q", key)
		}
		known[key] = true
		table, err := parseKeys("keys", []byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if c := table.find(key); c == nil || c.Name != "alice" || len(c.Models) != 0 {
			t.Fatalf("the line %q gives %+v", line, c)
		}
	}
	out, err := runLLM(t, "", "hash-key", "--generate")
	if err != nil {
		t.Fatal(err)
	}
	key, hash, _ := strings.Cut(out, "\n")
	sum := sha256.Sum256([]byte(key))
	if want := "sha256:" + hex.EncodeToString(sum[:]) + "\n"; hash != want {
		t.Errorf("hash %q, want %q", hash, want)
	}
}
