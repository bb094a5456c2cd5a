// Command app is an application that calls a provider with OpenAI's SDK and
// knows of no gateway. Its argument is the provider's base URL.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey("sk-of-the-application"))
	params := openai.ChatCompletionNewParams{
		Model:    "asked-for",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Please introduce yourself.")},
	}
	answer, err := client.Chat.Completions.New(ctx, params)
	if err != nil {
		return err
	}
	fmt.Println("answer:", answer.Model)
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	model := ""
	for stream.Next() {
		model = stream.Current().Model
	}
	fmt.Println("stream:", model)
	return stream.Err()
}
