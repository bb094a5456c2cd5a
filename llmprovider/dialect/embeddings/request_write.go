package embeddings

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// writeOpenAI implements dialect.API. The vectors come as numbers, which all clients
// take.
func writeOpenAI(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := dialect.NewRequestWriter(r, target)
	w.String(`"model":`, target.Model)
	w.Member("dimensions", r.Embed.Dimensions)
	w.Drop(dialect.CTask, r.Embed.Task)
	w.Values("input", r.Embed.Inputs)
	return w.Finish(), nil
}

// writeGemini implements dialect.API.
func writeGemini(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := dialect.NewRequestWriter(r, target)
	w.Drop(dialect.CUser, r.Settings.User)
	w.Out = append(w.Out, `"requests":[`...)
	for i, input := range r.Embed.Inputs {
		w.Comma(i)
		w.String(`{"model":`, dialect.GoogleName(target.Model))
		w.Write(`,"content":{"parts":[{"text":`, input, `}]}`)
		w.Member("outputDimensionality", r.Embed.Dimensions)
		w.Member("taskType", r.Embed.Task)
		w.Out = append(w.Out, '}')
	}
	w.Out = append(w.Out, ']')
	return w.Finish(), nil
}

// writePredict implements dialect.API.
func writePredict(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	w := dialect.NewRequestWriter(r, target)
	w.Drop(dialect.CUser, r.Settings.User)
	w.Out = append(w.Out, `"instances":[`...)
	for i, input := range r.Embed.Inputs {
		w.Comma(i)
		w.Write(`{"content":`, input, "")
		w.Member("task_type", r.Embed.Task)
		w.Out = append(w.Out, '}')
	}
	w.Out = append(w.Out, ']')
	if r.Embed.Dimensions != nil {
		w.Write(`,"parameters":{"outputDimensionality":`, r.Embed.Dimensions, `}`)
	}
	return w.Finish(), nil
}

// writeEmbedContent implements dialect.API.
func writeEmbedContent(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	if err := oneInput(r); err != nil {
		return nil, err
	}
	w := dialect.NewRequestWriter(r, target)
	w.Drop(dialect.CUser, r.Settings.User)
	w.Write(`"content":{"parts":[{"text":`, r.Embed.Inputs[0], `}]}`)
	if r.Embed.Dimensions != nil || r.Embed.Task != nil {
		w.Begin("embedContentConfig")
		w.Out = append(w.Out, '{')
		w.Member("outputDimensionality", r.Embed.Dimensions)
		w.Member("taskType", r.Embed.Task)
		w.Out = append(w.Out, '}')
	}
	return w.Finish(), nil
}

// writeTitan implements dialect.API.
func writeTitan(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	if err := oneInput(r); err != nil {
		return nil, err
	}
	w := dialect.NewRequestWriter(r, target)
	w.Drop(dialect.CUser, r.Settings.User)
	w.Drop(dialect.CTask, r.Embed.Task)
	w.Member("inputText", r.Embed.Inputs[0])
	switch size := r.Embed.Dimensions; {
	case strings.Contains(target.Model, "titan-embed-text-v1"), strings.Contains(target.Model, "titan-embed-g1"): // of one size
		w.Drop(dialect.CDimensions, size)
	case size != nil && strings.Contains(target.Model, "titan-embed-image"):
		w.Write(`,"embeddingConfig":{"outputEmbeddingLength":`, size, `}`)
	default:
		w.Member("dimensions", size)
	}
	return w.Finish(), nil
}

// oneInput refuses requests with several inputs for APIs that take one.
func oneInput(r *dialect.Request) *llmprovider.Error {
	if len(r.Embed.Inputs) > 1 {
		return r.Refuse(dialect.CText, "it takes one text in a request; send them one by one")
	}
	return nil
}

// cohereTasks are Google's tasks in Cohere's words.
var cohereTasks = map[string]string{
	"RETRIEVAL_QUERY": "search_query", "QUESTION_ANSWERING": "search_query", "FACT_VERIFICATION": "search_query", "CODE_RETRIEVAL_QUERY": "search_query",
	"RETRIEVAL_DOCUMENT": "search_document", "CLASSIFICATION": "classification", "CLUSTERING": "clustering",
}

// writeCohere implements dialect.API. The model wants to know what the vectors are
// for; without a word from the client they are for documents.
func writeCohere(r *dialect.Request, target dialect.Target) ([]byte, *llmprovider.Error) {
	if err := target.NeedModel(); err != nil {
		return nil, err
	}
	if len(r.Embed.Inputs) > 96 {
		return nil, r.Refuse(dialect.CText, "it takes 96 texts at most in a request")
	}
	w := dialect.NewRequestWriter(r, target)
	w.Drop(dialect.CUser, r.Settings.User)
	task := cohereTasks[jsonscan.Text(r.Embed.Task)]
	if task == "" {
		w.Drop(dialect.CTask, r.Embed.Task)
		task = "search_document"
	}
	w.String(`"input_type":`, task)
	w.Out = append(w.Out, `,"embedding_types":["float"]`...)
	if strings.Contains(target.Model, "embed-v4") {
		w.Member("output_dimension", r.Embed.Dimensions)
	} else {
		w.Drop(dialect.CDimensions, r.Embed.Dimensions)
	}
	w.Values("texts", r.Embed.Inputs)
	return w.Finish(), nil
}
