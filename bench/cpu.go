package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A cell gathers the rounds of one subject under one workload.
type cell struct {
	figures []*figure // by round
	ratios  []float64 // to nginx in the same round
}

func (c *cell) bad() string {
	for _, f := range c.figures {
		if f.Errors > 0 {
			return fmt.Sprintf("%d errors, the first: %s", f.Errors, f.FirstError)
		}
	}
	return ""
}

func (c *cell) median(of func(*figure) float64) float64 {
	var v []float64
	for _, f := range c.figures {
		v = append(v, of(f))
	}
	return median(v)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// grid holds the cells by subject and workload.
type grid map[[2]string]*cell

func (g grid) at(subject, work string) *cell {
	k := [2]string{subject, work}
	if g[k] == nil {
		g[k] = &cell{}
	}
	return g[k]
}

// ratio is the median, over the rounds, of one subject's CPU time per request
// over another's in the same round. It is false where one of them has none.
func (g grid) ratio(subject, base, work string) (float64, bool) {
	c, d := g.at(subject, work), g.at(base, work)
	if len(c.figures) == 0 || len(d.figures) == 0 || c.bad() != "" || d.bad() != "" {
		return 0, false
	}
	var v []float64
	for i := range min(len(c.figures), len(d.figures)) {
		v = append(v, c.figures[i].cpu()/d.figures[i].cpu())
	}
	return median(v), true
}

// quiet is the share of the proxy's core that others may use while a
// measurement counts.
const quiet = 0.05

// measureCPU is the main run. Subjects take turns within a round, each round
// begins with another one, and a ratio never leaves its round.
func (b *bench) measureCPU(ctx context.Context) (missed bool, err error) {
	g := make(grid)
	began := time.Now()
	total, n := b.flags.rounds*len(b.works)*len(b.subjects), 0
	var foreign, steal float64
	repeated := 0
	for round := range b.flags.rounds {
		for _, w := range b.works {
			for i := range b.subjects {
				s := b.subjects[(i+round)%len(b.subjects)]
				n++
				progress("%d/%d  round %d  %s  %s", n, total, round+1, w.title, s.title)
				f, err := b.measure(ctx, s, w, 0)
				// What others disturbed says nothing; once more, but not for ever.
				for again := 0; err == nil && f.Foreign > quiet && again < 3 && !b.flags.realtime; again++ {
					var g *figure
					if g, err = b.measure(ctx, s, w, 0); err == nil && g.Foreign < f.Foreign {
						f = g
					}
					repeated++
				}
				if err != nil {
					return false, err
				}
				c := g.at(s.name, w.name)
				c.figures = append(c.figures, f)
				foreign = max(foreign, f.Foreign)
				steal = max(steal, f.Steal)
			}
		}
	}
	progress("")

	cpu := &table{head: []string{"CPU µs per request (ratio to nginx)"}}
	speed := &table{head: []string{"requests/s, p50 / p99 in ms"}}
	for _, w := range b.works {
		cpu.head = append(cpu.head, w.title)
		speed.head = append(speed.head, w.title)
	}
	cpu.head = append(cpu.head, "resident MB")
	for _, s := range b.subjects {
		row, fast := []string{s.title}, []string{s.title}
		var mem int64
		for _, w := range b.works {
			c := g.at(s.name, w.name)
			for _, f := range c.figures {
				mem = max(mem, f.rss)
			}
			if why := c.bad(); why != "" {
				say("bench: %s, %s: %s\n", s.title, w.title, why)
				row, fast = append(row, "invalid"), append(fast, "invalid")
				continue
			}
			text := number(c.median((*figure).cpu))
			if r, ok := g.ratio(s.name, "nginx", w.name); ok {
				text += " (" + ratio(r) + ")"
			}
			row = append(row, text)
			fast = append(fast, fmt.Sprintf("%.0f, %s / %s", c.median((*figure).rate),
				number(c.median(func(f *figure) float64 { return f.Latency.quantile(0.5).Seconds() * 1e3 })),
				number(c.median(func(f *figure) float64 { return f.Latency.quantile(0.99).Seconds() * 1e3 }))))
		}
		cpu.rows = append(cpu.rows, append(row, fmt.Sprintf("%.0f", float64(mem)/(1<<20))))
		speed.rows = append(speed.rows, fast)
	}
	goals, missed := g.goals()
	notes := b.notes(g, foreign, steal, repeated)
	fmt.Print("\n", cpu.terminal(), "\n", speed.terminal())
	if len(goals.rows) > 0 {
		fmt.Print("\n", goals.terminal())
	}
	fmt.Printf("\n%s\nIt took %v.\n", strings.Join(notes, "\n"), time.Since(began).Round(time.Second))

	text := cpu.markdown() + "\nMedians of " + fmt.Sprint(b.flags.rounds) + " rounds; a ratio is the median of the rounds' own ratios. Speed in the same rounds, with all callers always busy:\n\n" +
		speed.markdown() + "\n" + goals.markdown() + "\n" + strings.Join(notes, "  \n") + "\n"
	return missed, b.writeDoc("cpu", text)
}

// notes say what a reader must know to judge the figures.
func (b *bench) notes(g grid, foreign, steal float64, repeated int) []string {
	notes := []string{b.stamp(), fmt.Sprintf("Other work on the proxy's core: at most %.0f %% of a measurement (%d were repeated for it); taken by the hypervisor: at most %.0f %%.",
		foreign*100, repeated, steal*100)}
	if (foreign > 2*quiet || steal > quiet) && !b.flags.realtime {
		notes = append(notes, "**The machine was not quiet; measure again.**")
	}
	for _, s := range b.subjects {
		var done, events, lost int64
		for _, w := range b.works {
			for _, f := range g.at(s.name, w.name).figures {
				lost += f.Reconnects
				if f.events >= 0 {
					done, events = done+f.Done, events+f.events
				}
			}
		}
		if done > 0 {
			notes = append(notes, fmt.Sprintf("%s wrote %d events of %d exchanges.", s.title, events, done))
		}
		if lost > 0 {
			notes = append(notes, fmt.Sprintf("%s closed connections %d times between two requests.", s.title, lost))
		}
	}
	return notes
}

// A goal is a bound on a ratio of CPU times.
type goal struct {
	subject, base, work string
	most                float64
}

var goals = []goal{
	{"sallyport-bare", "nginx", "1k", 1.15},
	{"sallyport-bare", "nginx", "10k", 1.0},
	{"sallyport-bare", "nginx-large", "100k", 1.1},
	{"sallyport-bare", "nginx", "post", 1.15},
	{"sallyport", "nginx", "1k", 1.5},
	{"sallyport", "nginx", "post", 1.5},
	{"sallyport", "nginx", "10k", 1.6},
	{"sallyport", "nginx-large", "100k", 2.5},
	{"sallyport", "guard", "1k", 0.08},
	{"sallyport", "guard", "10k", 0.04},
	{"sallyport", "guard", "100k", 0.03},
	{"sallyport", "caddy", "1k", 0.25},
	{"sallyport", "reverseproxy", "1k", 0.5},
}

func (g grid) goals() (t *table, missed bool) {
	t = &table{head: []string{"Goal: CPU time of", "beside", "workload", "at most", "measured", ""}}
	for _, o := range goals {
		r, ok := g.ratio(o.subject, o.base, o.work)
		if !ok {
			continue
		}
		verdict := "reached"
		if r > o.most {
			verdict, missed = "missed", true
		}
		t.rows = append(t.rows, []string{titleOf(o.subject), titleOf(o.base), workTitle(o.work), fmt.Sprintf("%.2f", o.most), ratio(r), verdict})
	}
	return t, missed
}

func titleOf(name string) string {
	for _, s := range subjects() {
		if s.name == name {
			return s.title
		}
	}
	return name
}

func workTitle(name string) string {
	return map[string]string{"1k": "GET 1 KB", "10k": "GET 10 KB", "100k": "GET 100 KB", "post": "POST 1 KB"}[name]
}
