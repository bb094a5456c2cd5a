package provider

import (
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

// fetchMedia fills in whether media are fetched that clients give as URLs.
func (b *builder) fetchMedia() {
	f := b.object.Spec.FetchMedia
	if f == nil || b.out == nil {
		return
	}
	setting := new(kind.FetchMedia)
	b.base.FetchMedia = setting
	if err := setting.Check(&b.traits); err != nil {
		b.fault(object.ReasonInvalidField, "spec.fetchMedia: %s", err)
		return
	}
	if f.MaxSize == nil {
		return
	}
	if err := kind.CheckMediaSize(*f.MaxSize); err != nil {
		b.fault(object.ReasonInvalidField, "spec.fetchMedia.maxSize: %s", err)
		return
	}
	setting.MaxSize = *f.MaxSize
}
