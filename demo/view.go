package demo

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"github.com/sallyport/sallyport/demo/shop"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
)

// A view shows what happens, from Sallyport's own events. It is the sink that
// they go to. Its fields above mu are set before it runs.
type view struct {
	out      io.Writer
	terminal bool
	size     func() (int, int)
	duration time.Duration
	seed     uint64
	stage    *stage
	proxy    Proxy
	crowd    *crowd
	raiders  *raiders
	began    time.Time

	mu       sync.Mutex // guards all below
	passed   int
	refused  int
	stripped int
	redacted int
	reasons  map[string]int
	latest   []refusal // oldest first, at most maxLatest
}

// A refusal is a line of the list.
type refusal struct {
	at           time.Time
	reason, what string
	status       int
}

// maxLatest is more lines than any terminal shows.
const maxLatest = 200

// view's colours are the terminal's own sixteen, so that they fit its theme.
var (
	bold  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	good  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	warm  = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	link  = lipgloss.NewStyle().Foreground(lipgloss.Color("6"))
)

func newView(o Options, st *stage) *view {
	v := &view{out: o.Out, terminal: o.Terminal, size: o.Size, duration: o.Duration, seed: o.Seed, stage: st, reasons: map[string]int{}, began: time.Now()}
	if v.size == nil {
		v.size = func() (int, int) { return 120, 30 }
	}
	return v
}

// Put takes an event.
func (v *view) Put(e *event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stripped += e.Stripped
	v.redacted += e.Redacted
	if e.Action == exchange.Allow {
		v.passed++
		return
	}
	v.refused++
	v.reasons[e.Reason.Code()]++
	what := e.Operation
	if what == "" {
		what = clean(e.Method+" "+string(e.Path), 200)
	}
	if len(v.latest) == maxLatest {
		v.latest = append(v.latest[:0], v.latest[1:]...)
	}
	v.latest = append(v.latest, refusal{e.Time, e.Reason.Code(), what, e.Status})
}

// clean makes a stranger's text fit for a terminal, and no longer than most
// bytes.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// run shows a picture or a line each second until ctx is done.
func (v *view) run(ctx context.Context) {
	v.began = time.Now()
	if v.terminal {
		io.WriteString(v.out, "\x1b[?1049h\x1b[?25l") // another screen, no cursor
		defer io.WriteString(v.out, "\x1b[?25h\x1b[?1049l")
	} else {
		lipgloss.Fprintln(v.out, strings.Join(v.where(), "\n"))
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if v.terminal {
			w, h := v.size()
			io.WriteString(v.out, "\x1b[H")
			lipgloss.Fprint(v.out, v.picture(w, h))
			io.WriteString(v.out, "\x1b[J")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !v.terminal {
			fmt.Fprintln(v.out, v.line())
		}
	}
}

// where says where to point a browser or curl.
func (v *view) where() []string {
	row := func(name, url, what string) string {
		return fmt.Sprintf("  %-18s %s %s", name, link.Render(url), faint.Render(what))
	}
	lines := []string{
		row("behind Sallyport", v.proxy.URL+"/v2/products", "open it in a browser"),
		row("the bare shop", v.stage.bare.url+"/v2/products", ""),
	}
	if v.proxy.Admin != "" {
		lines = append(lines, row("metrics, health", v.proxy.Admin+"/metrics", ""))
	}
	curl := func(base string) string {
		return fmt.Sprintf("  curl -i -H @%s %s/v2/orders/%s", v.stage.header, base, shop.OrderID(firstVictim+1, 0))
	}
	return append(lines,
		"  As Mallory, a customer, read somebody else's order, through Sallyport and past it:",
		link.Render(curl(v.proxy.URL)), link.Render(curl(v.stage.bare.url)))
}

// taken sums up the attacks so far.
func (v *view) taken() (bare, guarded, ways, through, rounds int) {
	rows, rounds := v.raiders.table()
	for _, r := range rows {
		bare += r.Bare
		guarded += r.Guarded
		if r.Bare > 0 {
			ways++
		}
		if r.Guarded > 0 {
			through++
		}
	}
	return bare, guarded, ways, through, rounds
}

// clock is the time since the beginning, and of how much.
func (v *view) clock() string {
	s := time.Since(v.began).Round(time.Second).String()
	if v.duration > 0 {
		s += " of " + v.duration.String()
	}
	return s
}

// picture is what a terminal of w by h cells shows.
func (v *view) picture(w, h int) string {
	honest := v.crowd.counts()
	bare, guarded, ways, through, _ := v.taken()
	v.mu.Lock()
	defer v.mu.Unlock()

	lines := []string{bold.Render("Sallyport demo") + faint.Render("  "+v.clock()+"  Ctrl-C ends it"), ""}
	lines = append(lines, v.where()...)
	harmed := good
	if honest.Harmed > 0 {
		harmed = bad
	}
	got := good
	if guarded > 0 {
		got = bad
	}
	lines = append(lines, "",
		fmt.Sprintf("  %s passed   %s refused   %s undeclared properties stripped   %s values masked",
			good.Render(fmt.Sprint(v.passed)), bad.Render(fmt.Sprint(v.refused)), warm.Render(fmt.Sprint(v.stripped)), warm.Render(fmt.Sprint(v.redacted))),
		fmt.Sprintf("  honest callers: %d requests to each side, %s", honest.Sent, harmed.Render(fmt.Sprintf("%d harmed", honest.Harmed))),
		fmt.Sprintf("  attackers: %d kinds of attack worked on the bare shop and took %s things; through Sallyport %s",
			ways, bad.Render(fmt.Sprint(bare)), got.Render(fmt.Sprintf("%d worked and took %d", through, guarded))),
		"", bold.Render("  Refused, by reason"))
	var cells []string
	for _, k := range ranked(v.reasons) {
		cells = append(cells, fmt.Sprintf("%6d %-36s", v.reasons[k], k))
	}
	per := max(1, (w-2)/44)
	for i := 0; i < len(cells); i += per {
		lines = append(lines, "  "+strings.Join(cells[i:min(i+per, len(cells))], " "))
		if i/per == 5 {
			break
		}
	}
	lines = append(lines, "", bold.Render("  Latest refusals"))
	room := max(h-len(lines)-1, 0)
	for i := len(v.latest) - 1; i >= 0 && room > 0; i, room = i-1, room-1 {
		r := v.latest[i]
		lines = append(lines, fmt.Sprintf("  %s  %d  %-34s %s", faint.Render(r.at.Format("15:04:05")), r.status, bad.Render(r.reason), r.what))
	}
	var b strings.Builder
	for _, l := range lines[:min(len(lines), max(h-1, 1))] {
		b.WriteString(lipgloss.NewStyle().MaxWidth(w).Render(l) + "\x1b[K\r\n")
	}
	return b.String()
}

// ranked returns the keys of m, the most frequent first.
func ranked(m map[string]int) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	sort.Slice(ks, func(i, j int) bool {
		if m[ks[i]] != m[ks[j]] {
			return m[ks[i]] > m[ks[j]]
		}
		return ks[i] < ks[j]
	})
	return ks
}

// line is the picture for those who have no terminal.
func (v *view) line() string {
	honest := v.crowd.counts()
	bare, guarded, _, _, _ := v.taken()
	v.mu.Lock()
	defer v.mu.Unlock()
	var top []string
	for _, k := range ranked(v.reasons)[:min(3, len(v.reasons))] {
		top = append(top, fmt.Sprintf("%s %d", k, v.reasons[k]))
	}
	s := fmt.Sprintf("%s: passed %d, refused %d, stripped %d, masked %d; honest %d, harmed %d; taken bare %d, guarded %d",
		v.clock(), v.passed, v.refused, v.stripped, v.redacted, honest.Sent, honest.Harmed, bare, guarded)
	if len(top) > 0 {
		s += "; most: " + strings.Join(top, ", ")
	}
	return s
}

// finish prints the table.
func (v *view) finish(r *Report) error {
	w, _ := v.size()
	_, err := lipgloss.Fprintln(v.out, r.table(w))
	return err
}

// table is the report in words and figures.
func (r *Report) table(width int) string {
	t := table.New().Border(lipgloss.RoundedBorder()).BorderStyle(faint).Wrap(true).
		Headers("attack", "OWASP", "bare API gave away", "through", "because").
		StyleFunc(func(row, col int) lipgloss.Style {
			s := lipgloss.NewStyle().Padding(0, 1)
			switch {
			case row == table.HeaderRow:
				return s.Bold(true)
			case col == 2 && r.Attacks[row].Bare > 0, col == 3 && r.Attacks[row].Guarded > 0:
				return s.Foreground(lipgloss.Color("1"))
			case col == 3:
				return s.Foreground(lipgloss.Color("2"))
			}
			return s
		})
	seen := map[string]bool{}
	var categories []string
	ways, through := 0, 0
	for _, a := range r.Attacks {
		short, _, _ := strings.Cut(a.OWASP, " ")
		t.Row(a.Title, short, fmt.Sprintf("%d %s", a.Bare, a.Unit), fmt.Sprint(a.Guarded), a.because())
		if !seen[a.OWASP] {
			seen[a.OWASP] = true
			categories = append(categories, "  "+a.OWASP)
		}
		if a.Bare > 0 {
			ways++
		}
		if a.Guarded > 0 {
			through++
		}
	}
	picture := t.String()
	if lipgloss.Width(picture) > width {
		picture = t.Width(width).String()
	}
	var b strings.Builder
	b.WriteString(picture + "\n")
	b.WriteString(faint.Render(strings.Join(categories, "\n")) + "\n\n")
	fmt.Fprintf(&b, "  %d of %d attacks got something from the bare API; %d got something through Sallyport.\n", ways, len(r.Attacks), through)
	fmt.Fprintf(&b, "  Honest requests: %d sent to each side, %d harmed.\n", r.Honest.Sent, r.Honest.Harmed)
	for _, h := range append(r.Honest.Harms, r.Honest.Breaks...) {
		b.WriteString("    " + clean(h, 1000) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// because names the commonest reasons why nothing was got. An answer that came
// through all the same had been stripped or masked of what the attacker was
// after, unless he got something.
func (r *Row) because() string {
	ks := ranked(r.Reasons)
	for i, k := range ks {
		switch {
		case k == passed && r.Guarded == 0:
			ks[i] = "answer filtered"
		case k[0] >= '0' && k[0] <= '9':
			ks[i] = "the shop's own " + k
		}
	}
	return strings.Join(ks[:min(2, len(ks))], ", ")
}
