package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/policy"
)

func judged(t *testing.T) *contract.API {
	t.Helper()
	doc, err := document.Parse("a.yaml", []byte(`openapi: 3.1.0
info: {title: A, version: "1"}
paths:
  /a:
    post:
      operationId: a
      requestBody: {content: {application/json: {schema: {type: object, properties: {note: {type: string}}}}}}
      responses: {"200": {description: ok, content: {application/json: {schema: {type: object, properties: {note: {type: string}}}}}}}
    get:
      operationId: b
      responses: {"200": {description: ok, content: {application/json: {schema: {type: object, properties: {note: {type: string}}}}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	api, ds := openapi.Compile(doc, openapi.Options{})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	return api
}

// Bodies that turn out to be larger than a control may read pass whole where
// it only observes, or policy lets the unread pass, and are refused where not.
func TestBodiesOverTheLimit(t *testing.T) {
	large := `{"note":"` + strings.Repeat("0123456789abcdef", 20_000) + `"}`
	var mu sync.Mutex
	got := ""
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		got = string(b)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, large[:9]) // and so without a length
		w.(http.Flusher).Flush()
		io.WriteString(w, large[9:])
	}))
	defer up.Close()
	for _, tt := range []struct {
		name              string
		options           options
		request, response int // statuses
	}{
		{"enforce", options{}, 413, 502},
		{"observe", options{mode: policy.Observe}, 200, 200},
		{"off", options{mode: policy.Off}, 200, 200},
		{"unread: pass", options{unread: policy.PassUnread}, 200, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.contract, tt.options.bodies = judged(t), policy.Sizes{Request: 100_000, Response: 100_000}
			x := open(t, up.Listener.Addr().String(), tt.options)
			protocols(t, func(t *testing.T, c *http.Client) {
				resp, b := do(t, c, "GET", "http://"+x.addr+"/a", "")
				if resp.StatusCode != tt.response || (b == large) != (tt.response == 200) || strings.Contains(b, "0123456789") != (tt.response == 200) {
					t.Errorf("the answer came as %d, %d bytes of %d: %.200s", resp.StatusCode, len(b), len(large), b)
				}
				mu.Lock()
				got = ""
				mu.Unlock()
				r, err := http.NewRequest("POST", "http://"+x.addr+"/a", io.MultiReader(strings.NewReader(large))) // no length
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				resp, err = c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				if want := tt.request == 200; (resp.StatusCode == 413) == want || (got == large) != want {
					t.Errorf("the request got %d, and the upstream %d bytes of %d", resp.StatusCode, len(got), len(large))
				}
			})
		})
	}
}

// HEAD of an operation whose answers are filtered tells no length: GET's is
// another.
func TestHeadOfAFilteredOperation(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := `{"note":"x","hash":"` + strings.Repeat("0", 100) + `"}`
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == "GET" {
			io.WriteString(w, body)
		}
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{contract: judged(t)})
	protocols(t, func(t *testing.T, c *http.Client) {
		get, b := do(t, c, "GET", "http://"+x.addr+"/a", "")
		head, _ := do(t, c, "HEAD", "http://"+x.addr+"/a", "")
		if b != `{"note":"x"}` || get.StatusCode != 200 || head.StatusCode != 200 || head.ContentLength >= 0 {
			t.Errorf("GET gave %q, HEAD the length %d", b, head.ContentLength)
		}
	})
}

// An answer that breaks off before anything of it was sent is told as that.
func TestAnswersThatBreakOffAtOnce(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n")
		nc.Close()
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{})
	c := &http.Client{}
	resp, b := do(t, c, "GET", "http://"+x.addr+"/items/1", "")
	if resp.StatusCode != 502 || !strings.Contains(b, "upstream.truncated") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	if got := x.reasons(1); got[0] != "upstream.truncated" {
		t.Errorf("the event says %v", got)
	}
}
