package caddyfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccessLogWarning(t *testing.T) {
	const hiding = `log {
		format filter {
			request>headers>X-Api-Key delete
			request>headers>Api-Key delete
			request>headers>X-Goog-Api-Key delete
			request>uri regexp \?.* ?REDACTED
		}
	}
	`
	tests := []struct {
		name, log string
		warned    bool
	}{
		{"no access log", "", false},
		{"plain", "log\n\t", true},
		{"own output", "log {\n\t\toutput stdout\n\t}\n\t", true},
		{"not written", "log {\n\t\toutput discard\n\t}\n\t", false},
		{"hidden", hiding, false},
		{"hidden by the format", "log {\n\t\tformat llm\n\t}\n\t", false},
		{"hidden in another format", "log {\n\t\tformat llm {\n\t\t\twrap console\n\t\t}\n\t}\n\t", false},
		{"hidden in part", "log {\n\t\tformat filter {\n\t\t\trequest>headers delete\n\t\t}\n\t}\n\t", true},
		{"hidden as a whole", "log {\n\t\tformat filter {\n\t\t\trequest delete\n\t\t}\n\t}\n\t", false},
	}
	for _, test := range tests {
		for _, address := range []string{":8080", "http://a.example.com:8080"} {
			t.Run(test.name+" at "+address, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "log")
				got, failed := adapt(t, []byte("{\n\tlog {\n\t\toutput file "+file+"\n\t}\n\tllm {\n\t\tprovider a.example.com\n\t}\n}\n\n"+
					address+" {\n\t"+test.log+"llm_route\n}\n"))
				if failed {
					t.Fatal(got)
				}
				if err := validate(t, got); err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if warned := strings.Contains(string(data), "access log shows"); warned != test.warned {
					t.Errorf("warned: %v, want %v; the log says\n%s", warned, test.warned, data)
				}
			})
		}
	}
}
