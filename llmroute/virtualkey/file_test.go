package virtualkey

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/internal/livefile"
)

func TestParseKeys(t *testing.T) {
	alice, bob := keyLine("alice", aliceKey), keyLine("bob", bobKey)
	hash := strings.Fields(alice)[1]
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"comments and blank lines", "# clients\n\n  \t\n#\n", ""},
		{"one client", alice, "alice"},
		{"no line break at the end", strings.TrimSpace(alice), "alice"},
		{"more blanks, models and a comment", " alice\t" + hash + "  gpt-4*   *  # of sales\n", "alice gpt-4* *"},
		{"a comment instead of models", "alice " + hash + " #gpt-4\n", "alice"},
		{"Windows line ends and a byte order mark", "\ufeff" + strings.ReplaceAll("# x\n"+alice, "\n", "\r\n"), "alice"},
		{"upper case digits", "alice " + hashPrefix + strings.ToUpper(hash[len(hashPrefix):]), "alice"},
		{"a name in another script", "小明 " + hash, "小明"},

		{"models and a limit", "alice " + hash + " gpt-4* limit gold # of sales", "alice gpt-4* limit gold"},
		{"a limit alone", "alice " + hash + " limit gold", "alice limit gold"},

		{"guards and prompts", "alice " + hash + " gpt-4* guards pii,policy prompt house", "alice gpt-4* guards pii,policy prompt house"},
		{"all of them in another order", "alice " + hash + " prompt a,b guards c limit gold", "alice limit gold guards c prompt a,b"},
		{"a limit of that name", "alice " + hash + " limit limit", "alice limit limit"},

		{"guards without names", "alice " + hash + " guards", ":1: guards or prompt is not followed by names"},
		{"guards before models", "alice " + hash + " guards pii gpt-4*", ":1: guards or prompt is not followed by names"},
		{"guards with spaces", "alice " + hash + " guards pii, policy", ":1: guards or prompt is not followed by names"},
		{"guards with an empty name", "alice " + hash + " guards pii,", ":1: the names after guards or prompt have one that is empty"},
		{"a guard twice", "alice " + hash + " guards pii,pii", ":1: the names after guards or prompt have one that is empty or there twice"},
		{"guards twice", "alice " + hash + " guards pii guards policy", ":1: guards or prompt is there twice"},
		{"two limits", "alice " + hash + " limit gold limit silver", ":1: there are two limits"},
		{"a limit without its name", "alice " + hash + " gpt-4* limit", ":1: limit is not followed by one name"},
		{"a limit before models", "alice " + hash + " limit gold gpt-4*", ":1: limit is not followed by one name"},
		{"a name alone", "alice", ":1: the hash is missing; expected NAME HASH [MODEL...]"},
		{"a hash alone", alice + hash, ":2: the client's name is missing; expected NAME HASH"},
		{"a key instead of its hash", "\n\nalice " + aliceKey, ":3: expected NAME HASH [MODEL...], with a hash that begins with sha256:"},
		{"name and key the wrong way round", aliceKey + " alice", ":1: expected NAME HASH"},
		{"a commented hash", "alice # " + hash, ":1: the hash is missing"},
		{"a hash cut short", "alice " + hash[:len(hash)-1], ":1: the hash has 63 characters after sha256:, expected 64"},
		{"a hash that is too long", "alice " + hash + "0", ":1: the hash has 65 characters"},
		{"a hash that is none", "alice sha256:" + strings.Repeat("g", 64), ":1: the hash has a character that is no digit"},
		{"the hash of nothing", keyLine("alice", ""), ":1: the hash is that of an empty key"},
		{"one key twice", alice + bob + "carol " + hash, ":3: the hash is that of line 1 too"},
		{"two hashes in a line", "alice " + hash + " " + strings.Fields(bob)[1], ":1: there is a second hash"},
		{"models with commas", "alice " + hash + " gpt-4,gpt-5", ":1: there is a comma in a model's name"},
		{"a name that is too long", strings.Repeat("a", maxClientName+1) + " " + hash, ":1: the client's name has 129 bytes; at most 128"},
		{"a control character", "ali\x1bce " + hash, ":1: the line has a character that cannot be seen"},
		{"a zero-width space", "alice " + hash + " gpt\u200b", ":1: the line has a character that cannot be seen"},
		{"another encoding", "alice " + hash + " \xff\xfe", ":1: the line is not UTF-8 text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table, err := parseKeys("dir/keys", []byte(tc.text))
			if strings.HasPrefix(tc.want, ":") {
				if err == nil || !strings.HasPrefix(err.Error(), "dir/keys"+tc.want) {
					t.Fatalf("error is %v, want dir/keys%s", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if c := table.find(aliceKey); c != nil {
				got = strings.Join(append([]string{c.Name}, c.Models...), " ")
				got = strings.Join(append([]string{got}, optionsOf(c)...), " ")
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// mistakenKeys has a file for each kind of mistake.
var mistakenKeys = []string{
	"alice", "alice " + aliceKey, hashPrefix, "\xff", "a\x00 b", "alice sha256:x", "alice sha256:" + strings.Repeat("é", 32), keyLine("alice", ""),
	keyLine("alice", aliceKey) + keyLine("bob", aliceKey), keyLine(strings.Repeat("n", 200), aliceKey), keyLine("alice", aliceKey, hashPrefix), keyLine("alice", aliceKey, "a,b"), keyLine("alice", aliceKey, "limit"),
	keyLine("alice", aliceKey, "guards"), keyLine("alice", aliceKey, "guards", "a,"), keyLine("alice", aliceKey, "prompt", "a", "prompt", "b"),
	keyLine("alice", aliceKey, "limit", "a", "limit", "b"),
}

// optionsOf are the words that end a client's line.
func optionsOf(c *Client) (fields []string) {
	if c.Limit != "" {
		fields = append(fields, limitWord, c.Limit)
	}
	if c.Guards != nil {
		fields = append(fields, guardsWord, strings.Join(c.Guards, ","))
	}
	if c.Prompts != nil {
		fields = append(fields, promptWord, strings.Join(c.Prompts, ","))
	}
	return fields
}

func FuzzParseKeys(f *testing.F) {
	numbers := regexp.MustCompile(`\d+`)
	kind := func(err error) string { return numbers.ReplaceAllString(err.Error(), "N") }
	kinds := make(map[string]bool)
	for _, text := range mistakenKeys {
		_, err := parseKeys("keys", []byte(text))
		if err == nil {
			f.Fatalf("no mistake: %q", text)
		}
		kinds[kind(err)] = true
		f.Add([]byte(text))
	}
	f.Add([]byte("# clients\r\n\r\n" + keyLine("alice", aliceKey, "gpt-4*", "limit", "gold", "guards", "a,b", "prompt", "c", "#all") + keyLine("bob", bobKey)))
	f.Add([]byte("\ufeff" + keyLine("alice", aliceKey)))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := parseKeys("keys", data)
		if err != nil {
			// Texts that are the same for other files repeat nothing of a file.
			if !kinds[kind(err)] {
				t.Fatalf("an error that may repeat the file: %s", err)
			}
			return
		}
		var again bytes.Buffer
		for hash, c := range table {
			if err := checkClientName(c.Name); err != nil {
				t.Fatalf("client %q: %v", c.Name, err)
			}
			fields := append([]string{c.Name, hashPrefix + hex.EncodeToString(hash[:])}, c.Models...)
			fields = append(fields, optionsOf(c)...)
			again.WriteString(strings.Join(fields, " ") + "\n")
		}
		table2, err := parseKeys("keys", again.Bytes())
		if err != nil || len(table2) != len(table) {
			t.Fatalf("read again: %d of %d clients, %v", len(table2), len(table), err)
		}
		for hash, c := range table {
			if c2 := table2[hash]; c2.Name != c.Name || !slices.Equal(optionsOf(c2), optionsOf(c)) || strings.Join(c2.Models, " ") != strings.Join(c.Models, " ") {
				t.Fatalf("read again: %+v, was %+v", c2, c)
			}
		}
	})
}

// replaceKeys puts a new version in the file's place, as a careful writer does.
func replaceKeys(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// openKeys opens a file that is read at each request, and its log.
func openKeys(t testing.TB, path string) (*keysFile, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	kind := *keysKind
	kind.Refresh = time.Nanosecond
	f, err := livefile.Open(path, &kind, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return f, logs
}

func TestKeysFileFollowsChanges(t *testing.T) {
	path := writeKeys(t, keyLine("alice", aliceKey))
	f, logs := openKeys(t, path)
	expect := func(step, alice, bob, log string) {
		t.Helper()
		for range 3 { // an error is logged once
			table := f.Get()
			for key, want := range map[string]string{aliceKey: alice, bobKey: bob} {
				got := ""
				if c := table.find(key); c != nil {
					got = c.Name
				}
				if got != want {
					t.Errorf("%s: client %q, want %q", step, got, want)
				}
			}
		}
		var lines []string
		for _, entry := range logs.TakeAll() {
			text := entry.Level.String() + " " + entry.Message
			if err, ok := entry.ContextMap()["error"].(string); ok {
				text += " | " + err
			}
			if strings.Contains(text, "sk-llm-") {
				t.Errorf("%s: a key in the log: %s", step, text)
			}
			lines = append(lines, text)
		}
		if got := strings.Join(lines, "\n"); !regexp.MustCompile("^" + log + "$").MatchString(got) {
			t.Errorf("%s: log is %q, want %q", step, got, log)
		}
	}
	expect("at start", "alice", "", "")

	replaceKeys(t, path, keyLine("alice", aliceKey), keyLine("bob", bobKey))
	expect("a key added", "alice", "bob", "info keys file changed")

	replaceKeys(t, path, keyLine("bob", bobKey))
	expect("a key withdrawn", "", "bob", "info keys file changed")

	// In place, with the old size and time.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(keyLine("rob", bobKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	expect("a change that keeps size and time", "", "rob", "info keys file changed")

	replaceKeys(t, path, "# clients\n", "alice "+aliceKey+"\n")
	expect("a mistake", "", "rob", `error keys file is invalid; .* \| .*keys:2: expected NAME HASH .*`)

	replaceKeys(t, path, "# clients, again\n", "# more\n", "alice "+aliceKey+"\n")
	expect("the mistake in another version", "", "rob", `error .* \| .*keys:3: expected NAME HASH .*`)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("the file is gone", "", "rob", `error keys file cannot be read; .* \| reading the keys: .*`)

	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	expect("a folder in its place", "", "rob", `error keys file cannot be read; .* \| .*not a regular file.*`)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	replaceKeys(t, path, keyLine("alice", aliceKey))
	expect("put right", "alice", "", "info keys file can be read again\ninfo keys file changed")

	replaceKeys(t, path)
	expect("emptied", "", "", "info keys file changed\nwarn keys file has no clients, .*")
}

func TestKeysFileWarnsWhenEmptyAtStart(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	if _, err := openKeysFile(writeKeys(t, "# none yet\n"), zap.New(core)); err != nil {
		t.Fatal(err)
	}
	if logs.FilterMessageSnippet("all requests are refused").Len() != 1 {
		t.Errorf("log is %v", logs.All())
	}
}
