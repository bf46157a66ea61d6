package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The proxy has one core, everything else the other.
const (
	proxyCore = 0
	loadCore  = 1
)

// pinThread moves one thread to a core; 0 is the calling one.
func pinThread(tid, core int) error {
	var set unix.CPUSet
	set.Set(core)
	return unix.SchedSetaffinity(tid, &set)
}

// pinSelf moves every thread of this process to a core. Threads that start
// later inherit it.
func pinSelf(core int) error {
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := pinThread(tid, core); err != nil && err != unix.ESRCH {
			return fmt.Errorf("pin to core %d: %w", core, err)
		}
	}
	return nil
}

// onCore runs f on a thread that is pinned to a core, so that a process which
// f starts is pinned too.
func onCore(core int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pinThread(0, core); err != nil {
		return err
	}
	defer pinThread(0, loadCore)
	return f()
}

// privilege moves every thread of the processes to the real-time class, so
// that ordinary work elsewhere on the machine does not take the core from them.
// Threads that start later inherit it.
func privilege(pids []int) error {
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(filepath.Base(t))
			if err != nil {
				return err
			}
			attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
			if err := unix.SchedSetAttr(tid, attr, 0); err != nil && err != unix.ESRCH {
				return fmt.Errorf("real-time scheduling: %w", err)
			}
		}
	}
	return nil
}

// cpuOf returns the CPU time, user and system, that the processes have used
// since they began. It reads their CPU clocks, which are as exact as the
// scheduler's own accounts; the ticks of /proc/PID/stat are not.
func cpuOf(pids []int) time.Duration {
	var sum time.Duration
	for _, pid := range pids {
		var ts unix.Timespec
		clock := ^pid<<3 | 2 // CPUCLOCK_SCHED of the whole thread group, as in clock_getcpuclockid(3)
		_, _, errno := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0)
		if errno == 0 {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}

// family returns a process and all that descend from it.
func family(pid int) []int {
	parents := make(map[int]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(b, ')') // the name before it may hold anything
		fields := strings.Fields(string(b[i+1:]))
		if len(fields) < 2 {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		parents[child], _ = strconv.Atoi(fields[1])
	}
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		for child, parent := range parents {
			if parent == pids[i] {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// rss returns the resident memory of the processes, in bytes.
func rss(pids []int) int64 {
	var sum int64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(b), "VmRSS:")
		kb, _, _ := strings.Cut(strings.TrimSpace(after), " ")
		n, _ := strconv.ParseInt(kb, 10, 64)
		sum += n << 10
	}
	return sum
}

// hostTicks are a core's accounts in /proc/stat.
type hostTicks struct{ busy, steal time.Duration }

func hostCPU(core int) hostTicks {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return hostTicks{}
	}
	_, after, _ := strings.Cut(string(b), fmt.Sprintf("cpu%d ", core))
	line, _, _ := strings.Cut(after, "\n")
	var t [8]time.Duration // user nice system idle iowait irq softirq steal
	for i, f := range strings.Fields(line) {
		if i < len(t) {
			n, _ := strconv.ParseInt(f, 10, 64)
			t[i] = time.Duration(n) * 10 * time.Millisecond
		}
	}
	return hostTicks{busy: t[0] + t[1] + t[2] + t[5] + t[6], steal: t[7]}
}

// since says which share of the core others used beside a process that used
// own, and which share the hypervisor took.
func (t hostTicks) since(before hostTicks, own, wall time.Duration) (foreign, steal float64) {
	foreign = float64(t.busy-before.busy-own) / float64(wall)
	return max(0, foreign), float64(t.steal-before.steal) / float64(wall)
}

// raiseFiles lifts the limit of open files, which children inherit, so that n
// fit.
func raiseFiles(n uint64) error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return err
	}
	want := syscall.Rlimit{Cur: n, Max: max(n, lim.Max)} // root may lift the hard limit too
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("%d open files are needed, the limit is %d: raise it with ulimit -n", n, lim.Max)
	}
	return nil
}

func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(after, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	var u unix.Utsname
	unix.Uname(&u)
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version())
}
