package upstream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const keyText = "sk-never-shown"

func writeSecret(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLiteralSecretsAreRefused(t *testing.T) {
	for _, raw := range []string{
		keyText, "", " ", "$" + keyText, "${" + keyText + "}", "{$" + keyText + "}", "{" + keyText + "}", "{env.}" + keyText, "{file.}" + keyText,
		"{env.A" + keyText, keyText + "{", "{env.A}{" + keyText + "}", "{ENV.A}" + keyText, "{http.request.header.X}" + keyText, "<" + keyText + ">",
		"{vault." + keyText + "}", "{}" + keyText,
	} {
		_, err := ParseSecret("api_key", raw)
		if err == nil {
			t.Errorf("%q is accepted", raw)
			continue
		}
		for _, want := range []string{"api_key: ", "{env.NAME}", "{file./path/to/secret}", "{$NAME}"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error does not say %s: %v", raw, want, err)
			}
		}
		if strings.Contains(err.Error(), keyText) {
			t.Errorf("the error holds the text: %v", err)
		}
	}
}

func TestSecretValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	writeSecret(t, file, "\n "+keyText+" \r\n")
	t.Setenv("LLM_TEST_KEY", keyText)
	t.Setenv("LLM_TEST_LINE", keyText+"\n")
	for _, test := range []struct{ raw, value, shown string }{
		{"{env.LLM_TEST_KEY}", keyText, "{env.LLM_TEST_KEY}"},
		{"{env.LLM_TEST_LINE}", keyText, "{env.LLM_TEST_LINE}"},
		{"{file." + file + "}", keyText, "{file." + file + "}"},
		{"Token {env.LLM_TEST_KEY}", "Token " + keyText, "REDACTED{env.LLM_TEST_KEY}"},
		{"{env.LLM_TEST_KEY}:{file." + file + "}!", keyText + ":" + keyText + "!", "{env.LLM_TEST_KEY}REDACTED{file." + file + "}REDACTED"},
	} {
		s, err := ParseSecret("api_key", test.raw)
		if err != nil {
			t.Errorf("%s: %v", test.raw, err)
			continue
		}
		for range 2 {
			if got, err := s.Value(); got != test.value || err != nil {
				t.Errorf("%s is %q (%v), want %q", test.raw, got, err, test.value)
			}
		}
		if got, err := s.WithPrefix("Bearer ").Value(); got != "Bearer "+test.value || err != nil {
			t.Errorf("%s with a prefix is %q (%v)", test.raw, got, err)
		}
		if got := s.String(); got != test.shown {
			t.Errorf("%s is shown as %s, want %s", test.raw, got, test.shown)
		}
	}
}

func TestLiteralOfASource(t *testing.T) {
	s := Literal(keyText)
	if got, err := s.Value(); got != keyText || err != nil {
		t.Errorf("the value is %q (%v)", got, err)
	}
	if got, err := s.WithPrefix("Bearer ").Value(); got != "Bearer "+keyText || err != nil {
		t.Errorf("with a prefix it is %q (%v)", got, err)
	}
	if strings.Contains(s.String(), keyText) {
		t.Errorf("it is shown as %s", s)
	}
	if s.empty() || !Literal("").empty() {
		t.Error("only the empty literal stands for no secret")
	}
}

func TestSecretsThatCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeSecret(t, path, text)
		return "{file." + path + "}"
	}
	t.Setenv("LLM_TEST_LINES", keyText+"\n"+keyText)
	for _, test := range []struct{ name, raw, want string }{
		{"variable not set", "{env.LLM_TEST_NOT_SET}", "the environment variable LLM_TEST_NOT_SET is empty; set it"},
		{"variable of two lines", "{env.LLM_TEST_LINES}", "{env.LLM_TEST_LINES} contains a line break or a control character"},
		{"no file", "{file." + filepath.Join(dir, "none") + "}", "no such file"},
		{"folder", "{file." + dir + "}", "is not a regular file"},
		{"empty file", write("empty", " \n"), "empty is empty; write the secret into it"},
		{"file of two lines", write("lines", keyText+"\n"+keyText), "contains a line break or a control character"},
		{"NUL", write("nul", keyText+"\x00x"), "contains a line break or a control character"},
		{"DEL", write("del", keyText+"\x7fx"), "contains a line break or a control character"},
		{"too large", write("large", strings.Repeat(keyText, maxSecretSize/len(keyText)+1)), "is over 65536 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := ParseSecret("api_key", test.raw)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err = s.Value()
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("the error is %v, want %q", err, test.want)
				}
				if strings.Contains(err.Error(), keyText) {
					t.Fatalf("the error holds the secret: %v", err)
				}
			}
		})
	}
}

func TestAChangedSecretFileIsUsedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	writeSecret(t, file, "old")
	s, err := ParseSecret("api_key", "{file."+file+"}")
	if err != nil {
		t.Fatal(err)
	}
	value := func() string {
		t.Helper()
		v, err := s.Value()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if got := value(); got != "old" {
		t.Fatalf("the value is %q", got)
	}
	replace := func(text string) {
		t.Helper()
		writeSecret(t, file+".new", text)
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	within := func(want string) {
		t.Helper()
		for end := time.Now().Add(2 * time.Second); value() != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the value is still %q", value())
			}
		}
	}
	var reports []string
	s.report = func(err error) { reports = append(reports, fmt.Sprint(err)) }
	replace("new")
	within("new")
	if s.failed.Load() {
		t.Error("a secret that was read is stale")
	}

	// What cannot be used keeps the last good value in force.
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(file, nil, 0o600) },
		func() error { return os.WriteFile(file, []byte("two\nlines"), 0o600) },
		func() error { return os.Remove(file) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s.next.Store(0) // the next use reads again
		if got := value(); got != "new" || !s.failed.Load() {
			t.Errorf("the value is %q, stale %v", got, s.failed.Load())
		}
	}
	replace("newest")
	within("newest")
	if s.failed.Load() {
		t.Error("a secret that was read again is stale")
	}
	if len(reports) != 2 || !strings.Contains(reports[0], "is empty") || reports[1] != "<nil>" {
		t.Errorf("reported are %q, want the first failure and the end of it", reports)
	}
}

func TestASecretThatAppearsLater(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	s, err := ParseSecret("api_key", "{file."+file+"}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Value(); err == nil {
		t.Fatal("a file that is not there gave a value")
	}
	writeSecret(t, file, "here")
	if got, err := s.Value(); got != "here" || err != nil {
		t.Errorf("the value is %q (%v)", got, err)
	}
}

func TestSecretsAreUsedByManyAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	writeSecret(t, file, "a")
	s, err := ParseSecret("api_key", "{file."+file+"}")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for range 200 {
				if i == 0 {
					s.next.Store(0)
				}
				if v, err := s.Value(); err != nil || v != "a" && v != "b" {
					t.Errorf("the value is %q (%v)", v, err)
					return
				}
			}
		})
	}
	writeSecret(t, file+".new", "b")
	if err := os.Rename(file+".new", file); err != nil {
		t.Error(err)
	}
	wait.Wait()
}
