package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/gateway"
)

const typed = `openapi: 3.1.0
info: {title: shop, version: "1"}
security: []
paths:
  /items/{id}:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer, minimum: 1}}
        - {name: fields, in: query, schema: {type: string, maxLength: 40}}
      responses:
        "200":
          description: the item
          content:
            application/json:
              schema:
                type: object
                properties: {id: {type: integer}, name: {type: string}, tags: {type: array, items: {type: string}}}
  /items:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: {type: object, required: [name], additionalProperties: false, properties: {name: {type: string}, price: {type: number}}}
      responses: {"200": {description: ok, content: {application/json: {schema: {type: object, properties: {id: {type: integer}}}}}}}
`

// A passing exchange costs no garbage on the HTTP/1.1 path, from the caller's
// socket through both doors to the upstream's and back. The client and the
// upstream of this test write ready bytes into ready buffers, so that
// everything counted is the gateway's.
func TestAllowedExchangeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	plain := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nCache-Control: no-store\r\n\r\nhello"
	item := `{"id":42,"name":"tea","tags":["green","loose"]}`
	leaky := `{"id":42,"name":"tea","tags":["green","loose"],"secret":"s3cr3t"}`
	json := func(body string) string {
		return "HTTP/1.1 200 OK\r\nServer: shop/1\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	get := "GET /items/42 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\nAccept: */*\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
	order := `{"name":"tea","price":3.5}`
	post := "POST /items HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(order)) + "\r\n\r\n" + order
	doc, err := document.Parse("shop.yaml", []byte(typed))
	if err != nil {
		t.Fatal(err)
	}
	contract, faults := openapi.Compile(doc, openapi.Options{})
	if contract == nil {
		t.Fatal(faults)
	}
	for _, c := range []struct {
		name, request, answer, want string
		most                        float64
		o                           options
	}{
		{"nothing declared of the bodies", get, plain, "hello", 0, options{}},
		{"behind a trusted proxy", get, plain, "hello", 0, options{listener: gateway.Listener{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		{"an answer that fits its schema", get, json(item), item, 0, options{contract: contract}},
		// The event names what was taken out, and names are made.
		{"an answer that is filtered", get, json(leaky), item, 3, options{contract: contract}},
		{"a query", strings.Replace(get, "/items/42", "/items/42?fields=name", 1), json(item), item, 0, options{contract: contract}},
		{"a request body that is judged", post, json(`{"id":42}`), `{"id":42}`, 0, options{contract: contract}},
	} {
		t.Run(c.name, func(t *testing.T) {
			upstream := steady(t, []byte(c.answer), strings.HasPrefix(c.request, "POST"))
			events := event.NewWriter(io.Discard, event.WriterOptions{})
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); events.Run(ctx) }()
			defer func() { stop(); <-ended }()
			c.o.events = events
			x := open(t, upstream, c.o)
			conn, err := net.Dial("tcp", x.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			request, want, buf, got := []byte(c.request), []byte("\r\n\r\n"+c.want), make([]byte, 8<<10), 0
			exchange := func() {
				if _, err := conn.Write(request); err != nil {
					t.Fatal(err)
				}
				for got = 0; !bytes.HasSuffix(buf[:got], want); {
					n, err := conn.Read(buf[got:])
					if err != nil {
						t.Fatalf("%v after %q", err, buf[:got])
					}
					got += n
				}
			}
			for range 300 {
				exchange() // fills the pools
			}
			if n := testing.AllocsPerRun(2000, exchange); n > c.most {
				t.Errorf("a passing exchange allocates %v times, want %v", n, c.most)
			}
		})
	}
}

// steady is an upstream that always gives the same answer, and no garbage.
// With body the requests have one, behind the head in the same piece.
func steady(t *testing.T, answer []byte, body bool) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	end := []byte("\r\n\r\n")
	if body {
		end = []byte("}")
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf, n := make([]byte, 8<<10), 0
				for {
					m, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], end) {
						n = 0
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
