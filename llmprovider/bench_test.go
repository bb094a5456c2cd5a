package llmprovider

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// chatBody is a chat request of about size bytes, as SDKs write it: prose and code, whose
// escapes are as irregular as they are in real ones.
func chatBody(size int) []byte {
	words := []string{
		"the ", "of ", "gateway ", "provider ", "a ", "and\\n", "streaming ", "\\\"quoted\\\" ", "it ", "was ", "model, ", "tokens.\\n\\n", "function ", "(y) ", "{\\n\\t", "err != nil ",
	}
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant."}`)
	for b.Len() < size-150 {
		b.WriteString(`,{"role":"user","content":"`)
		for end := b.Len() + min(2000, size-b.Len()-130); b.Len() < end; {
			b.WriteString(words[random.IntN(len(words))])
		}
		b.WriteString(`"}`)
	}
	b.WriteString(`],"temperature":0.7,"max_tokens":256,"stream":true}`)
	return b.Bytes()
}

func sizeName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%dMB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%dKB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

func BenchmarkScanSplice(b *testing.B) {
	for _, size := range []int{300, 20 << 10, 1 << 20} {
		body := chatBody(size)
		e := Edits{Model: []byte(`"qwen-turbo"`), IncludeUsage: true}
		b.Run(sizeName(size), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := scanObject(body)
				if err != nil {
					b.Fatal(err)
				}
				if s := splice(body, &m, &e); s.size < int64(len(body)) {
					b.Fatal("too short")
				}
			}
		})
	}
}
