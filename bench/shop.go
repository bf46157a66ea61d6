package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// An exchange is one request as its bytes go over the wire, and the answer
// that must come back.
type exchange struct {
	request []byte
	target  string // "GET /v1/orders?…", what the upstream knows the answer by
	sent    []byte // the request's body, which must reach the upstream unchanged
	status  int
	answer  []byte
}

// A workload is a named pool of exchanges. Callers take them in turn.
type workload struct {
	name, title string
	exchanges   []exchange
}

// workloads builds the traffic: three sizes of answers and one of request
// bodies, several variants each, for every token. It is the same in every run.
func workloads(tokens []string) []workload {
	return []workload{
		list("1k", "GET 1 KB", 1<<10, tokens),
		list("10k", "GET 10 KB", 10<<10, tokens),
		list("100k", "GET 100 KB", 100<<10, tokens),
		create("post", "POST 1 KB", 1<<10, tokens),
	}
}

// variants is how many different answers a workload has.
const variants = 4

func list(name, title string, size int, tokens []string) workload {
	w := workload{name: name, title: title}
	for v := range variants {
		rnd := rand.New(rand.NewPCG(uint64(size), uint64(v)))
		answer, n := page(rnd, size)
		target := fmt.Sprintf("/v1/orders?status=%s&limit=%d&cursor=%s_%d", statuses[v%len(statuses)], n, name, v)
		for i, t := range tokens {
			w.exchanges = append(w.exchanges, exchange{
				request: head("GET", target, t, i, ""),
				target:  "GET " + target,
				status:  200,
				answer:  answer,
			})
		}
	}
	return w
}

func create(name, title string, size int, tokens []string) workload {
	w := workload{name: name, title: title}
	rnd := rand.New(rand.NewPCG(uint64(size), 99))
	sent := fill(newOrder(rnd), size)
	answer := fill(order(rnd, 1), 600)
	for i, t := range tokens {
		extra := "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(sent)) + "\r\n"
		w.exchanges = append(w.exchanges, exchange{
			request: append(head("POST", "/v1/orders", t, i, extra), sent...),
			target:  "POST /v1/orders",
			sent:    sent,
			status:  201,
			answer:  answer,
		})
	}
	return w
}

// head writes what a client library sends through an ordinary stack: about
// 700 bytes, most of them the token.
func head(method, target, token string, i int, extra string) []byte {
	return []byte(method + " " + target + " HTTP/1.1\r\n" +
		"Host: shop.example\r\n" +
		"User-Agent: shop-client/4.2 (linux; amd64)\r\n" +
		"Accept: application/json\r\n" +
		"Accept-Encoding: gzip\r\n" +
		"Authorization: Bearer " + token + "\r\n" +
		fmt.Sprintf("X-Request-Id: %032x\r\n", 0x5a11+i) + extra + "\r\n")
}

var (
	statuses = []string{"open", "paid", "packed", "shipped", "delivered", "cancelled"}
	goods    = []string{"Enamel mug, blue", "Linen apron", "Cast-iron pan 26 cm", "Beeswax candles, set of 4", "Café au lait bowl", "Walnut board", "Tea towel \"Märkte\"", "Copper ladle"}
	people   = []string{"Ines Okafor", "Jörg Weiß", "María Núñez", "Tom Reilly", "Aiko Tanaka", "Priya Raman"}
	streets  = []string{"12 Harbour Street", "Lindenallee 4", "8 rue des Écoles", "77 Mill Lane"}
	cities   = []string{"Bristol", "Köln", "Lyon", "Gdańsk", "Porto"}
	words    = strings.Fields("please leave the parcel with the neighbour on the second floor and ring the bell twice because the door is heavy thank you")
)

// The types have the order of members that the bench wants on the wire.
type money struct {
	Net   int `json:"net"`
	Tax   int `json:"tax"`
	Gross int `json:"gross"`
}

type line struct {
	SKU       string  `json:"sku"`
	Name      string  `json:"name"`
	Quantity  int     `json:"quantity"`
	UnitPrice int     `json:"unit_price,omitempty"`
	Discount  float64 `json:"discount,omitempty"`
}

type address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

type orderJSON struct {
	ID         string   `json:"id"`
	CustomerID string   `json:"customer_id"`
	Status     string   `json:"status"`
	Currency   string   `json:"currency"`
	Total      money    `json:"total"`
	Lines      []line   `json:"lines"`
	Address    address  `json:"shipping_address"`
	CreatedAt  string   `json:"created_at"`
	Paid       bool     `json:"paid"`
	Tags       []string `json:"tags,omitempty"`
	Note       string   `json:"note"`
}

type newOrderJSON struct {
	Currency string  `json:"currency"`
	Lines    []line  `json:"lines"`
	Address  address `json:"shipping_address"`
	Coupon   string  `json:"coupon"`
	Gift     bool    `json:"gift"`
	Note     string  `json:"note"`
}

type pageJSON struct {
	Count  int         `json:"count"`
	Next   string      `json:"next"`
	Orders []orderJSON `json:"orders"`
}

func pick(rnd *rand.Rand, of []string) string { return of[rnd.IntN(len(of))] }

func lines(rnd *rand.Rand, n int) []line {
	ls := make([]line, n)
	for i := range ls {
		ls[i] = line{SKU: fmt.Sprintf("SKU-%06d", rnd.IntN(1e6)), Name: pick(rnd, goods), Quantity: 1 + rnd.IntN(9)}
	}
	return ls
}

func where(rnd *rand.Rand) address {
	return address{Name: pick(rnd, people), Street: pick(rnd, streets), City: pick(rnd, cities), PostalCode: fmt.Sprintf("%05d", rnd.IntN(1e5)), Country: "DE"}
}

func note(rnd *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(pick(rnd, words))
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

func order(rnd *rand.Rand, n int) *orderJSON {
	o := &orderJSON{
		ID: fmt.Sprintf("ord_%012X", rnd.Uint64()>>16), CustomerID: fmt.Sprintf("usr_%08x", rnd.Uint32()),
		Status: pick(rnd, statuses), Currency: "EUR", Lines: lines(rnd, n), Address: where(rnd),
		CreatedAt: fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02dZ", 1+rnd.IntN(12), 1+rnd.IntN(28), rnd.IntN(24), rnd.IntN(60), rnd.IntN(60)),
		Paid:      rnd.IntN(2) == 0,
	}
	for i := range o.Lines {
		o.Lines[i].UnitPrice = 100 + rnd.IntN(9900)
		o.Total.Net += o.Lines[i].UnitPrice * o.Lines[i].Quantity
		if rnd.IntN(4) == 0 {
			o.Lines[i].Discount = 0.15
		}
	}
	o.Total.Tax = o.Total.Net * 19 / 100
	o.Total.Gross = o.Total.Net + o.Total.Tax
	if rnd.IntN(3) == 0 {
		o.Tags = []string{"gift", "express"}
	}
	o.Note = note(rnd, rnd.IntN(40))
	return o
}

func newOrder(rnd *rand.Rand) *newOrderJSON {
	return &newOrderJSON{Currency: "EUR", Lines: lines(rnd, 3), Address: where(rnd), Coupon: "WINTER26", Gift: true}
}

// page is a list of as many orders as fit, filled up to exactly size bytes. It
// also returns their number.
func page(rnd *rand.Rand, size int) ([]byte, int) {
	p := &pageJSON{Next: "b3JkZXJzOjE3"}
	for {
		o := order(rnd, 1+rnd.IntN(2))
		p.Orders = append(p.Orders, *o)
		p.Count = len(p.Orders)
		if len(marshal(p)) > size {
			p.Orders = p.Orders[:len(p.Orders)-1]
			p.Count = len(p.Orders)
			break
		}
	}
	return fill(p, size), p.Count
}

// fill adds lines to v, or to its last order, and then a note, so that v is
// size bytes.
func fill(v any, size int) []byte {
	rnd := rand.New(rand.NewPCG(7, uint64(size)))
	var ls *[]line
	var n *string
	switch v := v.(type) {
	case *pageJSON:
		last := &v.Orders[len(v.Orders)-1]
		ls, n = &last.Lines, &last.Note
	case *orderJSON:
		ls, n = &v.Lines, &v.Note
	case *newOrderJSON:
		ls, n = &v.Lines, &v.Note
	}
	*n = ""
	more := lines(rnd, 100)
	for len(more) > 0 && size-len(marshal(v)) > 150 {
		if _, isNew := v.(*newOrderJSON); !isNew {
			more[0].UnitPrice = 100 + rnd.IntN(9900)
		}
		*ls, more = append(*ls, more[0]), more[1:]
	}
	missing := size - len(marshal(v))
	if missing < 0 || missing > 1000 {
		panic(fmt.Sprintf("bench: %T misses %d bytes of %d", v, missing, size))
	}
	*n = note(rnd, missing)
	return marshal(v)
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
