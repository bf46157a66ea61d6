package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// watching runs a watch over files and returns what it finds. Its clocks are
// short, so the test waits for the watch and not for time.
func watching(t *testing.T, settle time.Duration, files ...string) (*watch, <-chan []string) {
	t.Helper()
	w := newWatch(slog.New(slog.DiscardHandler))
	w.every, w.settle = 20*time.Millisecond, settle
	w.set(files, time.Now().Add(time.Hour))
	found := make(chan []string, 16)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx, func(files []string) { found <- files })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w, found
}

func wait(t *testing.T, found <-chan []string, want ...string) {
	t.Helper()
	select {
	case got := <-found:
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("changed files (-want +got):\n%s", d)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("no change of %v was seen within 5 s", want)
	}
}

func TestWatchSeesContentThatChanges(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "shop.yaml")
	write(t, name, "one")
	_, found := watching(t, 10*time.Millisecond, name)

	write(t, name, "two")
	wait(t, found, name)

	// The same size and the same time: only the content tells.
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, "six")
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	wait(t, found, name)

	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	wait(t, found, name)
	write(t, name, "back")
	wait(t, found, name)
}

// A touched file, or one written with what it held, is no change.
func TestWatchIsSilentWhereContentStays(t *testing.T) {
	name := filepath.Join(t.TempDir(), "shop.yaml")
	write(t, name, "one")
	w := newWatch(slog.New(slog.DiscardHandler))
	w.set([]string{name}, time.Now().Add(time.Hour))
	write(t, name, "one")
	if err := os.Chtimes(name, time.Now(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := w.changed(); len(got) > 0 {
		t.Errorf("%v changed, and holds what it held", got)
	}
}

// A mounted ConfigMap is a link to a link to a folder; an update swaps the
// link in between.
func TestWatchSeesConfigMapSwap(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, v, "shop.yaml"), v)
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("v1", "..data")
	link(filepath.Join("..data", "shop.yaml"), "shop.yaml")
	name := filepath.Join(dir, "shop.yaml")
	_, found := watching(t, 10*time.Millisecond, name)
	link("v2", "..tmp")
	if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	wait(t, found, name)
}

// F13: a file that is still being written is waited for.
func TestF13HalfWrittenFileIsWaitedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "shop.yaml")
	write(t, name, "old")
	w, found := watching(t, 200*time.Millisecond, name)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := f.WriteString(strings.Repeat("x", 100)); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	wait(t, found, name)
	if got := w.changed(); len(got) > 0 {
		t.Errorf("%v changed after it was found whole", got)
	}
}

// What was written while it was loaded is loaded again.
func TestWatchSeesChangeDuringLoad(t *testing.T) {
	name := filepath.Join(t.TempDir(), "shop.yaml")
	began := time.Now()
	write(t, name, "written while something was loading")
	w := newWatch(slog.New(slog.DiscardHandler))
	w.set([]string{name}, began)
	if got := w.changed(); len(got) != 1 {
		t.Error("a file written since the load began was taken for what was loaded")
	}
	if got := w.changed(); len(got) != 0 {
		t.Error("the change is found again and again")
	}
}

func TestWatchOfFilesThatCannotBeRead(t *testing.T) {
	w := newWatch(slog.New(slog.DiscardHandler))
	dir := t.TempDir()
	w.set([]string{filepath.Join(dir, "none"), dir}, time.Now())
	if got := w.changed(); len(got) > 0 {
		t.Errorf("%v changed", got)
	}
}
