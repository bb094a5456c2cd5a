package guard

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// partKind is what a part of content or an item of a conversation is.
type partKind uint8

const (
	partUnknown partKind = iota
	partText
	partCall     // of a tool
	partResult   // of a tool
	partPlain    // is text in all its members
	partOpaque   // reasoning that only its vendor can read, which made it
	partMessage  // an item of the Responses API
	partDocument // may be text
	partImage
	partAudio
	partVideo
	partFile
)

// partKinds are the kinds of the parts and items that the APIs document, by their types:
// https://platform.openai.com/docs/api-reference/chat/create,
// https://platform.openai.com/docs/api-reference/responses/create and
// https://docs.anthropic.com/en/api/messages.
var partKinds = map[string]partKind{
	"text": partText, "input_text": partText, "output_text": partText, "summary_text": partText, "reasoning_text": partText, "refusal": partText,
	"thinking": partText,

	"tool_use": partCall, "server_tool_use": partCall, "mcp_tool_use": partCall, "function_call": partCall, "custom_tool_call": partCall, "mcp_call": partCall,
	"web_search_call": partCall, "file_search_call": partCall, "local_shell_call": partCall, "shell_call": partCall, "apply_patch_call": partCall,
	"code_interpreter_call": partCall, "computer_call": partCall, "mcp_list_tools": partCall, "mcp_approval_request": partCall,
	"mcp_approval_response": partCall,

	"tool_result": partResult, "mcp_tool_result": partResult, "function_call_output": partResult, "custom_tool_call_output": partResult,
	"local_shell_call_output": partResult, "shell_call_output": partResult, "apply_patch_call_output": partResult, "web_search_tool_result": partResult,
	"web_fetch_tool_result": partResult, "code_execution_tool_result": partResult, "bash_code_execution_tool_result": partResult,
	"text_editor_code_execution_tool_result": partResult, "search_result": partResult, "web_fetch_result": partResult,

	"web_search_result": partPlain, "code_execution_result": partPlain, "bash_code_execution_result": partPlain, "item_reference": partPlain,
	"web_search_tool_result_error": partPlain, "web_fetch_tool_result_error": partPlain, "code_execution_tool_result_error": partPlain,
	"tool_reference": partPlain,

	"reasoning": partOpaque, "redacted_thinking": partOpaque, "compaction": partOpaque,
	"message": partMessage, "document": partDocument,

	"image": partImage, "image_url": partImage, "input_image": partImage, "image_generation_call": partImage, "computer_call_output": partImage,
	"input_audio": partAudio, "audio": partAudio, "audio_url": partAudio, "video": partVideo, "video_url": partVideo, "input_video": partVideo,
	"file": partFile, "input_file": partFile, "container_upload": partFile,
}

var unreadableWords = map[partKind]string{
	partUnknown: "a part of an unknown type", partDocument: "a document", partImage: "an image", partAudio: "a sound", partVideo: "a video", partFile: "a file",
}

// part reads a part of content, or an item of a conversation.
func (r *reader) part(t *task) {
	kind := partKindOf(t.value)
	switch kind {
	case partText:
		r.textPart(t)
	case partMessage:
		r.later(asMessage, t.value, t.role, t.depth+1)
	case partCall:
		r.later(asCall, t.value, t.role&^roleUser|roleAssistant, t.depth)
	case partResult:
		r.result(t)
	case partPlain:
		r.later(asData, t.value, t.role, t.depth)
	case partOpaque:
		r.reasoning(t)
	default:
		if kind == partDocument && r.document(t) {
			return
		}
		r.unreadable(t.role, unreadableWords[kind])
		r.later(asData, t.value, t.role, t.depth)
	}
}

// partKindOf is the kind of a part. One with two types is unknown. Google's parts have
// no type: what they are is the name of their member.
func partKindOf(part []byte) partKind {
	var room [24]byte
	kind, typed, roled := partUnknown, false, false
	for key, value := range jsonscan.Members(part) {
		switch string(memberName(room[:0], key)) {
		case "type":
		case "role":
			roled = true
			continue
		default:
			continue
		}
		next, known := partKinds[string(jsonscan.Plain(value))]
		if !known {
			next = partKinds[string(bytes.ToLower(jsonscan.Plain(value)))]
		}
		if typed && next != kind {
			return partUnknown
		}
		kind, typed = next, true
	}
	switch {
	case typed:
		return kind
	case roled:
		return partMessage // in instructions of the Responses API
	}
	return partText
}

// textPart reads a part of text, or one of Google's of any kind.
func (r *reader) textPart(t *task) {
	if t.role&r.seen == 0 {
		return
	}
	var room [24]byte
	for key, value := range jsonscan.Members(t.value) {
		name := string(memberName(room[:0], key))
		switch name {
		case "text", "refusal", "thinking":
			if jsonscan.IsString(value) {
				if name == "text" {
					name = ""
				}
				r.textOf(name, value)
				continue
			}
			r.later(asContent, value, t.role, t.depth+1)
		case "functioncall", "toolcall", "executablecode":
			r.later(asCall, value, t.role&^roleUser|roleAssistant, t.depth)
		case "functionresponse", "toolresponse", "codeexecutionresult":
			r.result(&task{how: asContent, value: value, role: t.role, depth: t.depth})
		case "inlinedata", "filedata", "imageurl", "inputaudio", "inputimage", "audio", "audiourl", "image", "video", "videourl", "file", "fileid", "data", "source":
			if !jsonscan.IsNull(value) {
				r.unreadable(t.role, mediaWord(name))
			}
			r.later(asData, value, t.role, t.depth)
		case "logprobs":
			r.logprobs(value)
		case "type": // which is known
		case "thought", "thoughtsignature", "signature", "cachecontrol", "citations", "annotations", "videometadata", "partmetadata",
			"mediaresolution", "status", "id", "index", "promptcachebreakpoint":
			r.later(asData, value, t.role, t.depth)
		default:
			r.cannotRead(unreadableWords[partUnknown])
			r.later(asData, value, t.role, t.depth)
		}
	}
}

func mediaWord(name string) string {
	switch name {
	case "imageurl", "image", "inputimage":
		return unreadableWords[partImage]
	case "inputaudio", "audio", "audiourl":
		return unreadableWords[partAudio]
	case "video", "videourl":
		return unreadableWords[partVideo]
	}
	return unreadableWords[partFile]
}

// result reads the result of a tool.
func (r *reader) result(t *task) {
	role := t.role&^roleUser | roleTool
	if t.depth >= maxDepth {
		r.unreadable(role, "content that is nested too deep")
		r.later(asData, t.value, role, t.depth)
		return
	}
	var room [24]byte
	for key, value := range jsonscan.Members(t.value) {
		switch string(memberName(room[:0], key)) {
		case "content", "output", "parts":
			r.later(asContent, value, role, t.depth+1)
		default:
			r.later(asCall, value, role, t.depth)
		}
	}
	if role&r.seen != 0 {
		r.jsonIn(t.value)
	}
}

// reasoning reads an item of reasoning: its texts, and not what is encrypted.
func (r *reader) reasoning(t *task) {
	var room [24]byte
	for key, value := range jsonscan.Members(t.value) {
		switch string(memberName(room[:0], key)) {
		case "summary", "content":
			r.later(asContent, value, t.role&^roleUser|roleAssistant, t.depth+1)
		default:
			r.later(asData, value, t.role&^roleUser|roleAssistant, t.depth)
		}
	}
}

// document reads a document of Anthropic's API, if it is text.
func (r *reader) document(t *task) bool {
	sources := 0
	var source []byte
	var room [24]byte
	for key, value := range jsonscan.Members(t.value) {
		if string(memberName(room[:0], key)) == "source" {
			sources, source = sources+1, value
		}
	}
	if sources != 1 || len(source) == 0 || source[0] != '{' {
		return false
	}
	switch string(jsonscan.Plain(jsonscan.Get(source, "type"))) {
	case "text":
		// Its data is text, however long.
		r.later(asLeaves, t.value, t.role, t.depth)
		return true
	case "content":
		for key, value := range jsonscan.Members(source) {
			if string(memberName(room[:0], key)) == "content" {
				r.later(asContent, value, t.role, t.depth+1)
			}
		}
		r.later(asData, t.value, t.role, t.depth)
		return true
	}
	return false
}
