package limit

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func compile(t testing.TB, name, rate string, burst int64) *Limit {
	t.Helper()
	r, err := ParseRate(rate)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Compile(Spec{Name: name, Rate: r, Burst: burst})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func take(t testing.TB, c Counter, now time.Time, cs ...Charge) ([]Charge, bool) {
	t.Helper()
	ok, err := c.Take(t.Context(), now, cs)
	if err != nil {
		t.Fatal(err)
	}
	return cs, ok
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]Rate{
		"600/m": {600, time.Minute}, "10/s": {10, time.Second}, "100/h": {100, time.Hour},
		"1000/d": {1000, 24 * time.Hour}, "5/10s": {5, 10 * time.Second}, "1/31d": {1, 31 * 24 * time.Hour},
	} {
		got, err := ParseRate(s)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v", s, got, err)
		}
		if got.String() != s {
			t.Errorf("%v is written %q, want %q", want, got.String(), s)
		}
	}
	for _, s := range []string{"", "/", "10", "10/", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "10/x", "10/0s", "10/ms", "1 /s", "10/s ", "010/s",
		"10000000000/s", "1/32d", "1/99999999999999999999s", "٣/s", "1e3/s"} {
		if r, err := ParseRate(s); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", s, r)
		}
	}
}

func TestCompileRefusesWhatCannotBeKept(t *testing.T) {
	for _, s := range []Spec{
		{}, {Name: "a"}, {Name: "a", Rate: Rate{1, 0}}, {Name: "a", Rate: Rate{-1, time.Second}},
		{Name: "a\"b", Rate: Rate{1, time.Second}}, {Name: "a\nb", Rate: Rate{1, time.Second}}, {Name: "é", Rate: Rate{1, time.Second}},
		{Name: strings.Repeat("a", 65), Rate: Rate{1, time.Second}}, {Name: "a", Rate: Rate{1, time.Second}, Burst: -1},
		{Name: "a", Rate: Rate{1, 24 * time.Hour}, Burst: 1000},
	} {
		if _, err := Compile(s); err == nil {
			t.Errorf("Compile(%+v) made a limit", s)
		}
	}
}

// F-1: of N+1 requests at once, N pass.
func TestF1ExactlyNPass(t *testing.T) {
	m, l := NewMemory(MemoryOptions{}), compile(t, "n", "100/d", 100)
	global := compile(t, "global", "1000/d", 1000)
	now := time.Now()
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 10 {
				cs := []Charge{{Limit: global, Key: []byte("g")}, {Limit: l, Key: []byte("alice")}}
				if ok, _ := m.Take(t.Context(), now, cs); ok {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 100 {
		t.Errorf("%d of 500 passed, want exactly 100", passed.Load())
	}
	// Those refused were not charged to the other limit either.
	cs, _ := take(t, m, now, Charge{Limit: global, Key: []byte("g")})
	if cs[0].Remaining != 1000-101 {
		t.Errorf("the other limit has %d left, want %d", cs[0].Remaining, 1000-101)
	}
}

// F-2: at no moment does more than the burst and the flow pass.
func TestF2NoWindowEdge(t *testing.T) {
	m, l := NewMemory(MemoryOptions{}), compile(t, "n", "60/m", 60)
	now := time.Now()
	passed := 0
	// Ask all the time from 10 s before the end of a minute to 10 s after.
	for at := now.Add(50 * time.Second); at.Before(now.Add(70 * time.Second)); at = at.Add(50 * time.Millisecond) {
		if _, ok := take(t, m, at, Charge{Limit: l, Key: []byte("a")}); ok {
			passed++
		}
	}
	if passed > 60+20 || passed < 60+19 {
		t.Errorf("%d passed in 20 s around the edge of a minute, want the burst of 60 and 20 more", passed)
	}
}

func TestRefusedRequestsAreNotCharged(t *testing.T) {
	m, l := NewMemory(MemoryOptions{}), compile(t, "n", "1/s", 2)
	now := time.Now()
	for range 2 {
		take(t, m, now, Charge{Limit: l, Key: []byte("a")})
	}
	for range 100 {
		cs, ok := take(t, m, now, Charge{Limit: l, Key: []byte("a")})
		if ok || cs[0].Retry != time.Second || cs[0].Remaining != 0 {
			t.Fatalf("%v %+v", ok, cs[0])
		}
	}
	if _, ok := take(t, m, now.Add(time.Second), Charge{Limit: l, Key: []byte("a")}); !ok {
		t.Error("refused after the time that Retry gave")
	}
}

func TestAllOrNone(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	wide, tight, watch := compile(t, "wide", "100/h", 10), compile(t, "tight", "100/h", 1), compile(t, "watch", "100/h", 1)
	now := time.Now()
	three := func() ([]Charge, bool) {
		return take(t, m, now,
			Charge{Limit: wide, Key: []byte("k")}, Charge{Limit: tight, Key: []byte("k")}, Charge{Limit: watch, Key: []byte("k"), Observe: true})
	}
	if _, ok := three(); !ok {
		t.Fatal("the first was refused")
	}
	cs, ok := three()
	if ok || cs[0].Refused || !cs[1].Refused || !cs[2].Refused {
		t.Fatalf("%v %+v", ok, cs)
	}
	if cs[0].Remaining != 9 {
		t.Errorf("a refused exchange was charged: %d left of 9", cs[0].Remaining)
	}
	if wait, i := RetryAfter(cs); i != 1 || wait != 36*time.Second {
		t.Errorf("RetryAfter = %v, %d", wait, i)
	}
	// What only observes refuses nothing.
	cs, ok = take(t, m, now, Charge{Limit: wide, Key: []byte("k")}, Charge{Limit: watch, Key: []byte("k"), Observe: true})
	if !ok || !cs[1].Refused || cs[0].Remaining != 8 {
		t.Errorf("%v %+v", ok, cs)
	}
}

func TestManyLimitsAtOnce(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	now := time.Now()
	for n := range 40 {
		cs := make([]Charge, n)
		for i := range cs {
			cs[i] = Charge{Limit: compile(t, fmt.Sprint("l", i), "100/h", 0), Key: []byte("k")}
		}
		if cs, ok := take(t, m, now, cs...); !ok || n > 0 && cs[0].Remaining != int64(100-n) {
			t.Fatalf("%d limits: %v %+v", n, ok, cs)
		}
	}
}

func TestCost(t *testing.T) {
	m, l := NewMemory(MemoryOptions{}), compile(t, "n", "10/s", 10)
	now := time.Now()
	cs, ok := take(t, m, now, Charge{Limit: l, Key: []byte("a"), Cost: 7})
	if !ok || cs[0].Remaining != 3 {
		t.Fatalf("%v %+v", ok, cs)
	}
	cs, ok = take(t, m, now, Charge{Limit: l, Key: []byte("a"), Cost: 4})
	if ok || cs[0].Retry != 100*time.Millisecond {
		t.Errorf("%v %+v", ok, cs)
	}
	cs, ok = take(t, m, now, Charge{Limit: l, Key: []byte("a"), Cost: 11})
	if ok || cs[0].Retry >= 0 {
		t.Errorf("what costs more than the burst: %v %+v", ok, cs)
	}
	// One key twice in one exchange adds up.
	cs, ok = take(t, m, now, Charge{Limit: l, Key: []byte("b"), Cost: 6}, Charge{Limit: l, Key: []byte("b"), Cost: 6})
	if ok || !cs[1].Refused {
		t.Errorf("%v %+v", ok, cs)
	}
}

func TestClockSteps(t *testing.T) {
	l := compile(t, "n", "60/m", 10)
	now := time.Now().Round(0) // without the monotonic clock, as a step would have it
	for name, step := range map[string]time.Duration{"back": -5 * time.Minute, "far back": -100 * 365 * 24 * time.Hour, "forward": 5 * time.Minute} {
		m := NewMemory(MemoryOptions{})
		for range 10 {
			take(t, m, now, Charge{Limit: l, Key: []byte("a")})
		}
		at := now.Add(step)
		passed := 0
		for range 30 {
			if _, ok := take(t, m, at, Charge{Limit: l, Key: []byte("a")}); ok {
				passed++
			}
		}
		if passed > 10 {
			t.Errorf("%s: %d passed at once, want 10 at most", name, passed)
		}
		if _, ok := take(t, m, at.Add(2*time.Second), Charge{Limit: l, Key: []byte("a")}); !ok {
			t.Errorf("%s: still refused after two intervals", name)
		}
	}
}

// F-5: a flood of keys stays in its memory and frees nobody.
func TestF5AFloodOfKeysFreesNobody(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	m := NewMemory(MemoryOptions{Bytes: 1 << 20})
	l := compile(t, "login", "10/h", 5)
	now := time.Now()
	victims := 200
	limited := func(i int) Charge { return Charge{Limit: l, Key: fmt.Appendf(nil, "victim-%d", i)} }
	for i := range victims {
		for range 5 {
			take(t, m, now, limited(i))
		}
	}
	// Some are limited only when there is no room any more.
	late := func(i int) Charge { return Charge{Limit: l, Key: fmt.Appendf(nil, "late-%d", i)} }
	key := make([]byte, 0, 32)
	passed := 0
	cs := make([]Charge, 1)
	for i := range n {
		key = fmt.Appendf(key[:0], "flood-%d", i)
		cs[0] = Charge{Limit: l, Key: key}
		if ok, _ := m.Take(t.Context(), now, cs); ok {
			passed++
		}
	}
	st := m.Sweep(now)
	if st.Slots*slotSize > 1<<20 || st.Slots > st.Limit {
		t.Errorf("the buckets take %d bytes, want 1 MiB at most", st.Slots*slotSize)
	}
	if st.Coarse == 0 {
		t.Error("the flood never met the coarse bucket")
	}
	if limit := st.Slots + shards*5; passed > limit {
		t.Errorf("%d of the flood passed, want at most one of each key with a bucket and the coarse buckets: %d", passed, limit)
	}
	for i := range victims {
		if _, ok := take(t, m, now, limited(i)); ok {
			t.Fatalf("victim %d got a fresh bucket", i)
		}
	}
	for i := range victims {
		for range 5 {
			take(t, m, now, late(i))
		}
		if _, ok := take(t, m, now, late(i)); ok {
			t.Fatalf("late key %d has more than its burst", i)
		}
	}
	// One bucket comes free in time, and still nobody begins anew.
	soon := now.Add(6 * time.Minute)
	for i := range victims {
		passed := 0
		for range 5 {
			if _, ok := take(t, m, soon, limited(i)); ok {
				passed++
			}
		}
		if passed > 1 {
			t.Fatalf("victim %d may ask %d times after the time of one", i, passed)
		}
	}
	// When all are idle the memory goes.
	if st := m.Sweep(now.Add(time.Hour)); st.Keys != 0 || st.Slots > shards*minSlots {
		t.Errorf("after an hour: %+v", st)
	}
	if _, ok := take(t, m, now.Add(time.Hour), limited(0)); !ok {
		t.Error("refused an hour later")
	}
}

// F-11: an IPv6 host has all of its /64.
func TestF11AddressKeys(t *testing.T) {
	key := func(s string) string { return string(AppendAddr(nil, 'a', netip.MustParseAddr(s))) }
	same := [][2]string{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"}, {"::ffff:192.0.2.1", "192.0.2.1"}, {"fe80::1%eth0", "fe80::2%eth1"},
	}
	for _, p := range same {
		if key(p[0]) != key(p[1]) {
			t.Errorf("%s and %s are counted apart", p[0], p[1])
		}
	}
	for _, p := range [][2]string{{"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "::c000:201"}, {"0.0.0.0", "::"}} {
		if key(p[0]) == key(p[1]) {
			t.Errorf("%s and %s are counted as one", p[0], p[1])
		}
	}
	a, b := netip.MustParseAddr("2001:db8:1:2f00::"), netip.MustParseAddr("2001:db8:1:2fff::")
	if string(AppendAddrPrefix(nil, 'a', a, 52)) == string(AppendAddrPrefix(nil, 'a', netip.MustParseAddr("2001:db8:1:3000::"), 52)) {
		t.Error("another /52 is counted as one")
	}
	if string(AppendAddrPrefix(nil, 'a', a, 56)) != string(AppendAddrPrefix(nil, 'a', b, 56)) {
		t.Error("one /56 is counted apart")
	}
	if string(AppendAddr(nil, 'a', netip.Addr{})) == key("0.0.0.0") {
		t.Error("no address is 0.0.0.0")
	}
}

func TestKeysCannotBeConfused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 200), 1, 4)
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		build := func(ps [][]byte) string {
			var k []byte
			for _, p := range ps {
				k = AppendPart(k, 'p', p)
			}
			return string(k)
		}
		if cmp.Equal(a, b) != (build(a) == build(b)) {
			t.Fatalf("%q and %q", a, b)
		}
	})
	if string(AppendFolded(nil, 'u', []byte(" Alice@Example.com\n"))) != string(AppendFolded(nil, 'u', []byte("alice@example.COM"))) {
		t.Error("the case of a user name makes another key")
	}
}

func TestReloadGoesOnWithTheCounts(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	now := time.Now()
	before, after := compile(t, "n", "100/h", 100), compile(t, "n", "10/h", 10)
	for range 100 {
		take(t, m, now, Charge{Limit: before, Key: []byte("a")})
	}
	if cs, ok := take(t, m, now, Charge{Limit: after, Key: []byte("a")}); ok {
		t.Errorf("a tighter limit forgave what was spent: %+v", cs[0])
	}
	other, err := Compile(Spec{Name: "n", Scope: "elsewhere", Rate: Rate{10, time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	if cs, ok := take(t, m, now, Charge{Limit: other, Key: []byte("a")}); !ok || cs[0].Remaining != 9 {
		t.Errorf("limits of two scopes share a bucket: %+v", cs[0])
	}
}

// F-4: the fields are sane.
func TestF4Fields(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	now := time.Now()
	cs, _ := take(t, m, now,
		Charge{Limit: compile(t, "tenant", "600/m", 100), Key: []byte("a")},
		Charge{Limit: compile(t, "watch", "1/m", 0), Key: []byte("a"), Observe: true},
		Charge{Limit: compile(t, "login", "10/m", 5), Key: []byte("a")})
	if got, want := string(AppendPolicy(nil, cs)), `"tenant";q=600;w=60, "login";q=10;w=60`; got != want {
		t.Errorf("RateLimit-Policy: %s, want %s", got, want)
	}
	if got, want := string(AppendState(nil, cs)), `"tenant";r=99;t=1, "login";r=4;t=6`; got != want {
		t.Errorf("RateLimit: %s, want %s", got, want)
	}
	if got := string(AppendRetryAfter(nil, 1500*time.Millisecond)); got != "2" {
		t.Errorf("Retry-After: %s", got)
	}
	if got := string(AppendRetryAfter(nil, 0)); got != "1" {
		t.Errorf("Retry-After: %s", got)
	}
	if wait, i := RetryAfter(cs); i != -1 || wait != 0 {
		t.Errorf("RetryAfter = %v, %d", wait, i)
	}
}

// The counter does what one bucket per key does, with any limits, costs and
// times in any order.
func TestMemoryAgreesWithTheAlgorithm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMemory(MemoryOptions{})
		base := time.Now()
		type bucket struct{ tat int64 }
		model := map[string]*bucket{}
		limits := []*Limit{}
		for i := range 3 {
			l, err := Compile(Spec{Name: fmt.Sprint("l", i), Rate: Rate{rapid.Int64Range(1, 100).Draw(t, "n"), time.Second}, Burst: rapid.Int64Range(1, 20).Draw(t, "burst")})
			if err != nil {
				t.Fatal(err)
			}
			limits = append(limits, l)
		}
		now := base
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "wait")))
			var cs []Charge
			for _, l := range limits {
				if rapid.Bool().Draw(t, "use") {
					cs = append(cs, Charge{Limit: l, Key: []byte{byte(rapid.IntRange(0, 2).Draw(t, "key"))}, Cost: rapid.Int64Range(0, 3).Draw(t, "cost")})
				}
			}
			n := now.Sub(base).Nanoseconds()
			want := true
			after := map[*bucket]int64{}
			for i := range cs {
				k := cs[i].Limit.Name + string(cs[i].Key)
				b := model[k]
				if b == nil {
					b = &bucket{}
					model[k] = b
				}
				l := cs[i].Limit
				tat := max(b.tat, n) + max(1, cs[i].Cost)*l.interval
				if tat-n > l.Burst*l.interval {
					want = false
				}
				after[b] = tat
			}
			got, err := m.Take(t.Context(), now, cs)
			if err != nil || got != want {
				t.Fatalf("Take = %v, %v, want %v", got, err, want)
			}
			if want {
				for b, tat := range after {
					b.tat = tat
				}
			}
			for i := range cs {
				b := model[cs[i].Limit.Name+string(cs[i].Key)]
				l := cs[i].Limit
				left := (l.Burst*l.interval - max(0, b.tat-n)) / l.interval
				if cs[i].Remaining != left {
					t.Fatalf("Remaining = %d, want %d", cs[i].Remaining, left)
				}
				if cs[i].Reset < 0 || int64(cs[i].Reset) > l.interval || (cs[i].Reset == 0) != (left == l.Burst) {
					t.Fatalf("Reset = %v", cs[i].Reset)
				}
			}
		}
	})
}

func TestGateLetsInNoMoreThanMax(t *testing.T) {
	g := NewGate()
	c, err := NewCap("", "open", 8)
	if err != nil {
		t.Fatal(err)
	}
	var inside, most, refused atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			hs := []Hold{{Cap: c, Key: []byte("a")}}
			for range 200 {
				if !g.Acquire(hs) {
					if !hs[0].Refused {
						t.Error("refused, and no charge says so")
					}
					refused.Add(1)
					continue
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				inside.Add(-1)
				g.Release(hs)
				g.Release(hs)
			}
		})
	}
	wg.Wait()
	if most.Load() > 8 || g.Held() != 0 {
		t.Errorf("%d at once, %d never given back", most.Load(), g.Held())
	}
	hs := make([]Hold, 9)
	for i := range hs {
		hs[i] = Hold{Cap: c, Key: []byte("a")}
	}
	if g.Acquire(hs) || g.Held() != 0 {
		t.Errorf("nine of eight places; %d kept", g.Held())
	}
	if !g.Acquire(hs[:8]) || g.Held() != 8 {
		t.Error("eight of eight places were refused")
	}
	if watch := []Hold{{Cap: c, Key: []byte("a"), Observe: true}}; !g.Acquire(watch) || !watch[0].Refused {
		t.Error("what observes refused, or did not tell")
	}
	if _, err := NewCap("", "x", 0); err == nil {
		t.Error("a cap of nothing")
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	m, l := NewMemory(MemoryOptions{}), compile(t, "n", "1000000/s", 0)
	o := compile(t, "o", "1000000/s", 0)
	key := []byte("some principal")
	cs := make([]Charge, 2)
	now := time.Now()
	buf := make([]byte, 0, 256)
	n := testing.AllocsPerRun(1000, func() {
		cs[0], cs[1] = Charge{Limit: l, Key: key}, Charge{Limit: o, Key: key}
		m.Take(t.Context(), now, cs)
		buf = AppendState(AppendPolicy(buf[:0], cs), cs)
	})
	if n > 0 {
		t.Errorf("a charge allocates %v times, want 0", n)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"600/m", "10/s", "5/10s", "1/31d", "0/s", "x/y", "1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRate(s)
		if err != nil {
			return
		}
		again, err := ParseRate(r.String())
		if err != nil || again != r {
			t.Errorf("ParseRate(%q) = %v, written %q, read again %v, %v", s, r, r.String(), again, err)
		}
		if l, err := Compile(Spec{Name: "x", Rate: r}); err == nil && (l.interval < 1 || l.fill < l.interval) {
			t.Errorf("%q: interval %d, fill %d", s, l.interval, l.fill)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			m, l := NewMemory(MemoryOptions{}), compile(b, "n", "1000000/h", 1000)
			now, ctx := time.Now(), b.Context()
			cs, key := make([]Charge, 1), make([]byte, 16)
			for i := range keys {
				binary.LittleEndian.PutUint64(key, uint64(i))
				cs[0] = Charge{Limit: l, Key: key}
				m.Take(ctx, now, cs)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				binary.LittleEndian.PutUint64(key, uint64(i))
				cs[0] = Charge{Limit: l, Key: key}
				m.Take(ctx, now, cs)
				if i += 7919; i >= keys {
					i %= keys
				}
			}
			b.StopTimer()
			st := m.Sweep(now)
			b.ReportMetric(float64(st.Slots*slotSize)/float64(st.Keys), "B/key")
		})
	}
	b.Run("two limits", func(b *testing.B) {
		m, l, o := NewMemory(MemoryOptions{}), compile(b, "n", "1000000/h", 1000), compile(b, "o", "1000000/h", 1000)
		cs := make([]Charge, 2)
		key, other, now, ctx := []byte("alice"), []byte("192.0.2.1"), time.Now(), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			cs[0], cs[1] = Charge{Limit: l, Key: key}, Charge{Limit: o, Key: other}
			m.Take(ctx, now, cs)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		m, l := NewMemory(MemoryOptions{}), compile(b, "n", "1000000/h", 1000)
		now := time.Now()
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			key := fmt.Appendf(nil, "principal-%d", n.Add(1))
			cs := make([]Charge, 1)
			for pb.Next() {
				cs[0] = Charge{Limit: l, Key: key}
				m.Take(b.Context(), now, cs)
			}
		})
	})
}
