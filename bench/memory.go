package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// measureIdle opens many connections to each subject, sends one request on
// each, and reads the memory that they cost while nothing happens.
func (b *bench) measureIdle(ctx context.Context) (missed bool, err error) {
	t := &table{head: []string{fmt.Sprintf("%d idle connections", b.flags.idle), "resident MB before", "after", "KB per connection", "still open"}}
	for _, s := range b.subjects {
		progress("%s", s.title)
		// Warm first, so that pools and code are not counted as connections.
		if _, err := b.measure(ctx, s, b.works[0], 0); err != nil {
			return false, err
		}
		pids := s.pids()
		before, err := settled(ctx, pids)
		if err != nil {
			return false, err
		}
		res := b.loop.do(&job{port: s.port, callers: b.flags.idle, exchanges: b.works[0].exchanges, hold: true})
		after, err := settled(ctx, pids)
		if err != nil {
			return false, err
		}
		held := b.loop.do(&job{release: true}).Held
		if res.Errors > 0 {
			say("bench: %s: %d errors, the first: %s\n", s.title, res.Errors, res.FirstError)
			t.rows = append(t.rows, []string{s.title, "invalid", "", "", ""})
			continue
		}
		t.rows = append(t.rows, []string{s.title, mb(before), mb(after),
			number(float64(after-before) / 1024 / float64(b.flags.idle)), strconv.Itoa(held)})
		// 80 MB is the goal at 10,000.
		if s.name == "sallyport" && after-before > int64(b.flags.idle)*80<<20/10_000 {
			missed = true
		}
	}
	progress("")
	fmt.Print("\n", t.terminal(), "\n", b.stamp(), "\n")
	return missed, b.writeDoc("idle", t.markdown()+"\n"+b.stamp()+"\n")
}

func mb(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

// settled waits until a runtime has given back what it does not need, and
// returns the resident memory.
func settled(ctx context.Context, pids []int) (int64, error) {
	last := rss(pids)
	for range 10 {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
		now := rss(pids)
		if now >= last-last/200 && now <= last+last/200 {
			return now, nil
		}
		last = now
	}
	return last, nil
}

// measureMillion sends many requests through one subject and prints its memory
// on the way. What passes must leave nothing behind.
func (b *bench) measureMillion(ctx context.Context) (missed bool, err error) {
	s, w := b.subjects[len(b.subjects)-1], b.works[0]
	t := &table{head: []string{s.title + ", " + w.title, "resident MB", "heap in use MB", "goroutines"}}
	pids := s.pids()
	note := func(what string) int64 {
		now, _ := settled(ctx, pids)
		heap, routines := s.metrics(ctx)
		t.rows = append(t.rows, []string{what, mb(now), heap, routines})
		return now
	}
	// A quarter more at first: pools fill and the collector finds its pace.
	const steps = 4
	var before, after int64
	for i := range steps + 1 {
		n := b.flags.requests / steps
		what := fmt.Sprintf("%d requests later", int64(i)*n)
		if i == 0 {
			what = fmt.Sprintf("warm, after %d requests", n)
		}
		j := &job{port: s.port, callers: b.flags.callers, exchanges: w.exchanges, total: n, pids: pids}
		done := make(chan *result, 1)
		go func() { done <- b.loop.do(j) }()
		var res *result
		for res == nil {
			select {
			case res = <-done:
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(200 * time.Millisecond):
				progress("%s: %d of %d", what, j.progress.Load(), n)
			}
		}
		progress("")
		if res.Errors > 0 {
			return false, fmt.Errorf("%d errors, the first: %s", res.Errors, res.FirstError)
		}
		b.takeEvents(s)
		if after = note(what); i == 0 {
			before = after
		}
	}
	growth := fmt.Sprintf("Growth over %d requests: %s MB.", b.flags.requests, mb(after-before))
	fmt.Print("\n", t.terminal(), "\n", growth, "\n", b.stamp(), "\n")
	b.whole = b.flags.only == "" && b.flags.work == "" && b.flags.requests >= 1_000_000
	return after > before+before/20+(1<<20), b.writeDoc("million", t.markdown()+"\n"+growth+"\n\n"+b.stamp()+"\n")
}

// metrics reads the heap and the goroutines from a Sallyport's admin address.
func (s *subject) metrics(ctx context.Context) (heap, routines string) {
	if s.admin == 0 {
		return "", ""
	}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/metrics", s.admin), nil)
	if err != nil {
		return "", ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if v, ok := metric(string(body), "go_memstats_heap_inuse_bytes"); ok {
		heap = mb(int64(v))
	}
	if v, ok := metric(string(body), "go_goroutines"); ok {
		routines = fmt.Sprint(v)
	}
	return heap, routines
}

func metric(page, name string) (float64, bool) {
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(page)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(m[1]), 64)
	return v, err == nil
}
