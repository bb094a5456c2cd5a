package crds_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	_ "github.com/caddy-llm/gateway/llmprovider/azure"
	_ "github.com/caddy-llm/gateway/llmprovider/bedrock"
	_ "github.com/caddy-llm/gateway/llmprovider/vertex"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// cloudOptions are the settings of clouds' kinds, with values that are right and wrong.
var cloudOptions = map[string]map[string][]any{
	"azureConfig": {
		"apiKey": {"k", " "}, "apiVersion": {"2024-10-21", "", "a/b", "V1"},
		"entra": {map[string]any{}, map[string]any{"tenantID": "t-1.x"}, map[string]any{"tenantID": ""}, map[string]any{"tenantID": "a b"}},
	},
	"vertexConfig": {
		"apiKey": {"k", " "}, "project": {"p-1", "", "example.com:p", "..", "a/b"}, "location": {"eu", "", "Eu", "a.b"}, "quotaProject": {"q", "", "q r"}, "maxTokens": {1, 0},
	},
	"bedrockConfig": {
		"apiKey": {"k", " "}, "region": {"eu-central-1", "eu-central-1", "", "s3", "eu-central"}, "roleArn": {"arn:aws:iam::1:role/x", "", "arn:aws:iam::1:user/x", "x:role/x", "arn: :role/x"},
		"maxTokens": {1, -1},
	},
}

// TestClouds holds that kubectl apply refuses the settings of clouds' kinds that the
// gateway refuses, and no others.
func TestClouds(t *testing.T) {
	c := install(t)
	ns := c.Namespace()
	random := rand.New(rand.NewPCG(12, 1))
	config := func(field string, most int) map[string]any {
		out := make(map[string]any)
		for name, values := range cloudOptions[field] {
			if random.IntN(4) < most {
				out[name] = values[random.IntN(min(len(values), 1+random.IntN(len(values))))]
			}
		}
		return map[string]any{field: out}
	}
	var manifests strings.Builder
	wrong := make(map[string]string)
	const objects = 300
	for i := range objects {
		field := []string{"azureConfig", "vertexConfig", "bedrockConfig"}[i%3]
		configs := make(map[string]any)
		if random.IntN(10) > 0 {
			configs["defaultConfig"] = config(field, 3)
		}
		if len(configs) == 0 || random.IntN(3) == 0 {
			configs["routeSpecificConfigs"] = map[string]any{"r": config(field, random.IntN(2))}
		}
		host := map[string]string{"azureConfig": "a%d.openai.azure.com", "vertexConfig": "l%d-aiplatform.googleapis.com", "bedrockConfig": "v%d.bedrock-runtime.eu-central-1.vpce.amazonaws.com"}[field]
		fields := map[string]any{"host": fmt.Sprintf(host, i), "configs": configs}
		if field == "azureConfig" && random.IntN(3) == 0 {
			fields["path"] = []string{"/v1/chat/completions", ""}[random.IntN(2)]
		}
		if random.IntN(3) == 0 {
			api := map[string]any{"name": []string{"messages", "responses", "chat", "gemini"}[random.IntN(4)]}
			if random.IntN(2) == 0 {
				api["path"] = "/x"
			}
			fields["apis"] = []any{api}
		}
		data, err := json.Marshal(map[string]any{
			"apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "LLMProvider", "metadata": map[string]string{"name": fmt.Sprintf("c%d", i), "namespace": ns}, "spec": fields,
		})
		if err != nil {
			t.Fatal(err)
		}
		manifests.Write(append(data, "\n---\n"...))
		decoded, err := object.DecodeObject(data)
		if err != nil {
			t.Fatal(err)
		}
		state := k8ssource.Translate(decoded, spec.Identity{Namespace: ns}, k8ssource.Options{AmbientCredentials: []string{ns}})
		for _, f := range state.Findings {
			if !f.Used && f.Reason != "NoCredentials" { // of which the API server knows nothing
				wrong[fmt.Sprintf("c%d", i)] = f.Message
			}
		}
	}
	r := c.KubectlInput(manifests.String(), "apply", "--dry-run=server", "-f", "-")
	refused := make(map[string]bool)
	for _, m := range regexp.MustCompile(`LLMProvider[a-z.]* "(c[0-9]+)" is invalid`).FindAllStringSubmatch(r.Stderr, -1) {
		refused[m[1]] = true
	}
	if len(wrong) < objects/5 || len(wrong) > objects*4/5 || strings.Count(r.Stdout, "created") != objects-len(refused) {
		t.Errorf("%d of %d objects are wrong, and %d are refused: %s", len(wrong), objects, len(refused), r.Stderr)
	}
	for i := range objects {
		name := fmt.Sprintf("c%d", i)
		if refused[name] != (wrong[name] != "") {
			t.Errorf("refused: %v, while the gateway says %q: %s", refused[name], wrong[name], strings.Split(manifests.String(), "\n---\n")[i])
		}
	}
}
