package event_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/event"
)

func TestPseudonym(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	p := event.NewPseudonymizer(key)
	m := hmac.New(sha256.New, key)
	m.Write([]byte("alice"))
	want := strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString(m.Sum(nil)[:16]), "="))
	clear(key) // the caller may wipe its copy
	if got := p.Of("alice"); got != want || len(got) != 26 {
		t.Errorf("alice is %q, want %q", got, want)
	}
	if again := p.Of("alice"); again != want || again == p.Of("Alice") || p.Of("") != "" {
		t.Error("a pseudonym is not one of one subject")
	}
	if event.NewPseudonymizer([]byte("another key of sixteen")).Of("alice") == want {
		t.Error("another key gives the same pseudonym")
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if p.Of("alice") != want {
					t.Error("calls at once disturb each other")
				}
			}
		})
	}
	wg.Wait()
}

func TestRecorderKeepsCopies(t *testing.T) {
	r := event.Recorder{Limit: 2}
	e := denied()
	for _, id := range []string{"1", "2", "3"} {
		e.RequestID = id
		r.Put(e)
	}
	copy(e.Host, "xxxxxxxx")
	e.Hits[0].Control = "changed"
	got := r.Events()
	if len(got) != 2 || got[0].RequestID != "2" || got[1].RequestID != "3" {
		t.Fatalf("kept %v", got)
	}
	if diff := cmp.Diff(denied().Hits, got[0].Hits); diff != "" || string(got[0].Host) != "shop.example" {
		t.Errorf("the copy changed with the original: %s %s", got[0].Host, diff)
	}
	if r.Reset(); len(r.Events()) != 0 {
		t.Error("it did not forget")
	}
}

func BenchmarkPseudonym(b *testing.B) {
	p := event.NewPseudonymizer([]byte("0123456789abcdef"))
	b.ReportAllocs()
	for b.Loop() {
		p.Of("248289761001")
	}
}
