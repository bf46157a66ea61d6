// Command bench measures what Sallyport costs beside other proxies, in one run
// on two cores: the proxy alone on the first, its callers and its upstream on
// the second.
//
//	go run .                                    # every subject, every workload: 10 minutes
//	go run . -only nginx,sallyport -work 1k     # a quick look, written nowhere
//	go run . -latency                           # time per request at 80 % of each one's capacity
//	go run . -idle 10000                        # memory per idle connection
//	go run . -million                           # does the heap grow?
//
// The figure to trust is CPU time per request of the proxy's processes (user
// and system), as a ratio to nginx in the same round. Requests per second and
// times depend on everything else that the machine does.
//
// It is a module of its own, so that what it measures against (Caddy,
// kin-openapi, golang-jwt) never reaches the product.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type flags struct {
	only, work, doc, sallyport                string
	rounds, callers, idle                     int
	seconds                                   float64
	million, latency, gate, realtime, verbose bool
	requests                                  int64
	events                                    string
}

func main() {
	var f flags
	flag.StringVar(&f.only, "only", "", "subjects, comma-separated (default all): "+names(subjects()))
	flag.StringVar(&f.work, "work", "", "workloads, comma-separated (default all): 1k,10k,100k,post")
	flag.IntVar(&f.rounds, "rounds", 5, "rounds, interleaved")
	flag.Float64Var(&f.seconds, "seconds", 2, "seconds that one measurement takes")
	flag.IntVar(&f.callers, "callers", 64, "keep-alive connections")
	flag.BoolVar(&f.latency, "latency", false, "measure time per request at 80 % of each subject's capacity")
	flag.IntVar(&f.idle, "idle", 0, "measure memory with so many idle keep-alive connections")
	flag.BoolVar(&f.million, "million", false, "send a million requests to the last subject and watch its memory")
	flag.Int64Var(&f.requests, "requests", 1_000_000, "how many -million sends")
	flag.BoolVar(&f.realtime, "realtime", false, "schedule subjects and bench before all other work, for a look on a busy machine; needs root, and starves the rest")
	flag.BoolVar(&f.verbose, "v", false, "print each measurement")
	flag.BoolVar(&f.gate, "gate", false, "exit 1 where a goal is missed")
	flag.StringVar(&f.doc, "doc", "", "Markdown file whose marked table is rewritten (default ../docs/performance.md for a full run, none for a part)")
	flag.StringVar(&f.sallyport, "sallyport", "", "a built sallyport to measure (default: build ../cmd/sallyport)")
	flag.StringVar(&f.events, "events", "", "where Sallyport writes events (default a file in the temporary directory)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	missed, err := run(ctx, f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(2)
	}
	if missed && f.gate {
		os.Exit(1)
	}
}

// A bench is one run: its traffic, its subjects and its temporary directory.
type bench struct {
	flags    flags
	dir      string
	files    int // that each process may have open
	loop     *loop
	issuer   *issuer
	tokens   []string
	works    []workload
	probe    exchange // a GET that shows whether a subject is ready
	subjects []*subject
	built    map[string]string
	events   map[string]string
	whole    bool // every subject and workload: fit to be written down
}

// principals is how many callers with a token of their own there are.
const principals = 16

func run(ctx context.Context, f flags) (missed bool, err error) {
	if runtime.NumCPU() < 2 {
		return false, errors.New("two cores are needed: one for the proxy, one for its callers and its upstream")
	}
	runtime.GOMAXPROCS(3) // one thread is the loop's own; and it stays so though the process has one core
	if err := pinSelf(loadCore); err != nil {
		return false, err
	}
	files := f.idle + f.callers + 2000
	if err := raiseFiles(uint64(files)); err != nil {
		return false, err
	}
	b := &bench{flags: f, files: files, built: make(map[string]string), events: make(map[string]string)}
	if b.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return false, err
	}
	defer os.RemoveAll(b.dir)
	if b.issuer, err = startIssuer(); err != nil {
		return false, err
	}
	defer b.issuer.Close()
	if b.tokens, err = b.issuer.tokens(principals); err != nil {
		return false, err
	}
	all := workloads(b.tokens)
	if b.loop, err = newLoop(all); err != nil {
		return false, err
	}
	b.probe = all[0].exchanges[0]
	go b.loop.run(loadCore)
	if b.works, err = choose(all, f.work, func(w workload) string { return w.name }); err != nil {
		return false, err
	}
	if b.subjects, err = choose(subjects(), f.only, func(s *subject) string { return s.name }); err != nil {
		return false, err
	}
	b.whole = f.only == "" && f.work == ""
	if f.million && f.only == "" {
		b.subjects = b.subjects[len(b.subjects)-1:]
	}
	if f.million {
		// So little is allocated that the collector would hardly run, and what
		// nobody holds would look like growth.
		os.Setenv("GOGC", "20")
	}

	for _, s := range b.subjects {
		defer s.stop()
	}
	var live []*subject
	for _, s := range b.subjects {
		progress("building and starting %s", s.title)
		if err := s.launch(ctx, b); err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			// One that does not start leaves a gap in the table, not the table out.
			say("bench: %s: %v\n", s.name, err)
			b.whole = false
			continue
		}
		live = append(live, s)
	}
	progress("")
	if b.subjects = live; len(live) == 0 {
		return false, errors.New("nothing to measure")
	}
	switch {
	case f.idle > 0:
		return b.measureIdle(ctx)
	case f.million:
		return b.measureMillion(ctx)
	case f.latency:
		return b.measureLatency(ctx)
	}
	return b.measureCPU(ctx)
}

// choose picks by name, in the order of the names given; "" picks all. A name
// may be the beginning of several.
func choose[T any](all []T, list string, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	var some []T
	for _, want := range strings.Split(list, ",") {
		i := slices.IndexFunc(all, func(t T) bool { return name(t) == strings.TrimSpace(want) })
		if i < 0 {
			return nil, fmt.Errorf("%q is unknown; see -help", want)
		}
		some = append(some, all[i])
	}
	return some, nil
}

func names(ss []*subject) string {
	var n []string
	for _, s := range ss {
		n = append(n, s.name)
	}
	return strings.Join(n, ",")
}

func (b *bench) upstreamURL() string { return fmt.Sprintf("http://127.0.0.1:%d", b.loop.upstreamPort) }

// build compiles a command, once for all that run it.
func (b *bench) build(pkg, name string, args ...string) (string, error) {
	if bin := b.built[name]; bin != "" {
		return bin, nil
	}
	bin := filepath.Join(b.dir, "bin", name)
	cmd := exec.Command("go", append(append([]string{"build", "-o", bin}, args...), ".")...)
	cmd.Dir = pkg // its own module decides about its dependencies
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	b.built[name] = bin
	return bin, nil
}

// eventFile is where a Sallyport writes its events.
func (b *bench) eventFile(s *subject) string {
	file := b.flags.events
	if file == "" {
		file = filepath.Join(s.dir, "events.jsonl")
	}
	b.events[s.name] = file
	return file
}

// takeEvents counts the events that a subject has written since last time and
// empties the file. It is -1 where there is no file to count in.
func (b *bench) takeEvents(s *subject) int64 {
	file, err := os.OpenFile(b.events[s.name], os.O_RDWR, 0)
	if err != nil {
		return -1
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		return -1
	}
	var n int64
	buf := make([]byte, 1<<20)
	for {
		k, err := file.Read(buf)
		for _, c := range buf[:k] {
			if c == '\n' {
				n++
			}
		}
		if err != nil {
			if err != io.EOF {
				return -1
			}
			break
		}
	}
	file.Truncate(0)
	return n
}

// A figure is what one measurement of a subject gave.
type figure struct {
	result
	rss    int64
	events int64 // written, of result.Done exchanges; -1 where none are expected
}

func (f *figure) cpu() float64  { return f.CPU.Seconds() * 1e6 / float64(max(1, f.Requests)) } // µs per request
func (f *figure) rate() float64 { return float64(f.Requests) / f.Seconds }

// measure runs one job against one subject. A run that was interrupted returns
// the context's error.
func (b *bench) measure(ctx context.Context, s *subject, w workload, rate float64) (*figure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-s.ended:
		said, _ := os.ReadFile(filepath.Join(s.dir, "output"))
		return nil, fmt.Errorf("%s ended: %s", s.title, said[max(0, len(said)-2000):])
	default:
	}
	pids := s.pids()
	if b.flags.realtime {
		if err := privilege(append(pids, os.Getpid())); err != nil {
			return nil, err
		}
	}
	f := &figure{events: -1}
	f.result = *b.loop.do(&job{
		port: s.port, callers: b.flags.callers, exchanges: w.exchanges, rate: rate,
		warm: 300 * time.Millisecond, length: time.Duration(b.flags.seconds * float64(time.Second)), pids: pids,
	})
	f.rss = rss(pids)
	if b.flags.verbose {
		say("%-16s %-5s %7.1f µs  %7.0f/s  busy %3.0f %%  others %3.0f %%  errors %d\n",
			s.name, w.name, f.cpu(), f.rate(), f.CPU.Seconds()/f.Seconds*100, f.Foreign*100, f.Errors)
	}
	if s.name == "sallyport" {
		time.Sleep(300 * time.Millisecond) // the writer of events is behind by a batch
		f.events = b.takeEvents(s)
	}
	return f, nil
}
