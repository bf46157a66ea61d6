// Command caddy is Caddy with its reverse proxy and nothing else, run from a
// JSON configuration. It is part of the bench and never of the product.
//
//	caddy FILE
package main

import (
	"log"
	"os"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: caddy FILE")
	}
	conf, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := caddy.Load(conf, true); err != nil {
		log.Fatal(err)
	}
	select {}
}
