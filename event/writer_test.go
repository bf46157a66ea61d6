package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/event"
)

// A target is a writer that a test holds up and makes fail.
type target struct {
	mu   sync.Mutex
	got  bytes.Buffer
	room int           // bytes it takes before it is full; negative for no end
	held chan struct{} // writes wait until it is closed
	n    int           // writes
}

var errFull = errors.New("no space left on device")

func (w *target) Write(p []byte) (int, error) {
	if w.held != nil {
		<-w.held
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	if w.room >= 0 && len(p) > w.room {
		n, _ := w.got.Write(p[:w.room])
		w.room = 0
		return n, errFull
	}
	if w.room > 0 {
		w.room -= len(p)
	}
	return w.got.Write(p)
}

func (w *target) writes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

func (w *target) setRoom(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = n
}

// lines returns what each line written says of itself.
func lines(t *testing.T, written []byte) []line {
	t.Helper()
	var ls []line
	for s := range strings.Lines(string(written)) {
		var l line
		if err := json.Unmarshal([]byte(s), &l); err != nil || !strings.HasSuffix(s, "\n") {
			t.Fatalf("line %d is torn: %q", len(ls)+1, s)
		}
		ls = append(ls, l)
	}
	return ls
}

type line struct {
	Event, Action      string
	RequestID          string `json:"request_id"`
	Exchanges, Denials uint64
}

// count counts the lines of a kind: "allow", "deny", "loss".
func count(ls []line, kind string) (n int) {
	for _, l := range ls {
		if l.Action == kind || l.Event == kind {
			n++
		}
	}
	return n
}

// start runs w, and returns how to end that.
func start(w *event.Writer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestEventsAreWrittenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &target{room: -1}
		w := event.NewWriter(out, event.WriterOptions{})
		stop := start(w)
		var want []string
		for i := range 3000 {
			e := allowed()
			if i%3 == 0 {
				e = denied()
			}
			e.RequestID = strings.Repeat("x", 1+i%7)
			want = append(want, e.RequestID)
			w.Put(e)
			if i%100 == 0 {
				time.Sleep(30 * time.Millisecond)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range lines(t, out.got.Bytes()) {
			got = append(got, l.RequestID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		s := w.Stats()
		if s.Written != 3000 || s.Bytes != uint64(out.got.Len()) || s.Lost != (event.Losses{}) || s.Queued != 0 {
			t.Errorf("stats are %+v", s)
		}
		// How many go into one write is the scheduler's to say; one each would
		// be none gathered.
		if out.writes() > 300 {
			t.Errorf("3000 events took %d writes", out.writes())
		}
	})
}

func TestEventsWaitAtMostTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &target{room: -1}
		w := event.NewWriter(out, event.WriterOptions{Delay: 70 * time.Millisecond})
		stop := start(w)
		synctest.Wait()
		w.Put(allowed())
		time.Sleep(69 * time.Millisecond)
		synctest.Wait()
		if out.writes() != 0 {
			t.Error("it was written at once")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if out.writes() != 1 {
			t.Error("it was not written in time")
		}
		// Flush does not wait for that.
		w.Put(allowed())
		began := time.Now()
		if err := w.Flush(t.Context()); err != nil || out.writes() != 2 || time.Since(began) > 0 {
			t.Errorf("flush: %v after %v, %d writes", err, time.Since(began), out.writes())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDenialsOutliveExchanges is fault F30: while the target is stuck, a flood
// of allowed exchanges costs no denial, and denials throw them out.
func TestDenialsOutliveExchanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &target{room: -1, held: make(chan struct{})}
		w := event.NewWriter(out, event.WriterOptions{Queue: 256 << 10})
		stop := start(w)
		w.Put(allowed()) // is being written, and stuck
		time.Sleep(time.Second)
		const many, denials = 5000, 300 // 300 denials are about 225 KB
		for range many {
			w.Put(allowed())
		}
		for range denials {
			w.Put(denied())
		}
		for range many {
			w.Put(allowed())
		}
		if lost := w.Stats().Lost; lost.Denials != 0 || lost.Exchanges < many {
			t.Errorf("lost %+v", lost)
		}
		for range many {
			w.Put(denied()) // more denials than the queue can hold
		}
		lost := w.Stats().Lost
		if lost.Denials == 0 || lost.Exchanges != 2*many {
			t.Errorf("lost %+v", lost)
		}
		close(out.held)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ls := lines(t, out.got.Bytes())
		if got := count(ls, "deny"); got < denials || uint64(got) != denials+many-lost.Denials {
			t.Errorf("%d denials were written, %+v lost", got, lost)
		}
		if got := count(ls, "allow"); got != 1 {
			t.Errorf("%d allowed exchanges were written", got)
		}
		i := slices.IndexFunc(ls, func(l line) bool { return l.Event == "loss" })
		if i != 1 || ls[i].Exchanges != lost.Exchanges || ls[i].Denials != lost.Denials {
			t.Errorf("line %d tells of the loss %+v", i, lost)
		}
	})
}

// TestFullDiskLosesOnlyWhatDoesNotFit is fault F9: writing fails for a time,
// goes on where it stopped, and what was lost meanwhile is told.
func TestFullDiskLosesOnlyWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &target{room: 10_000}
		w := event.NewWriter(out, event.WriterOptions{Queue: 256 << 10, Retry: time.Second})
		stop := start(w)
		const many = 4000
		for range many {
			w.Put(denied())
			time.Sleep(time.Millisecond)
		}
		s := w.Stats()
		if s.Errors < 2 || s.Lost.Denials == 0 {
			t.Errorf("stats are %+v", s)
		}
		out.setRoom(-1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		lost := s.Lost.Denials
		if s = w.Stats(); s.Written != many-lost || s.Lost.Denials != lost {
			t.Errorf("afterwards stats are %+v", s)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ls := lines(t, out.got.Bytes())
		if count(ls, "deny") != many-int(lost) || count(ls, "loss") != 1 {
			t.Errorf("%d denials and %d losses were written", count(ls, "deny"), count(ls, "loss"))
		}
	})
}

func TestRunEndsInTimeWhateverTheTargetDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &target{room: -1, held: make(chan struct{})}
		w := event.NewWriter(out, event.WriterOptions{Drain: 3 * time.Second})
		stop := start(w)
		w.Put(denied())
		time.Sleep(time.Second)
		w.Put(denied())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush into a stuck target: %v", err)
		}
		began := time.Now()
		if err := stop(); !errors.Is(err, event.ErrUnwritten) || time.Since(began) != 3*time.Second {
			t.Errorf("a stuck target: %v after %v", err, time.Since(began))
		}
		w.Put(denied())
		if s := w.Stats(); s.Lost.Denials != 1 {
			t.Errorf("after the end stats are %+v", s)
		}
		close(out.held)

		full := event.NewWriter(&target{}, event.WriterOptions{Drain: 3 * time.Second})
		stop = start(full)
		full.Put(denied())
		time.Sleep(time.Second)
		began = time.Now()
		if err := stop(); !errors.Is(err, event.ErrUnwritten) || time.Since(began) != 3*time.Second {
			t.Errorf("a full target: %v after %v", err, time.Since(began))
		}
	})
}

func TestPutAllocatesNothing(t *testing.T) {
	w := event.NewWriter(io.Discard, event.WriterOptions{})
	e := denied()
	if n := testing.AllocsPerRun(1000, func() { w.Put(e) }); n > 0 {
		t.Errorf("Put allocates %v times, want 0", n)
	}
}

func TestPutMayBeCalledAtOnce(t *testing.T) {
	out := &target{room: -1}
	w := event.NewWriter(out, event.WriterOptions{})
	stop := start(w)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				w.Put(denied())
				w.Put(allowed())
			}
		})
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(lines(t, out.got.Bytes())); n != 1600 {
		t.Errorf("%d lines were written", n)
	}
}

// TestUnreadFIFO is fault F28 on the real thing: nobody reads, Put returns,
// and what a late reader gets is whole.
func TestUnreadFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	f, err := event.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := event.NewWriter(f, event.WriterOptions{Delay: time.Millisecond, Retry: time.Millisecond, Drain: 20 * time.Second})
	stop := start(w)
	const many = 20_000
	for range many {
		w.Put(denied())
	}
	if w.Stats().Lost.Denials == 0 {
		t.Error("the queue took everything")
	}
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		read <- b
	}()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f.Close() // the reader's end
	ls := lines(t, <-read)
	s := w.Stats()
	if count(ls, "deny") != int(s.Written) || s.Written+s.Lost.Denials != many || count(ls, "loss") == 0 {
		t.Errorf("%d denials and %d losses were read; %+v", count(ls, "deny"), count(ls, "loss"), s)
	}
}

// TestStuckFIFOCanBeClosed: a reader that stopped reading does not keep the
// process from ending.
func TestStuckFIFOCanBeClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := event.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error)
	go func() {
		_, err := f.Write(bytes.Repeat([]byte("x\n"), 1<<20)) // more than a pipe holds
		wrote <- err
	}()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err == nil {
		t.Error("the write succeeded")
	}
}

func TestFileIsPrivateAndReopens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := event.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(s string) {
		t.Helper()
		if _, err := f.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	write("1\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("2\n")
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("3\n")
	for name, want := range map[string]string{path + ".1": "1\n2\n", path: "3\n"} {
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
		if i, err := os.Stat(name); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, i.Mode(), err)
		}
	}
	// A directory that is gone keeps the old file in use.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("reopened a file in a directory that is gone")
	}
	write("4\n")
	if _, err := event.OpenFile(filepath.Join(path, "events")); err == nil {
		t.Error("opened a file in a directory that is not there")
	}
}

// TestTornLineIsRemoved is fault F9 on the real thing: a file that may not
// grow ends with a whole line, and goes on with the next.
func TestTornLineIsRemoved(t *testing.T) {
	if os.Getenv("EVENT_TEST_TORN") == "" {
		// The limit holds for a whole process and stays, so another has it.
		cmd := reexec(t, "TestTornLineIsRemoved", "EVENT_TEST_TORN="+filepath.Join(t.TempDir(), "events"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	path := os.Getenv("EVENT_TEST_TORN")
	ignoreXFSZ()
	limit := syscall.Rlimit{Cur: 1000, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skip(err)
	}
	f, err := event.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := strings.Repeat("x", 299) + "\n"
	n, err := f.Write([]byte(strings.Repeat(l, 5)))
	if n != 900 || err == nil {
		t.Errorf("wrote %d bytes, %v; want 900 and an error", n, err)
	}
	limit.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte(strings.Repeat(l, 2))); n != 600 || err != nil {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if got, _ := os.ReadFile(path); string(got) != strings.Repeat(l, 5) {
		t.Errorf("the file holds %q", got)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name string
		e    *event.Event
	}{{"allowed", allowed()}, {"denied", denied()}} {
		b.Run(c.name, func(b *testing.B) {
			w := event.NewWriter(io.Discard, event.WriterOptions{})
			stop := start(w)
			b.ReportAllocs()
			for b.Loop() {
				w.Put(c.e)
			}
			stop()
			s := w.Stats()
			b.ReportMetric(float64(s.Lost.Denials+s.Lost.Exchanges)/float64(b.N), "lost/op")
		})
	}
}
