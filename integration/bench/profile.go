package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profileAll writes a CPU profile and a profile of allocations of each side
// under each case's load, to be read with go tool pprof.
func profileAll(ctx context.Context, s *site, cases []benchCase, o *options) error {
	if err := os.MkdirAll(o.profile, 0o750); err != nil {
		return err
	}
	for _, c := range cases {
		for _, g := range []*side{s.plain, s.route} {
			if err := g.profile(ctx, c, filepath.Join(o.profile, g.name)+"-", profileSeconds(o)); err != nil {
				return fmt.Errorf("profiling %s, %s: %w", g.name, c.name(), err)
			}
		}
	}
	return nil
}

// profileOpen writes what holds the memory, and the goroutines.
func (g *side) profileOpen(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, kind := range []string{"heap", "goroutine"} {
		data, err := g.admin(ctx, "/debug/pprof/"+kind)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, g.name+"-open-streams-"+kind+".pprof"), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func profileSeconds(o *options) int { return max(int(o.duration.Seconds()), 5) }

// profile writes the profiles of one side and case to files whose paths begin so.
func (g *side) profile(ctx context.Context, c benchCase, begin string, seconds int) error {
	l, err := g.connect(ctx, c)
	if err != nil {
		return err
	}
	defer l.close()
	ran := make(chan error, 1)
	go func() {
		_, err := l.run(ctx, time.Duration(seconds+1)*time.Second)
		ran <- err
	}()
	kinds := map[string]string{"cpu": "profile", "allocs": "allocs"}
	written := make(chan error, len(kinds))
	for kind, path := range kinds {
		go func() {
			data, err := g.admin(ctx, fmt.Sprintf("/debug/pprof/%s?seconds=%d", path, seconds))
			if err == nil {
				name := strings.ReplaceAll(strings.ReplaceAll(c.name(), ",", ""), " ", "-") + "-" + kind + ".pprof"
				err = os.WriteFile(begin+name, data, 0o600)
			}
			written <- err
		}()
	}
	for range kinds {
		if e := <-written; err == nil {
			err = e
		}
	}
	if e := <-ran; e != nil {
		return e
	}
	return err
}
