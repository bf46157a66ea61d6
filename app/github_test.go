package app

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// githubReloads is how often GitHub's contract is put in force anew: the
// promised 200 where every test must run, a few where only a look is wanted.
func githubReloads() int {
	if os.Getenv("SALLYPORT_TEST_ALL") != "" && !testing.Short() {
		return 200
	}
	return 5
}

// F13, at full size: GitHub's 13 MB contract is reloaded again and again under
// load. No exchange fails, and what a plan held is given back.
func TestF13ReloadsOfGitHubsContract(t *testing.T) {
	f, err := os.Open("../contract/openapi/testdata/real/github.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	edition := func(name string) string {
		return strings.Replace(string(text), `"title": "GitHub`, `"title": "`+name, 1)
	}
	editions := [2]string{edition("A"), edition("B")}
	if editions[0] == editions[1] {
		t.Fatal("the editions do not differ")
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"keys":[],"undeclared":1}`)
	}))
	t.Cleanup(up.Close)
	r := start(t, header+`
apis: [{name: github, contract: github.json, upstream: "`+up.URL+`", mode: enforce}]
events: {to: off}
`, map[string]string{"github.json": editions[0]})

	var asked, bad atomic.Int64
	under := func(do func()) {
		ctx, stop := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		defer crowd.Wait()
		defer stop()
		for range 2 {
			crowd.Go(func() {
				tr := &http.Transport{}
				defer tr.CloseIdleConnections()
				c := &http.Client{Transport: tr, Timeout: 30 * time.Second}
				for ctx.Err() == nil {
					resp, err := c.Get(r.url + "/orgs/acme/dependabot/secrets/public-key")
					if err != nil {
						bad.Add(1)
						t.Error(err)
						return
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					asked.Add(1)
					if err != nil || resp.StatusCode != 200 || strings.Contains(string(b), "undeclared") {
						bad.Add(1)
						t.Errorf("%d %s, %v", resp.StatusCode, b, err)
						return
					}
					time.Sleep(time.Millisecond) // the reloads are what is tested
				}
			})
		}
		do()
	}
	reload := func(n int) {
		for i := range n {
			r.write("github.json", editions[i%2])
			if err := r.Reload(); err != nil {
				t.Fatalf("reload %d: %v", i, err)
			}
		}
	}
	under(func() { reload(4) })
	before := measure(t)
	n := githubReloads()
	under(func() { reload(n) })
	var after use
	left := true
	for end := time.Now().Add(10 * time.Second); left && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		after = measure(t)
		left = after.heap > before.heap*105/100 || after.goroutines > before.goroutines*105/100+2 || after.files > before.files*105/100+2
	}
	t.Logf("%d reloads of %d MB, %d exchanges, %d of them bad; before %+v, after %+v", n, len(text)>>20, asked.Load(), bad.Load(), before, after)
	if left {
		t.Error("the reloads left something")
	}
	if asked.Load() < int64(n) {
		t.Errorf("only %d exchanges under %d reloads", asked.Load(), n)
	}
}
