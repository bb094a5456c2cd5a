package llmprovider

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// chatBody is a chat request of about size bytes, as SDKs write it.
func chatBody(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant."}`)
	for b.Len() < size-150 {
		text := strings.Repeat("The quick brown fox said \\\"jump\\\" and did so. ", min(20, (size-b.Len())/48+1))
		fmt.Fprintf(&b, `,{"role":"user","content":"%s"}`, text)
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
