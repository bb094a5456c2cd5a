package source

import (
	"fmt"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestFindingLogIsBounded holds that any number of findings is logged in few lines, each
// finding once, and new ones as they come.
func TestFindingLogIsBounded(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	l, logger := new(FindingLog), zap.New(core)
	var findings []spec.Finding
	for i := range 1000 {
		findings = append(findings, spec.Finding{Object: fmt.Sprint("LLMRoute a/", i), Origin: fmt.Sprint("x.yaml:", i)})
	}
	l.Log(logger, findings)
	if n := logs.Len(); n != maxLogged+1 {
		t.Errorf("%d lines", n)
	}
	if last := logs.All()[logs.Len()-1]; last.ContextMap()["not_logged"] != int64(1000-maxLogged) {
		t.Errorf("the last line is %+v", last)
	}
	logs.TakeAll()
	for i := range findings {
		findings[i].Origin = fmt.Sprint("x.yaml:", i+1) // they only moved
	}
	l.Log(logger, append(findings, spec.Finding{Object: "LLMRoute a/new"}))
	if all := logs.All(); len(all) != 1 || all[0].ContextMap()["object"] != "LLMRoute a/new" {
		t.Errorf("then %+v", all)
	}
}
