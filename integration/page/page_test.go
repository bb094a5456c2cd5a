package page_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// number is a JavaScript expression for the number that a tile begins with.
func number(tile string) string {
	return fmt.Sprintf(`parseFloat(document.querySelector('[data-tile=%q] .value').textContent.replace(/[^0-9.]/g, ''))`, tile)
}

// row is one for the text of the row of a section that begins with a text.
func row(section, begins string) string {
	return fmt.Sprintf(`([...document.querySelectorAll('#%s tbody tr')].find((tr) => tr.innerText.trimStart().startsWith(%q))?.innerText ?? '')`, section, begins)
}

func TestPage(t *testing.T) {
	s := newSite(t, config, nil)
	b := open(t)
	b.view(1200, 900, false)
	b.visit(s.url())
	clean := func(t *testing.T) {
		t.Helper()
		for _, complaint := range b.heard() {
			t.Error(complaint)
		}
	}

	t.Run("before the first request", func(t *testing.T) {
		b.waitFor("the state", `document.getElementById('state').textContent === '✓ ready'`)
		b.waitFor("the workload", `document.getElementById('where').textContent === 'prod/gateway'`)
		for _, want := range []string{"no errors", "no stream yet"} {
			b.waitFor(want, fmt.Sprintf(`document.getElementById('tiles').innerText.includes(%q)`, want))
		}
		b.waitFor("an idle provider", row("providers", "moonshot")+`.includes('idle')`)
		b.waitFor("a rule", row("routes", "a site’s llm_route")+`.includes('vip-route')`)
		b.waitFor("a route's object", row("routes", "demo-llm-server")+`.includes('LLMRoute prod/demo-llm-server in objects.yaml')`)
		b.waitFor("a finding", row("findings", "LLMRoute prod/typo")+`.includes('ProviderNotFound')`)
		b.waitFor("the notice", `document.getElementById('notices').innerText.includes('1 problem with an object of the source; it is used')`)
		clean(t)
	})

	t.Run("figures appear and move", func(t *testing.T) {
		for range 3 {
			s.must(200, s.port, stream)
		}
		s.must(200, s.port, plain, "user-type", "subscriber", "X-Want", "429")
		s.must(200, s.mesh, plain, "Host", "demo-llm-server")
		s.must(404, s.mesh, plain, "Host", "nobody.example.com")
		b.waitFor("six requests", `document.querySelector('[data-tile=Requests] .sub').textContent.startsWith('6 in ')`)
		b.waitFor("the failure", `document.querySelector('[data-tile=Failed] .sub').textContent.includes('no_route')`)
		b.waitFor("the attempt that failed", row("providers", "api.openai.com")+`.includes('429')`)
		b.waitFor("the provider that stood in", row("providers", "moonshot")+`.includes('working')`)
		b.waitFor("a time to first token", `/[0-9] m?s/.test(document.querySelector('[data-tile="First token"] .value').textContent)`)
		b.waitFor("the cost", number("Cost")+` > 0`)
		b.waitFor("the source's provider", row("providers", "prod/dashscope")+`.includes('LLMProvider prod/dashscope in objects.yaml')`)
		stop := s.load(4)
		defer stop()
		b.waitFor("a speed", number("Requests")+` > 0`)
		was := b.text(`document.querySelector('[data-tile=Requests] .sub').textContent`)
		b.waitFor("the speed to be measured", number("Tokens")+` > 0`)
		b.waitFor("a curve", `document.querySelector('[data-tile=Requests] .line').getAttribute('d').split('L').length > 2`)
		b.waitFor("another number", fmt.Sprintf(`document.querySelector('[data-tile=Requests] .sub').textContent !== %q`, was))
		clean(t)
	})

	t.Run("open requests, through a reload", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = s.ask(ctx, s.port, `{"model":"the-open-one","messages":[],"stream":true}`, "X-Own-Model", "yes", "X-Want", "wait") // ends with ctx
		}()
		waits := `[...document.querySelectorAll('#open tbody tr')].some((tr) => ['streaming', 'api.openai.com', 'the-open-one', 'own-model'].every((text) => tr.innerText.includes(text)))`
		b.waitFor("the stream", waits)
		if err := s.g.Reload(strings.Replace(s.config, "workload gateway", "workload other", 1)); err != nil {
			t.Fatal(err)
		}
		b.waitFor("the new configuration", `document.getElementById('where').textContent === 'prod/other'`)
		b.waitFor("the stream of the old one", waits)
		b.waitFor("what was counted before", `parseInt(document.querySelector('[data-tile=Requests] .sub').textContent) >= 6`)
		cancel()
		<-done
		b.waitFor("the stream to be gone", `!`+waits)
		b.heard() // a reload may break a connection
	})

	t.Run("with the keyboard", func(t *testing.T) {
		b.slash()
		b.waitFor("the filter to have the focus", `document.activeElement.id === 'filter'`)
		run(b, chromedp.KeyEvent("MOONSHOT"))
		b.waitFor("one provider", `document.querySelectorAll('#providers tbody tr:not(.part)').length === 1`)
		b.waitFor("what was left out", `document.querySelector('#providers .count').textContent === '1 that match, of 3'`)
		run(b, chromedp.KeyEvent(strings.Repeat(kb.Backspace, 8)+"nothing has this"))
		b.waitFor("no provider", `document.querySelector('#providers .empty').textContent === 'Nothing matches the filter.'`)
		run(b, chromedp.KeyEvent(strings.Repeat(kb.Backspace, 16)))
		b.waitFor("all providers", `document.querySelectorAll('#providers tbody tr:not(.part):not(.sum)').length === 3`)
		run(b, chromedp.KeyEvent(kb.Tab))
		b.waitFor("the first choice to have the focus", `document.activeElement.value === 'recent'`)
		if !b.is(`getComputedStyle(document.activeElement.nextElementSibling).outlineStyle === 'solid'`) {
			t.Error("nobody sees what has the focus")
		}
		run(b, chromedp.KeyEvent(kb.ArrowRight))
		b.waitFor("the other choice", `document.querySelector('[name=window]:checked').value === 'total'`)
		clean(t)
	})

	t.Run("lost connection", func(t *testing.T) {
		s.g.Stop()
		b.waitFor("the notice", `document.getElementById('notices').innerText.includes('No response from the gateway since')`)
		b.waitFor("the state", `document.getElementById('state').textContent === '✕ no connection'`)
		if title := b.text(`document.title`); title != "✕ LLM gateway" {
			t.Errorf("the title is %q", title)
		}
		s.start()
		b.waitFor("the connection", `document.getElementById('state').textContent === '✓ ready' && !document.body.classList.contains('stale')`)
		b.waitFor("the new process's figures", `document.querySelector('[data-tile=Requests] .sub').textContent.startsWith('0 in ')`)
		b.heard() // that nobody answered
		b.visit(s.url())
		b.waitFor("the state", `document.getElementById('state').textContent === '✓ ready'`)
		clean(t)
	})

	t.Run("by names", func(t *testing.T) {
		b.visit(fmt.Sprintf("http://status.example.com:%d/", s.status))
		b.waitFor("figures by a name that is configured", `document.getElementById('state').textContent === '✓ ready'`)
		run(b, chromedp.Navigate(fmt.Sprintf("http://evil.example.com:%d/", s.status)))
		b.waitFor("a refusal", `document.body.innerText.includes('this page is not for the host')`)
		refused := run(b, chromedp.Evaluate[int](`fetch('/status.json').then((response) => response.status, () => 0)`, chromedp.EvalAwaitPromise))
		if refused == 200 {
			t.Error("a page of another name could read the figures")
		}
	})

	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.asked {
		if !strings.Contains(url, fmt.Sprintf(":%d/", s.status)) && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asked for %s", url)
		}
	}
}

// TestHostileAndMany has a thousand providers, with names and models that would
// be elements, or too long for a line.
func TestHostileAndMany(t *testing.T) {
	var extra strings.Builder
	long := strings.Repeat("averylongnamewithoutaplacetobreakit", 6)
	hostile := []string{`<img/src=x/onerror=hacked=1>`, `<svg/onload=hacked=1>`, `"onmouseover=hacked=1`, "&lt;script&gt;hacked=1&lt;", "<b>" + long}
	for i, model := range hostile {
		fmt.Fprintf(&extra, "\t\tprovider <script>hacked=%d<script> {\n\t\t\thost h%d.example.com\n\t\t\tmodel `%s`\n\t\t}\n", i, i, model)
	}
	for i := range 1000 {
		fmt.Fprintf(&extra, "\t\tprovider many-%d-%s {\n\t\t\thost m%d.example.com\n\t\t}\n", i, long[:40], i)
	}
	s := newSite(t, config, map[string]any{"Extra": extra.String()})
	for _, model := range []string{`<img src=x onerror=\"hacked=1\">`, `</script><script>hacked=1</script>`, long} {
		s.must(200, s.port, `{"model":"`+model+`","messages":[]}`, "X-Own-Model", "yes")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // ends with ctx
		_, _ = s.ask(ctx, s.port, `{"model":"<img src=x onerror=\"hacked=1\">`+long+`","messages":[],"stream":true}`, "X-Own-Model", "yes", "X-Want", "wait")
	}()

	b := open(t)
	b.view(1200, 900, true)
	b.visit(s.url())
	b.waitFor("a bounded list", `document.querySelector('#providers .count').textContent.startsWith('first 50 of 1,008')`)
	b.waitFor("an open request", `document.querySelectorAll('#open tbody tr').length === 1`)
	if n := run(b, chromedp.Evaluate[int](`document.querySelectorAll('#providers tbody tr:not(.part):not(.sum)').length`)); n != 50 {
		t.Errorf("%d rows", n)
	}
	b.slash()
	run(b, chromedp.KeyEvent("hacked"))
	b.waitFor("the hostile ones", `document.querySelectorAll('#providers tbody tr:not(.part)').length === 5`)
	text := b.text(`document.getElementById('providers').innerText`)
	for _, want := range hostile {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown as it is", want)
		}
	}

	for _, width := range []int64{360, 390, 768, 1200} {
		b.view(width, 800, false)
		b.waitFor("the width", fmt.Sprintf(`innerWidth === %d`, width))
		for _, filter := range []string{"hacked", "many-1", ""} {
			b.is(fmt.Sprintf(`(() => { const f = document.getElementById('filter'); f.value = %q; f.dispatchEvent(new Event('input')); return true; })()`, filter))
			b.waitFor("the filter", fmt.Sprintf(`document.querySelectorAll('#providers tbody tr').length > 0 && (%q === '' || ![...document.querySelectorAll('#providers tbody tr:not(.part)')].some((tr) => !tr.innerText.includes(%q)))`, filter, filter))
			if over := run(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)); over > 0 {
				t.Errorf("at a width of %d, with the filter %q, the page is %d pixels too wide: %s", width, filter, over,
					b.text(`[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map((e) => e.outerHTML.slice(0, 120)).join('\n')`))
			}
		}
	}

	if b.is(`'hacked' in window`) {
		t.Error("what a provider is called was run")
	}
	for _, complaint := range b.heard() {
		t.Error(complaint)
	}
	// The policy holds: even what is put into the page does not run.
	b.is(`(() => {
		const script = document.createElement('script');
		script.textContent = 'window.hacked = 1';
		document.body.append(script);
		const image = document.createElement('img');
		image.setAttribute('onerror', 'window.hacked = 1');
		image.src = 'http://evil.example.com/x.png';
		document.body.append(image);
		return true;
	})()`)
	var refused string
	for deadline := time.Now().Add(patience); !strings.Contains(refused, "script-src") || !strings.Contains(refused, "img-src"); time.Sleep(50 * time.Millisecond) {
		if refused += strings.Join(b.heard(), "\n"); time.Now().After(deadline) {
			t.Fatalf("what was put into the page was not refused: %s", refused)
		}
	}
	if b.is(`'hacked' in window`) {
		t.Error("what was put into the page was run")
	}
}
