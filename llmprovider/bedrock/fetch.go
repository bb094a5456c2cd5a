package bedrock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// fetcher fetches credentials. Each fetch starts afresh, so that files that were replaced
// are taken up: what is cached are the credentials alone (cloud.Renewed).
type fetcher struct {
	region, profile, role, id string
	secret                    *upstream.Secret // of id
}

// ref says where the credentials come from.
func (f *fetcher) ref() string {
	ref := "AWS's default credentials"
	switch {
	case f.secret != nil:
		ref = "an access key of AWS"
	case f.profile != "":
		ref = "AWS's profile " + f.profile
	}
	if f.role != "" {
		ref += ", as " + f.role
	}
	return ref
}

// fetch implements cloud.Fetch.
func (f *fetcher) fetch(ctx context.Context) (aws.Credentials, time.Time, error) {
	found, err := f.retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, time.Time{}, reason(err)
	}
	if !found.CanExpire {
		return found, time.Time{}, nil
	}
	return found, found.Expires, nil
}

func (f *fetcher) retrieve(ctx context.Context) (aws.Credentials, error) {
	load := []func(*config.LoadOptions) error{config.WithRegion(f.region), config.WithRetryMaxAttempts(2)}
	if f.profile != "" {
		load = append(load, config.WithSharedConfigProfile(f.profile))
	}
	if f.secret != nil {
		value, err := f.secret.Value()
		if err != nil {
			return aws.Credentials{}, err
		}
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(f.id, value, "")))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Credentials{}, err
	}
	if f.role == "" {
		return c.Credentials.Retrieve(ctx)
	}
	assumed := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), f.role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "llm-gateway" })
	return assumed.Retrieve(ctx)
}

// reason is an error for the log. What a service of AWS says is told by its code alone:
// its text may repeat what it was sent.
func reason(err error) error {
	var said smithy.APIError
	if errors.As(err, &said) {
		code := said.ErrorCode()
		if code == "" || len(code) > 64 || strings.Trim(strings.ToLower(code), lower) != "" {
			code = "an error"
		}
		var operation *smithy.OperationError
		if errors.As(err, &operation) {
			return fmt.Errorf("AWS %s returned %s for %s", operation.ServiceID, code, operation.OperationName)
		}
		return fmt.Errorf("the AWS credential source returned %s", code)
	}
	text := err.Error()
	if i := strings.IndexAny(text, "{<\n"); i >= 0 { // what was answered
		text = text[:i]
	}
	return errors.New(cloud.Reason(text))
}
