package main

import (
	"context"
	"fmt"
	"time"
)

// measureLatency finds what each subject can do and then sends 80 % of it,
// evenly spaced whether or not answers come, so that a slow moment makes later
// requests wait and is seen in their times.
func (b *bench) measureLatency(ctx context.Context) (missed bool, err error) {
	t := &table{head: []string{"ms at 80 % of capacity: p50 / p99"}}
	for _, w := range b.works {
		t.head = append(t.head, w.title+", requests/s", "p50 / p99")
	}
	for _, s := range b.subjects {
		row := []string{s.title}
		for _, w := range b.works {
			var p50, p99, rates []float64
			var bad *figure
			for round := range b.flags.rounds {
				progress("%s  %s  round %d", s.title, w.title, round+1)
				full, err := b.measure(ctx, s, w, 0)
				if err != nil {
					return false, err
				}
				part, err := b.measure(ctx, s, w, full.rate()*0.8)
				if err != nil {
					return false, err
				}
				for _, f := range []*figure{full, part} {
					if f.Errors > 0 {
						bad = f
					}
				}
				ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
				rates = append(rates, part.rate())
				p50, p99 = append(p50, ms(part.Latency.quantile(0.5))), append(p99, ms(part.Latency.quantile(0.99)))
			}
			if bad != nil {
				say("bench: %s, %s: %d errors, the first: %s\n", s.title, w.title, bad.Errors, bad.FirstError)
				row = append(row, "invalid", "")
				continue
			}
			row = append(row, fmt.Sprintf("%.0f", median(rates)), number(median(p50))+" / "+number(median(p99)))
		}
		t.rows = append(t.rows, row)
	}
	progress("")
	fmt.Print("\n", t.terminal(), "\n", b.stamp(), "\n")
	return false, b.writeDoc("latency", t.markdown()+"\n"+b.stamp()+"\n")
}
