package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// WriterOptions say how a Writer queues. Zero fields mean the defaults.
type WriterOptions struct {
	// Queue is how many bytes of encoded events may wait to be written;
	// 4 MiB unless set, at least 256 KiB. As much again may be in the
	// middle of being written.
	Queue int
	// Delay is how long an event may wait so that several are written at
	// once; 100 ms unless set. A batch of 64 KiB does not wait.
	Delay time.Duration
	// Retry is how long to wait after a write failed; 1 s unless set.
	Retry time.Duration
	// Drain is how long Run goes on writing after its context ended; 5 s
	// unless set.
	Drain time.Duration
	// Log is told when writing fails and when it works again; nil discards.
	Log *slog.Logger
}

const (
	minQueue  = 256 << 10
	batchSize = 64 << 10
)

// A Writer is a [Sink] that writes events as lines of JSON. Put only copies
// into a bounded queue; Run writes.
//
// What the queue cannot take is dropped and counted, never waited for. Exchanges
// that passed with nothing found go first: they may fill three quarters of the
// queue, and they are thrown out of it when a denial or a hit needs the room.
// After a loss the stream itself says so, in a line with "event":"loss".
type Writer struct {
	w     io.Writer
	o     WriterOptions
	plain int // bytes that the queue may hold for an ordinary event to be taken

	wake     chan struct{} // has room for one; the queue has something, or enough for a batch
	scratch  sync.Pool     // of *[]byte: events are encoded before the lock is taken
	stats    stats
	mu       sync.Mutex // guards all below
	queue    batch
	ended    bool
	put      uint64        // events taken, and those in the spare batch
	settled  uint64        // events written or lost after they were taken
	progress chan struct{} // closed when settled grows; nil where nobody waits
}

// stats are guarded by Writer.mu.
type stats struct {
	Stats
	told Losses // what loss lines have said
}

// Stats count what became of the events that a Writer was given.
type Stats struct {
	Written uint64 // events written whole
	Bytes   uint64 // bytes written
	Errors  uint64 // writes that failed
	Queued  int    // events waiting now
	Lost    Losses
}

// Losses count events that were dropped.
type Losses struct {
	Exchanges uint64 // that passed with nothing found
	Denials   uint64 // that were refused or had hits
}

// A batch is a run of encoded events, one a line.
type batch struct {
	buf      []byte
	ends     []end
	ordinary int // bytes of events that passed with nothing found
}

// An end is where an event of a batch ends, and whether it may be thrown out.
type end struct {
	at       int
	ordinary bool
}

// NewWriter returns a Writer to w. Nothing is written before Run runs.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	if o.Queue == 0 {
		o.Queue = 4 << 20
	}
	o.Queue = max(o.Queue, minQueue)
	if o.Delay == 0 {
		o.Delay = 100 * time.Millisecond
	}
	if o.Retry == 0 {
		o.Retry = time.Second
	}
	if o.Drain == 0 {
		o.Drain = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	wr := &Writer{w: w, o: o, plain: o.Queue / 4 * 3, wake: make(chan struct{}, 1)}
	wr.scratch.New = func() any { b := make([]byte, 0, 2048); return &b }
	wr.queue = newBatch(o.Queue)
	return wr
}

// newBatch makes room for all that a queue may hold, so that Put allocates
// nothing. Untouched pages cost no memory.
func newBatch(size int) batch {
	return batch{buf: make([]byte, 0, size), ends: make([]end, 0, size/minEvent+1)}
}

// minEvent is less than the smallest event takes.
const minEvent = 160

// Put takes a copy of e, or drops it and counts it. It never waits for the
// writing, and allocates nothing once warm. It may be called at once.
func (w *Writer) Put(e *Event) {
	ordinary := e.Action == exchange.Allow && len(e.Hits) == 0
	s := w.scratch.Get().(*[]byte)
	b := append(e.AppendJSON((*s)[:0]), '\n')
	*s = b

	w.mu.Lock()
	q := &w.queue
	wake := false
	switch {
	case w.ended || !w.fits(len(b), ordinary):
		w.lose(ordinary)
	default:
		before := len(q.buf)
		q.add(b, ordinary)
		w.put++
		wake = before == 0 || before < batchSize && len(q.buf) >= batchSize
	}
	w.mu.Unlock()

	w.scratch.Put(s)
	if wake {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// fits reports whether the queue takes n bytes more. For a denial it makes
// room. It is called with the lock held.
func (w *Writer) fits(n int, ordinary bool) bool {
	q := &w.queue
	if len(q.ends) == cap(q.ends) {
		return false
	}
	if ordinary {
		return len(q.buf)+n <= w.plain
	}
	if len(q.buf)+n <= w.o.Queue {
		return true
	}
	// At least a quarter of the queue has been filled by denials since it was
	// last compacted, so that this costs each of them little.
	dropped := q.dropOrdinary()
	w.stats.Lost.Exchanges += uint64(dropped)
	w.settle(dropped)
	return len(q.buf)+n <= w.o.Queue
}

func (w *Writer) lose(ordinary bool) {
	if ordinary {
		w.stats.Lost.Exchanges++
	} else {
		w.stats.Lost.Denials++
	}
}

// settle says that n events have met their end. It is called with the lock held.
func (w *Writer) settle(n int) {
	w.settled += uint64(n)
	if w.progress != nil && n > 0 {
		close(w.progress)
		w.progress = nil
	}
}

func (q *batch) add(b []byte, ordinary bool) {
	q.buf = append(q.buf, b...)
	q.ends = append(q.ends, end{len(q.buf), ordinary})
	if ordinary {
		q.ordinary += len(b)
	}
}

// dropOrdinary throws out what passed with nothing found, and returns how many
// events that were.
func (q *batch) dropOrdinary() int {
	if q.ordinary == 0 {
		return 0
	}
	n, start, size := 0, 0, 0
	for _, e := range q.ends {
		if !e.ordinary {
			size += copy(q.buf[size:], q.buf[start:e.at])
			q.ends[n] = end{size, false}
			n++
		}
		start = e.at
	}
	dropped := len(q.ends) - n
	q.buf, q.ends, q.ordinary = q.buf[:size], q.ends[:n], 0
	return dropped
}

// Stats returns the counts so far.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats.Stats
	s.Queued = int(w.put - w.settled)
	return s
}

// Flush waits until every event that was put before has been written or lost,
// or until ctx is done.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	target := w.put
	for w.settled < target {
		if w.progress == nil {
			w.progress = make(chan struct{})
		}
		progress := w.progress
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}: // do not wait for a batch to fill
		default:
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("flush events: %w", ctx.Err())
		}
		w.mu.Lock()
	}
	w.mu.Unlock()
	return nil
}

// ErrUnwritten is what Run returns where it ended with events unwritten.
var ErrUnwritten = errors.New("events were left unwritten")

// Run writes until ctx is done, then writes what is left for at most
// Options.Drain. It returns nil where all was written. A write that never
// returns cannot be stopped: then Run returns ErrUnwritten in time all the
// same, and that write stays behind until its target is closed. Run is called
// once.
func (w *Writer) Run(ctx context.Context) error {
	stop := make(chan struct{}) // closed when nothing may be tried again
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.loop(ctx, stop)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		timer := time.NewTimer(w.o.Drain)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
			close(stop)
		}
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	left := w.put - w.settled
	if left == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d", ErrUnwritten, left)
}

// loop writes batch after batch, until ctx is done and nothing is left, or
// until stop is closed.
func (w *Writer) loop(ctx context.Context, stop <-chan struct{}) {
	out := newBatch(w.o.Queue)
	var loss []byte
	for {
		draining := false
		select {
		case <-w.wake:
			draining = w.linger(ctx)
		case <-ctx.Done():
			draining = true
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			loss = w.take(&out, loss[:0])
			if len(out.ends) == 0 && len(loss) == 0 {
				break
			}
			if !w.write(ctx, stop, loss, 0) || !w.write(ctx, stop, out.buf, len(out.ends)) {
				return
			}
		}
		if draining {
			w.mu.Lock()
			empty := len(w.queue.ends) == 0
			w.ended = w.ended || empty
			w.mu.Unlock()
			if empty {
				return
			}
		}
	}
}

// linger waits for more events to write at once. It reports whether ctx is done.
func (w *Writer) linger(ctx context.Context) bool {
	w.mu.Lock()
	enough := len(w.queue.buf) >= batchSize || w.progress != nil
	w.mu.Unlock()
	if enough {
		return ctx.Err() != nil
	}
	timer := time.NewTimer(w.o.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
	case <-ctx.Done():
	}
	return ctx.Err() != nil
}

// take swaps the queue with the empty batch out, and appends a line to loss
// where events were dropped that no line has told of.
func (w *Writer) take(out *batch, loss []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	out.buf, out.ends, out.ordinary = out.buf[:0], out.ends[:0], 0
	w.queue, *out = *out, w.queue
	lost, told := w.stats.Lost, w.stats.told
	if lost == told {
		return loss
	}
	w.stats.told = lost
	loss = append(loss, `{"v":1,"event":"loss","time":"`...)
	loss = time.Now().UTC().AppendFormat(loss, "2006-01-02T15:04:05.000000Z")
	loss = append(loss, `","exchanges":`...)
	loss = strconv.AppendUint(loss, lost.Exchanges-told.Exchanges, 10)
	loss = append(loss, `,"denials":`...)
	loss = strconv.AppendUint(loss, lost.Denials-told.Denials, 10)
	return append(loss, "}\n"...)
}

// write writes b, which holds n events, and tries again from where it stood
// after an error: what is in hand is kept, and while that lasts the queue
// fills, drops and counts. It reports false where stop was closed first.
func (w *Writer) write(ctx context.Context, stop <-chan struct{}, b []byte, n int) bool {
	failing := false
	for len(b) > 0 {
		m, err := w.w.Write(b)
		m = min(max(m, 0), len(b))
		b = b[m:]
		w.mu.Lock()
		w.stats.Bytes += uint64(m)
		if err == nil && len(b) > 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			w.stats.Errors++
		}
		w.mu.Unlock()
		switch {
		case err == nil && failing:
			w.o.Log.Info("writing events again")
		case err == nil:
		case !failing:
			failing = true
			w.o.Log.Error("cannot write events", "err", err)
			fallthrough
		default:
			if !w.pause(ctx, stop) {
				return false
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Written += uint64(n)
	w.settle(n)
	return true
}

// pause waits before a write is tried again: shorter once the end is near.
func (w *Writer) pause(ctx context.Context, stop <-chan struct{}) bool {
	d := w.o.Retry
	if ctx.Err() != nil {
		d = min(d, w.o.Drain/8+time.Millisecond)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	done := ctx.Done()
	if ctx.Err() != nil {
		done = nil
	}
	select {
	case <-timer.C:
		return true
	case <-done:
		return true
	case <-stop:
		return false
	}
}
