package llmprovider

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"strings"
	"testing"
)

const fileField = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a name=model; name*=b.wav\"\r\nContent-Type: audio/wav\r\n\r\n\xff\x00\r\n-\r\n"

// formOf is a form with the boundary x, of the parts' headers and contents.
func formOf(parts ...string) string {
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		b.WriteString("--x\r\n" + parts[i] + "\r\n\r\n" + parts[i+1] + "\r\n")
	}
	return b.String() + "--x--\r\n"
}

const modelHeader = `Content-Disposition: form-data; name="model"`

func TestFieldsOfAForm(t *testing.T) {
	for _, test := range []struct{ name, body, model, stream string }{
		{"none", formOf(), "", ""},
		{"no line end at the end", "--x--", "", ""},
		{"model", formOf(modelHeader, "whisper-1"), "whisper-1", ""},
		{"both, around a file", formOf(modelHeader, "a")[:len(formOf(modelHeader, "a"))-len("--x--\r\n")] + fileField + formOf(`content-disposition:form-data;name=stream`, "true"), "a", "true"},
		{"an empty model", formOf(modelHeader, ""), "", ""},
		{"with a character set", formOf(modelHeader+"\r\nContent-Type: text/plain; charset=UTF-8", "通"), "通", ""},
		{"with an encoding that is none", formOf("Content-Transfer-Encoding: 8bit\r\n"+modelHeader, "a"), "a", ""},
		{"other fields twice", formOf(`Content-Disposition: form-data; name="a[]"`, "1", `Content-Disposition: form-data; name="a[]"`, "2"), "", ""},
		{"a file whose name is extended", formOf(`Content-Disposition: form-data; name="file"; filename="a"; filename*=utf-8''%e9`, "1", modelHeader, "a"), "a", ""},
		{"a file that is called so", formOf(`Content-Disposition: form-data; name="file"; filename="model"`, "x"), "", ""},
		{"text that looks like a part", formOf(`Content-Disposition: form-data; name="prompt"`, "\r\n-x\r\n"+modelHeader+"\r\n\r\nb"), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := readForm([]byte(test.body), "x")
			if err != nil || f.model != test.model || f.stream != test.stream {
				t.Errorf("model %q, stream %q (%v)", f.model, f.stream, err)
			}
		})
	}
}

func TestFormsThatCouldBeReadInTwoWays(t *testing.T) {
	model := func(header, content string) string { return formOf(modelHeader, "a", header, content) }
	for _, test := range []struct{ name, body, want string }{
		{"model twice", model(modelHeader, "b"), `more than one field "model"`},
		{"model twice, in another case", model(`Content-Disposition: form-data; name="Model"`, "b"), `write it as "model"`},
		{"stream twice", formOf(`Content-Disposition: form-data; name="stream"`, "true", `Content-Disposition: form-data; name=stream`, "false"), `more than one field "stream"`},
		{"model as a file", formOf(modelHeader+`; filename="a"`, "a"), "is a file, or encoded"},
		{"model as a file with an extended name", formOf(modelHeader+`; filename*=utf-8''a`, "a"), "is a file, or encoded"},
		{"an extended name", formOf(`Content-Disposition: form-data; name*=utf-8''model`, "a"), "extended form"},
		{"an extended name beside another", formOf(`Content-Disposition: form-data; name="a"; name*=utf-8''model`, "a"), "extended form"},
		{"a name in pieces", formOf(`Content-Disposition: form-data; name*0="mo"; name*1="del"`, "a"), "extended form"},
		{"two names", formOf(`Content-Disposition: form-data; name="a"; name="model"`, "a"), "not valid form-data"},
		{"two dispositions", formOf("Content-Disposition: form-data; name=\"a\"\r\n"+modelHeader, "a"), "more than one Content-Disposition"},
		{"no disposition", formOf("Content-Type: text/plain", "a"), "no Content-Disposition"},
		{"another disposition", formOf(`Content-Disposition: attachment; name="model"`, "a"), "not valid form-data"},
		{"no name", formOf(`Content-Disposition: form-data`, "a"), "has no name"},
		{"a folded header", formOf("Content-Disposition: form-data;\r\n name=\"model\"", "a"), "has no name"},
		{"a folded header of another kind", formOf("X: a\r\n b: c\r\n"+modelHeader, "a"), "is not a header"},
		{"a line feed in a header", formOf("Content-Disposition: form-data; name=\"a\"\nX: \"; name=\"model\"", "a"), "is not a header"},
		{"a space before the colon", formOf("Content-Disposition : form-data; name=\"model\"", "a"), "is not a header"},
		{"an escaped name", formOf(`Content-Disposition: form-data; name="mo\del"`, "a"), "characters that a field's name cannot have"},
		{"an escaped quote", formOf(`Content-Disposition: form-data; name="a\"; x=\"model"`, "a"), "characters"},
		{"a percent sign", formOf(`Content-Disposition: form-data; name="%6dodel"`, "a"), "characters"},
		{"an encoded word", formOf(`Content-Disposition: form-data; name="=?utf-8?q?model?="`, "a"), "characters"},
		{"a NUL", formOf("Content-Disposition: form-data; name=\"model\x00\"", "a"), "is not a header"},
		{"encoded in base64", formOf(modelHeader+"\r\nContent-Transfer-Encoding: base64", "YQ=="), "is a file, or encoded"},
		{"quoted-printable", formOf(modelHeader+"\r\nContent-Transfer-Encoding: quoted-printable", "=61"), "is a file, or encoded"},
		{"compressed", formOf(modelHeader+"\r\nContent-Encoding: gzip", "a"), "is a file, or encoded"},
		{"another character set", formOf(modelHeader+"\r\nContent-Type: text/plain; charset=utf-16", "a"), "is a file, or encoded"},
		{"a value that is not UTF-8", formOf(modelHeader, "a\xff"), "not plain UTF-8 text"},
		{"a value with a line end", formOf(modelHeader, "a\r\n"), "not plain UTF-8 text"},
		{"a value too long", formOf(modelHeader, strings.Repeat("a", maxModelName+1)), "longer than 256 bytes"},
		{"text before the first part", "a\r\n" + formOf(modelHeader, "a"), "does not begin with the boundary"},
		{"a line end before the first part", "\r\n" + formOf(modelHeader, "a"), "does not begin with the boundary"},
		{"parts after the last", formOf(modelHeader, "a") + formOf(modelHeader, "b"), "there is data after the last part"},
		{"no end", formOf(modelHeader, "a")[:20], "is not closed by a boundary"},
		{"line feeds alone", strings.ReplaceAll(formOf(modelHeader, "a"), "\r\n", "\n"), "has other text after the boundary"},
		{"a boundary after a line feed", formOf(`Content-Disposition: form-data; name="a"`, "\n--x\n"+modelHeader+"\n\nb"), "in the middle of a line"},
		{"a boundary after a carriage return", formOf(`Content-Disposition: form-data; name="a"`, "\r--x\r"+modelHeader), "in the middle of a line"},
		{"a boundary with a space after it", "--x \r\n" + modelHeader + "\r\n\r\na\r\n--x--", "has other text after the boundary"},
		{"a longer boundary", formOf(`Content-Disposition: form-data; name="a"`, "1\r\n--xy\r\n"+modelHeader+"\r\n\r\nb"), "has other text after the boundary"},
		{"no headers", "--x\r\n\r\na\r\n--x--", "has no headers"},
		{"headers too long", formOf("X: "+strings.Repeat("a", maxPartHeader)+"\r\n"+modelHeader, "a"), "bytes of them"},
		{"too many parts", formOf(slicesRepeat(2*maxParts+2, `Content-Disposition: form-data; name="a"`)...), "more than 256 parts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readForm([]byte(test.body), "x")
			if err == nil || err.Status != 400 || err.Code != "invalid_form" || !strings.Contains(err.Message, test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
	for _, boundary := range []string{"", "a b", `a"b`, "a\\b", "a\r\nb", strings.Repeat("x", 71), "é"} {
		if _, err := readForm([]byte("--"+boundary+"--"), boundary); err == nil {
			t.Errorf("the boundary %q was taken", boundary)
		}
	}
}

func slicesRepeat(n int, s string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// checkForm holds what readForm found against mime/multipart.
func checkForm(t *testing.T, body []byte) {
	t.Helper()
	f, refused := readForm(body, "x")
	if refused != nil {
		return
	}
	var want form
	r := multipart.NewReader(bytes.NewReader(body), "x")
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%q was taken: %v", body, err)
		}
		value, err := io.ReadAll(p)
		if err != nil {
			t.Fatalf("%q was taken: %v", body, err)
		}
		switch p.FormName() {
		case "model":
			want.model = string(value)
		case "stream":
			want.stream = string(value)
		}
	}
	if f != want {
		t.Fatalf("%q has %+v, found was %+v", body, want, f)
	}
}

func TestFormsAreReadAsTheStandardLibraryReadsThem(t *testing.T) {
	taken := 0
	for seed := range uint64(3_000) {
		r := rand.New(rand.NewPCG(seed, 3))
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.SetBoundary("x")
		for range r.IntN(5) {
			switch r.IntN(4) {
			case 0:
				_ = w.WriteField([]string{"model", "stream", "prompt", "a\"b", "Model"}[r.IntN(5)], []string{"a", "true", "\r\n-", "é"}[r.IntN(4)])
			case 1:
				p, _ := w.CreateFormFile([]string{"file", "image[]", "model"}[r.IntN(3)], "f")
				_, _ = p.Write([]byte{0, '\r', '\n', '-', byte(r.IntN(256))})
			default:
				_ = w.WriteField("x", "y")
			}
		}
		_ = w.Close()
		checkForm(t, b.Bytes())
		if _, refused := readForm(b.Bytes(), "x"); refused == nil {
			taken++
		}
		body := b.Bytes()
		body[r.IntN(len(body))] = "\r\n-x:;\"*= "[r.IntN(10)]
		checkForm(t, body)
	}
	if taken < 1_000 {
		t.Errorf("%d forms were taken", taken)
	}
}

func FuzzForm(f *testing.F) {
	f.Add([]byte(formOf(modelHeader, "a") + fileField))
	f.Add([]byte(fileField + formOf(modelHeader, "a", `Content-Disposition: form-data; name=stream`, "true")))
	f.Fuzz(func(t *testing.T, body []byte) { checkForm(t, body) })
}

// A form is sent as it is, so that it must not name another model than the path.
func TestFormsOfDeployments(t *testing.T) {
	const path = "/openai/deployments/whisper%2F1/audio/transcriptions"
	form := func(field string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + field + "\"\r\n\r\nwhisper/1\r\n--b--\r\n"
	}
	for body, want := range map[string]string{
		form("model"):  "whisper/1",
		form("prompt"): "whisper/1",
		strings.Replace(form("model"), "whisper/1", "other", 1): "",
	} {
		r := post(path, "multipart/form-data; boundary=b", body)
		in, err := NewInbound(r)
		if err != nil {
			t.Fatal(err)
		}
		err = in.Read(r, DefaultMaxBody)
		if (err == nil) != (want != "") || err == nil && in.Model != want || err != nil && (err.Status != 400 || err.Code != "two_models") {
			t.Errorf("%q: %q, %v", body, in.Model, err)
		}
		in.Release()
	}
}
