package wire_test

import (
	"testing"

	"github.com/sallyport/sallyport/wire"
)

func TestProxyPassesGetAndPost(t *testing.T) {
	up := newRecorder(t)
	_, addr := serve(t, wire.Options{Handler: &proxy{upstream: client(t, wire.ClientOptions{Address: up.addr}), forward: wire.Forwarder{Pseudonym: "sp"}}})
	got := talk(t, addr, "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\r\n"+
		"POST /p HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello"+
		"POST /q HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true)
	raw, _, bodies := up.take()
	t.Logf("%+v\n%s\n%q", got, raw, bodies)
	if len(got) != 3 || got[2].body != "abcde" {
		t.Fail()
	}
}
