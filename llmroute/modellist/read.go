package modellist

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/llmprovider"
)

// modelMembers are what a list has its models in: OpenAI's and Anthropic's, Google's,
// Vertex AI's, and Bedrock's two.
var modelMembers = []string{"data", "models", "publisherModels", "modelSummaries", "inferenceProfileSummaries"}

// nextToken is how the next page of a list is asked for.
type nextToken struct{ Parameter, Token string }

// Max is how many models of a list are read.
const Max = 10_000

// maxPageToken bounds what names a page, in bytes; AWS's own limit is 2,048.
const maxPageToken = 4096

// read reads a provider's list of models in any API, or the models alone, which are
// objects or their names: at most Max. next is nil on the last page.
func read(body []byte) (models []Model, next *nextToken, err error) {
	if !json.Valid(body) {
		return nil, nil, errors.New("the list is not valid JSON")
	}
	list := gjson.ParseBytes(body)
	if list.IsObject() {
		if next, err = nextPage(list); err != nil {
			return nil, nil, err
		}
		members := list
		list = gjson.Result{}
		for _, name := range modelMembers {
			if list = members.Get(name); list.Exists() {
				break
			}
		}
		if !list.Exists() && next != nil { // as Google writes a page without members
			return nil, next, nil
		}
	}
	if !list.IsArray() && list.Raw != "null" { // as some write a list without members
		return nil, nil, errors.New("the response is not a list of models")
	}
	list.ForEach(func(_, entry gjson.Result) bool {
		if m, ok := readModel(entry); ok {
			models = append(models, m)
		}
		return len(models) < Max
	})
	return models, next, nil
}

// nextPage reads how the page after this one is asked for.
func nextPage(list gjson.Result) (*nextToken, error) {
	next := &nextToken{}
	switch {
	case list.Get("nextPageToken").Str != "": // Google's
		next.Parameter, next.Token = "pageToken", list.Get("nextPageToken").Str
	case list.Get("nextToken").Str != "": // AWS's
		next.Parameter, next.Token = "nextToken", list.Get("nextToken").Str
	case list.Get("has_more").Type == gjson.True && !list.Get("object").Exists(): // Anthropic's
		next.Parameter, next.Token = "after_id", list.Get("last_id").Str
	}
	switch {
	case next.Token == "":
		return nil, nil
	case len(next.Token) > maxPageToken:
		return nil, errors.New("the name of the next page is too long")
	}
	return next, nil
}

// readModel reads an entry of a provider's list in any shape. It reports whether it is
// a model that can be asked for.
func readModel(entry gjson.Result) (m Model, ok bool) {
	switch {
	case entry.Type == gjson.String:
		return Model{ID: entry.Str}, true
	case !entry.IsObject():
		return m, false
	case entry.Get("inferenceProfileId").Exists():
		return readInferenceProfile(entry)
	case entry.Get("modelId").Exists() && entry.Get("modelArn").Exists(): // of Bedrock's models
		id := entry.Get("modelId")
		return Model{ID: id.Str, Display: entry.Get("modelName").Str}, id.Type == gjson.String
	}
	name := entry.Get("name").Str
	if owner, rest, isPublished := strings.Cut(strings.TrimPrefix(name, "publishers/"), "/models/"); isPublished && strings.HasPrefix(name, "publishers/") {
		return readPublished(owner, rest, entry.Get("versionId").Str), rest != ""
	}
	m.Object = entry.Raw
	if strings.HasPrefix(name, "models/") && !entry.Get("id").Exists() { // Google's
		m.ID, m.API, m.Display = strings.TrimPrefix(name, "models/"), llmprovider.GeminiAPI, entry.Get("displayName").Str
		return m, true
	}
	id := entry.Get("id")
	m.ID, m.Display = id.Str, entry.Get("display_name").Str
	if entry.Get("type").Str == "model" && !entry.Get("object").Exists() { // Anthropic's
		m.API = llmprovider.MessagesAPI
		m.Created, _ = time.Parse(time.RFC3339, entry.Get("created_at").Str)
	} else if created := entry.Get("created").Int(); created > 0 {
		m.Created = time.Unix(created, 0).UTC()
	}
	return m, id.Type == gjson.String
}

// readInferenceProfile reads one of Bedrock's inference profiles. Those of AWS's are
// called by their IDs, those that an account made by their ARNs
// (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-use.html).
func readInferenceProfile(entry gjson.Result) (m Model, ok bool) {
	id := entry.Get("inferenceProfileId")
	if entry.Get("type").Str == "APPLICATION" {
		id = entry.Get("inferenceProfileArn")
	}
	m.ID, m.Display = id.Str, entry.Get("inferenceProfileName").Str
	if created, err := time.Parse(time.RFC3339, entry.Get("createdAt").Str); err == nil {
		m.Created = created.UTC().Truncate(time.Second)
	}
	status := entry.Get("status").Str
	return m, id.Type == gjson.String && (status == "" || status == "ACTIVE")
}

// readPublished reads a model of a publisher at Vertex AI, whose name there is
// publishers/OWNER/models/NAME. Clients name Google's and Anthropic's models alone; of
// Anthropic's, a version that is a date is part of the name.
func readPublished(owner, name, version string) Model {
	switch {
	case owner == "anthropic" && len(version) == len("20060102") && strings.Trim(version, "0123456789") == "" && !strings.Contains(name, "@"):
		name += "@" + version
	case owner != "google" && owner != "anthropic":
		name = owner + "/" + name
	}
	return Model{ID: name}
}
