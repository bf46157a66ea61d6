package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A loop is everything around the proxy that is measured: the callers and the
// upstream, in one epoll loop on one thread. It reads and writes with raw
// system calls, allocates nothing while it measures, and compares every byte
// that comes back, so that its cost is small, even, and the same for every
// subject.
type loop struct {
	ep, listener int
	upstreamPort int

	ends    []end // by file descriptor
	closing []int // closed at the end of a batch, so that no event meets a reused descriptor
	buf     []byte
	base    time.Time

	answers map[string]*answer
	strays  int64 // requests for something else, such as health checks
	faults  int64 // requests that came damaged
	fault   string

	orders atomic.Pointer[job] // handed in by run
	job    *job
	free   []int // callers that wait for an arrival (only with a rate)
	held   []int
}

// An answer is what the upstream says to one target, head and body in one piece.
type answer struct {
	bytes []byte
	sent  []byte // what a request's body must be
	seen  int64
}

type kind uint8

const (
	nobody kind = iota
	caller
	upstream
)

// An end is one side of a connection that the loop holds.
type end struct {
	kind     kind
	waitsOut bool // registered for EPOLLOUT
	busy     bool // caller: a request is under way
	msg      message
	off      int // bytes of the body compared so far
	out      []byte

	started time.Duration // caller: when the request was sent, or was due
	ex      *exchange
	next    int // caller: index of the next exchange

	ans *answer // upstream: whose request is being read
}

// A job tells the callers what to do. The loop fills in result.
type job struct {
	port      int
	callers   int
	exchanges []exchange
	warm      time.Duration // before measuring; at least until every caller has had an answer
	length    time.Duration // of the measured window
	total     int64         // instead of a window: stop after so many answers
	rate      float64       // arrivals a second; 0 keeps every caller busy
	hold      bool          // each caller sends one request and stays connected
	release   bool          // only counts and closes the callers that hold left
	pids      []int         // the subject's processes

	result   result
	finished chan struct{}

	progress atomic.Int64 // answers so far, for whoever watches

	opened    int
	live      int // callers connected
	inFlight  int
	stage     stage
	begun     time.Duration
	stageAt   time.Duration
	cpu0      time.Duration
	host0     hostTicks
	due       time.Duration // rate: the next arrival
	backlog   []time.Duration
	answered  int // callers that had their first answer
	windowed  int64
	seenAtRun int64
}

type stage uint8

const (
	warming stage = iota
	measuring
	draining
)

// A result is what one job measured.
type result struct {
	Requests   int64 // in the window
	Seconds    float64
	CPU        time.Duration // of the subject, in the window
	Foreign    float64       // share of the proxy's core that others used
	Steal      float64       // share that the hypervisor took
	Errors     int64
	FirstError string
	Reconnects int64
	Latency    histogram
	Done       int64 // answers in all, warm-up included
	Held       int   // release: callers that were still connected
}

func newLoop(ws []workload) (*loop, error) {
	l := &loop{buf: make([]byte, 256<<10), base: time.Now(), answers: make(map[string]*answer)}
	for _, w := range ws {
		for _, ex := range w.exchanges {
			l.answers[ex.target] = &answer{sent: ex.sent, bytes: fmt.Appendf(nil,
				"HTTP/1.1 %d OK\r\nServer: shop\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\n"+
					"Content-Type: application/json\r\nContent-Length: %d\r\nCache-Control: private, max-age=0\r\n\r\n%s",
				ex.status, len(ex.answer), ex.answer)}
		}
	}
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	l.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(l.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	if err := unix.Listen(l.listener, 4096); err != nil {
		return nil, err
	}
	sa, err := unix.Getsockname(l.listener)
	if err != nil {
		return nil, err
	}
	l.upstreamPort = sa.(*unix.SockaddrInet4).Port
	return l, unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, l.listener, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.listener)})
}

// do runs a job and returns what it measured. It may not be called at once.
func (l *loop) do(j *job) *result {
	j.finished = make(chan struct{})
	l.orders.Store(j)
	<-j.finished
	return &j.result
}

// now is read once per answer, not per system call.
func (l *loop) now() time.Duration { return time.Since(l.base) }

// run serves until the process ends. It never leaves its thread.
func (l *loop) run(core int) {
	runtime.LockOSThread()
	pinThread(0, core)
	events := make([]unix.EpollEvent, 512)
	for {
		if l.job == nil {
			if j := l.orders.Swap(nil); j != nil {
				l.start(j)
			}
		}
		for i := range l.wait(events) {
			ev := &events[i]
			fd := int(ev.Fd)
			if fd == l.listener {
				l.accept()
				continue
			}
			if ev.Events&unix.EPOLLOUT != 0 && l.ends[fd].waitsOut {
				l.flush(fd)
			}
			if ev.Events&^unix.EPOLLOUT != 0 && l.ends[fd].kind != nobody {
				l.readable(fd)
			}
		}
		if l.job != nil {
			l.step()
		}
		for _, fd := range l.closing {
			unix.Close(fd)
		}
		l.closing = l.closing[:0]
	}
}

// wait returns the number of events. While a job runs it spares the scheduler's
// part of a system call; otherwise it lets the runtime stop the world.
func (l *loop) wait(events []unix.EpollEvent) int {
	if l.job == nil {
		n, _ := unix.EpollWait(l.ep, events, 10)
		return max(0, n) // interrupted by a signal of the runtime
	}
	ms := 0
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_WAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func read(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func write(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// take registers a connected descriptor.
func (l *loop) take(fd int, k kind) error {
	for fd >= len(l.ends) {
		l.ends = append(l.ends, make([]end, 256)...)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	partial := l.ends[fd].msg.partial[:0]
	l.ends[fd] = end{kind: k, msg: message{partial: partial}}
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (l *loop) drop(fd int) {
	l.ends[fd].kind = nobody
	l.ends[fd].out = nil
	unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, fd, nil)
	l.closing = append(l.closing, fd)
}

func (l *loop) accept() {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if err := l.take(fd, upstream); err != nil {
			unix.Close(fd)
		}
	}
}

// send writes b, now or when there is room.
func (l *loop) send(fd int, b []byte) {
	l.ends[fd].out = b
	l.flush(fd)
}

func (l *loop) flush(fd int) {
	e := &l.ends[fd]
	for len(e.out) > 0 {
		n, errno := write(fd, e.out)
		if errno == unix.EAGAIN {
			if !e.waitsOut {
				e.waitsOut = true
				unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(fd)})
			}
			return
		}
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			e.out = nil
			return // the read side reports it
		}
		e.out = e.out[n:]
	}
	if e.waitsOut {
		e.waitsOut = false
		unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
}

func (l *loop) readable(fd int) {
	n, errno := read(fd, l.buf)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if l.ends[fd].kind == caller {
		if errno != 0 || n <= 0 {
			l.callerClosed(fd, errno)
			return
		}
		l.response(fd, l.buf[:n])
		return
	}
	if errno != 0 || n <= 0 {
		l.drop(fd)
		return
	}
	l.request(fd, l.buf[:n])
}

// request reads what a proxy sent upstream and answers it.
func (l *loop) request(fd int, b []byte) {
	for len(b) > 0 {
		e := &l.ends[fd]
		rest, done, err := e.msg.feed(b, func(head []byte) error {
			e.ans, e.off = nil, 0
			i := bytes.IndexByte(head, ' ')
			if i < 0 {
				return errors.New("no method")
			}
			j := bytes.IndexByte(head[i+1:], ' ')
			if j < 0 {
				return errors.New("no version")
			}
			e.ans = l.answers[string(head[:i+1+j])]
			return nil
		}, func(p []byte) error {
			if e.ans == nil {
				return nil
			}
			if e.off+len(p) > len(e.ans.sent) || !bytes.Equal(p, e.ans.sent[e.off:e.off+len(p)]) {
				return errors.New("the body is not what the caller sent")
			}
			e.off += len(p)
			return nil
		})
		if err != nil {
			l.fail(err.Error())
			l.drop(fd)
			return
		}
		if !done {
			return
		}
		b = rest
		switch {
		case e.ans == nil:
			l.strays++
			l.send(fd, notFound)
		case e.off != len(e.ans.sent):
			l.fail("a request came without its body")
			l.drop(fd)
			return
		default:
			e.ans.seen++
			l.send(fd, e.ans.bytes)
		}
	}
}

var notFound = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

func (l *loop) fail(what string) {
	if l.faults++; l.faults == 1 {
		l.fault = what
	}
}

// response compares what came back and, when it is whole, sends the caller's
// next request.
func (l *loop) response(fd int, b []byte) {
	e := &l.ends[fd]
	if !e.busy {
		l.callerFailed(fd, fmt.Sprintf("%d bytes came that nobody asked for: %.80q", len(b), b))
		return
	}
	rest, done, err := e.msg.feed(b, func(head []byte) error {
		if len(head) < 12 || !bytes.Equal(head[:9], []byte("HTTP/1.1 ")) || int(head[9]-'0')*100+int(head[10]-'0')*10+int(head[11]-'0') != e.ex.status {
			return fmt.Errorf("want status %d, got %.400q", e.ex.status, b)
		}
		e.off = 0
		return nil
	}, func(p []byte) error {
		if e.off+len(p) > len(e.ex.answer) || !bytes.Equal(p, e.ex.answer[e.off:e.off+len(p)]) {
			return fmt.Errorf("the body differs at or after byte %d: %.80q", e.off, p)
		}
		e.off += len(p)
		return nil
	})
	switch {
	case err != nil:
		l.callerFailed(fd, err.Error())
		return
	case !done:
		return
	case e.off != len(e.ex.answer):
		l.callerFailed(fd, fmt.Sprintf("a body of %d bytes, want %d", e.off, len(e.ex.answer)))
		return
	case len(rest) > 0:
		l.callerFailed(fd, "bytes follow the answer")
		return
	}
	j, now := l.job, l.now()
	e.busy = false
	j.inFlight--
	j.result.Done++
	j.progress.Store(j.result.Done)
	if j.stage == measuring {
		j.result.Requests++
		j.result.Latency.add(now - e.started)
	}
	if e.msg.close {
		j.result.Reconnects++
		j.live--
		l.drop(fd)
		l.open()
		return
	}
	switch {
	case j.hold:
		l.held = append(l.held, fd)
		j.live--
	case j.stage == draining:
	case j.rate > 0:
		l.free = append(l.free, fd)
	default:
		l.next(fd, now)
	}
}

// next sends a caller's next request.
func (l *loop) next(fd int, due time.Duration) {
	e, j := &l.ends[fd], l.job
	e.ex = &j.exchanges[e.next%len(j.exchanges)]
	e.next++
	e.busy, e.started = true, due
	j.inFlight++
	l.send(fd, e.ex.request)
}

func (l *loop) callerClosed(fd int, errno syscall.Errno) {
	if l.job == nil || (!l.ends[fd].busy && l.job.stage == draining) {
		for i, h := range l.held {
			if h == fd {
				l.held = append(l.held[:i], l.held[i+1:]...)
				break
			}
		}
		l.drop(fd)
		return
	}
	what := "the connection was closed"
	if errno != 0 {
		what = errno.Error()
	}
	if !l.ends[fd].busy { // between two requests, which is allowed
		l.job.result.Reconnects++
		l.job.live--
		for i, f := range l.free {
			if f == fd {
				l.free = append(l.free[:i], l.free[i+1:]...)
				break
			}
		}
		l.drop(fd)
		l.open()
		return
	}
	l.callerFailed(fd, fmt.Sprintf("%s after %d bytes of the answer", what, l.ends[fd].off))
}

// maxErrors ends a job: something is wrong, and more of it says nothing new.
const maxErrors = 50

func (l *loop) callerFailed(fd int, what string) {
	j := l.job
	if l.ends[fd].busy {
		j.inFlight--
	}
	j.live--
	l.drop(fd)
	l.countError(what)
	l.open()
}

func (l *loop) countError(what string) {
	if l.job.result.Errors++; l.job.result.Errors == 1 {
		l.job.result.FirstError = what
	}
}

// open connects one more caller and lets it begin.
func (l *loop) open() {
	j := l.job
	if j.stage == draining || j.result.Errors > maxErrors {
		return
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: j.port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = l.take(fd, caller)
	}
	if err != nil {
		l.countError("connect: " + err.Error())
		if fd >= 0 {
			unix.Close(fd)
		}
		return
	}
	j.live++
	l.ends[fd].next = j.opened * 7
	j.opened++
	l.next(fd, l.now())
}

func (l *loop) start(j *job) {
	l.job = j
	j.begun = l.now()
	j.stageAt = j.begun
	j.seenAtRun = l.seen(j)
	l.faults, l.fault = 0, ""
	l.free = l.free[:0]
	j.due = j.begun
	if j.release {
		j.result.Held, l.held = len(l.held), nil
		l.finish()
		return
	}
	if !j.hold {
		for range j.callers {
			l.open()
		}
	}
}

// seen counts the job's requests that reached the upstream.
func (l *loop) seen(j *job) int64 {
	var n int64
	done := make(map[*answer]bool)
	for i := range j.exchanges {
		if a := l.answers[j.exchanges[i].target]; !done[a] {
			done[a] = true
			n += a.seen
		}
	}
	return n
}

// patience is how long a drain, or a job's next answer, may take.
const patience = 20 * time.Second

// step moves the job on after each batch of events.
func (l *loop) step() {
	j, now := l.job, l.now()
	if j.rate > 0 && j.stage != draining {
		l.arrivals(now)
	}
	switch j.stage {
	case warming:
		switch {
		case j.result.Errors > maxErrors || now-j.stageAt > patience && j.result.Done == 0:
			l.drain(now)
		case j.hold:
			for j.inFlight < 64 && j.opened < j.callers && j.result.Errors <= maxErrors {
				l.open()
			}
			if len(l.held) >= j.callers {
				l.drain(now)
			}
		case j.total > 0:
			if j.result.Done >= j.total {
				j.result.Seconds = (now - j.begun).Seconds()
				l.drain(now)
			}
		case now-j.begun > j.warm && j.result.Done >= int64(j.callers) || now-j.begun > j.warm+patience:
			j.stage, j.stageAt = measuring, now
			j.cpu0, j.host0 = cpuOf(j.pids), hostCPU(proxyCore)
		}
	case measuring:
		if now-j.stageAt >= j.length || j.result.Errors > maxErrors {
			j.result.CPU = cpuOf(j.pids) - j.cpu0
			j.result.Seconds = (now - j.stageAt).Seconds()
			j.result.Foreign, j.result.Steal = hostCPU(proxyCore).since(j.host0, j.result.CPU, now-j.stageAt)
			l.drain(now)
		}
	case draining:
		if j.inFlight > 0 && now-j.stageAt < patience {
			return
		}
		if j.inFlight > 0 {
			l.countError(fmt.Sprintf("%d requests had no answer within %v", j.inFlight, patience))
		}
		l.finish()
	}
}

// arrivals hands requests that are due to callers that are free. A request's
// time counts from when it was due, so that waiting for a caller is seen.
func (l *loop) arrivals(now time.Duration) {
	j := l.job
	gap := time.Duration(float64(time.Second) / j.rate)
	for j.due <= now {
		j.backlog = append(j.backlog, j.due)
		j.due += gap
	}
	n := min(len(l.free), len(j.backlog))
	for i := range n {
		fd := l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		l.next(fd, j.backlog[i])
	}
	if n > 0 {
		j.backlog = append(j.backlog[:0], j.backlog[n:]...)
	}
}

func (l *loop) drain(now time.Duration) {
	l.job.stage, l.job.stageAt = draining, now
}

func (l *loop) finish() {
	j := l.job
	for fd := range l.ends {
		if l.ends[fd].kind == caller && !(j.hold && !l.ends[fd].busy) {
			l.drop(fd)
		}
	}
	if seen := l.seen(j) - j.seenAtRun; seen != j.result.Done && j.result.Errors == 0 {
		l.countError(fmt.Sprintf("the upstream saw %d requests, the callers had %d answers", seen, j.result.Done))
	}
	if l.faults > 0 {
		l.countError("upstream: " + l.fault)
	}
	l.job = nil
	close(j.finished)
}
