package app

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A watch tells when the content of files changes. The system's notices make
// it quick where they work; polling makes it sure where they do not come
// through: bind mounts, network file systems, the symbolic links that
// Kubernetes swaps. What counts is content, so a touched file is no change,
// and a file that goes away or comes back is one.
type watch struct {
	every  time.Duration // between two polls
	settle time.Duration // how long content must stay the same before it is believed
	log    *slog.Logger

	mu    sync.Mutex // guards files
	files map[string]stamp
	reset chan struct{} // the files are others than before
}

// A stamp is what a file held when it was last looked at.
type stamp struct {
	sum  [sha256.Size]byte // zero where it cannot be read
	info os.FileInfo
}

// wholeAlways is the size up to which a file is read at each poll. A larger
// one is read again only where its size, time or inode changed.
const wholeAlways = 4 << 20

func newWatch(log *slog.Logger) *watch {
	return &watch{every: 2 * time.Second, settle: 150 * time.Millisecond, log: log,
		files: map[string]stamp{}, reset: make(chan struct{}, 1)}
}

// set says which files to watch from now on. What was loaded was read since a
// moment before; a file that was written after it may hold something else
// than what was loaded, and counts as changed.
func (w *watch) set(files []string, since time.Time) {
	since = since.Add(-10 * time.Millisecond) // the file system's clock is coarse
	next := make(map[string]stamp, len(files))
	for _, f := range files {
		s := look(f, stamp{})
		if s.info != nil && s.info.ModTime().After(since) && s.info.ModTime().Before(time.Now()) {
			s = stamp{sum: [sha256.Size]byte{0: 1}} // what no file holds
		}
		next[f] = s
	}
	w.mu.Lock()
	w.files = next
	w.mu.Unlock()
	select {
	case w.reset <- struct{}{}:
	default:
	}
}

// look reads what a file holds, unless old says that nothing can have changed.
func look(name string, old stamp) (s stamp) {
	f, err := os.Open(name)
	if err != nil {
		return stamp{}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return stamp{}
	}
	if old.info != nil && info.Size() > wholeAlways && os.SameFile(info, old.info) &&
		info.Size() == old.info.Size() && info.ModTime().Equal(old.info.ModTime()) {
		return old
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return stamp{}
	}
	s.info = info
	hash.Sum(s.sum[:0])
	return s
}

// changed looks at every file and returns those that hold something else than
// before, which is remembered.
func (w *watch) changed() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, old := range w.files {
		s := look(name, old)
		if s.sum != old.sum {
			names = append(names, name)
		}
		w.files[name] = s
	}
	slices.Sort(names)
	return names
}

// run calls found with the files that changed, until ctx is done. It waits
// until they stay as they are, so that a half-written file is not taken for
// the whole: a policy that ends early may well be valid, and weaker.
func (w *watch) run(ctx context.Context, found func(files []string)) {
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("files are watched by polling only", "err", err)
		notices = &fsnotify.Watcher{} // whose channels never speak
	} else {
		defer notices.Close()
	}
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.reset:
			if err == nil {
				w.subscribe(notices)
			}
		case <-notices.Events:
		case <-notices.Errors:
		case <-tick.C:
		}
		files := w.changed()
		if len(files) == 0 {
			continue
		}
		for again := files; len(again) > 0; again = w.changed() {
			files = append(files, again...)
			select {
			case <-ctx.Done():
				return
			case <-time.After(w.settle):
			}
		}
		slices.Sort(files)
		found(slices.Compact(files))
	}
}

// subscribe asks for notices of the folders that the files are in: a file that
// is replaced by renaming would be lost by its own watch. Both ends of
// symbolic links are looked at.
func (w *watch) subscribe(notices *fsnotify.Watcher) {
	want := map[string]bool{}
	w.mu.Lock()
	for name := range w.files {
		want[filepath.Dir(name)] = true
		if real, err := filepath.EvalSymlinks(name); err == nil {
			want[filepath.Dir(real)] = true
		}
	}
	w.mu.Unlock()
	for _, have := range notices.WatchList() {
		if want[have] {
			delete(want, have)
		} else {
			notices.Remove(have)
		}
	}
	for dir := range want {
		if err := notices.Add(dir); err != nil {
			w.log.Debug("a folder is watched by polling only", "folder", dir, "err", err)
		}
	}
}
