package page_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var (
	pictures = flag.String("pictures", "", "take the pictures of the documentation, into this folder: go test -run Pictures -pictures ../../caddyfile/docs/images")
	seconds  = flag.Int("seconds", 300, "how long the gateway is under load before the pictures are taken")
)

// TestPictures takes the documentation's pictures of a gateway under load.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("no pictures are asked for")
	}
	dir, err := filepath.Abs(*pictures)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, config, nil)
	stop := s.load(12)
	defer stop()
	time.Sleep(time.Duration(*seconds) * time.Second)
	b := open(t)
	for _, p := range []struct {
		name          string
		width, height int64
		dark          bool
	}{
		{"status-page.png", 1180, 860, false}, {"status-page-dark.png", 1180, 860, true}, {"status-page-phone.png", 390, 844, false},
	} {
		b.view(p.width, p.height, p.dark)
		b.visit(s.url())
		time.Sleep(12 * time.Second) // so that the speed is that of ten seconds
		png := run(b, chromedp.CaptureScreenshot())
		if err := os.WriteFile(filepath.Join(dir, p.name), png, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", p.name, len(png))
	}
}
