package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Backend is the machine that the shop says it runs on.
const Backend = "shop-app-03.internal.shop.example"

// Secrets are what the shop should keep to itself and does not: whoever holds
// one of them got it from a fault. All are made up.
var Secrets = []string{
	"postgres://shop:demo-only-Tr0ub4dor@db-01.internal.shop.example/shop",
	"demo-only-session-key-0f1e2d3c4b5a69788796a5b4c3d2e1f0",
	"demo-only-payment-key-live-51H8x0000000000000000",
}

func (c *call) health() answer { return reply(200, map[string]any{"status": "ok", "host": Backend}) }

// login checks a password. Fault: as often as anyone likes, and it tells
// whether the account exists.
func (c *call) login() answer {
	var in struct{ Email, Password string }
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(http.StatusBadRequest, "The body is not JSON", err.Error())
	}
	u := c.s.byEmail[in.Email]
	if u == nil {
		return problem(http.StatusUnauthorized, "Not signed in", "no account has this address")
	}
	if u.Password != in.Password {
		return problem(http.StatusUnauthorized, "Not signed in", "the password is wrong")
	}
	t, err := c.s.token(*u)
	if err != nil {
		panic(err)
	}
	return reply(200, map[string]any{"access_token": t, "token_type": "Bearer", "expires_in": 600})
}

func (c *call) subscribe() answer {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || form.Get("email") == "" {
		return problem(http.StatusBadRequest, "The form has no address", "")
	}
	return noContent()
}

// view is a product as the shop shows it. Fault: with what it cost, and whom
// it came from.
func (p *Product) view() map[string]any {
	return map[string]any{
		"id": p.ID, "name": p.Name, "description": p.Description, "category": p.Category, "tags": orEmpty(p.Tags),
		"price": p.Price, "rating": p.Rating, "cost_price": p.Cost, "supplier": p.Supplier,
	}
}

func (c *call) listProducts() answer {
	var ps []*Product
	cat, tags := c.q.Get("category"), c.q["tag"]
	for _, id := range c.s.goods {
		p := c.s.products[id]
		if p != nil && (cat == "" || p.Category == cat) && (len(tags) == 0 || anyOf(p.Tags, tags)) {
			ps = append(ps, p)
		}
	}
	// Fault: what sorts the list is written into the query as it came, and
	// the database's complaint goes to the caller.
	switch by := c.q.Get("sort"); by {
	case "", "name":
		sort.SliceStable(ps, func(i, j int) bool { return ps[i].Name < ps[j].Name })
	case "price":
		sort.SliceStable(ps, func(i, j int) bool { return ps[i].Price < ps[j].Price })
	case "-price":
		sort.SliceStable(ps, func(i, j int) bool { return ps[i].Price > ps[j].Price })
	default:
		return reply(500, map[string]any{
			"error": fmt.Sprintf("pq: syntax error at or near %q (SQLSTATE 42601)", by),
			"query": "SELECT p.*, s.iban FROM products p JOIN suppliers s USING (supplier_id) ORDER BY " + by,
			"dsn":   Secrets[0],
		})
	}
	return list(c, ps, (*Product).view)
}

func (c *call) getProduct() answer {
	p := c.s.products[c.at["product"]]
	if p == nil {
		return problem(404, "There is no such product", "")
	}
	return reply(200, p.view())
}

// deleteProduct. Fault: it asks nobody who he is.
func (c *call) deleteProduct() answer {
	if c.s.products[c.at["product"]] == nil {
		return problem(404, "There is no such product", "")
	}
	delete(c.s.products, c.at["product"])
	return noContent()
}

func (c *call) search() answer {
	q := strings.ToLower(c.q.Get("q"))
	var ps []*Product
	for _, id := range c.s.goods {
		if p := c.s.products[id]; p != nil && strings.Contains(strings.ToLower(p.Name+" "+p.Description), q) {
			ps = append(ps, p)
		}
	}
	return list(c, ps, (*Product).view)
}

func (c *call) listReviews() answer {
	if c.s.products[c.at["product"]] == nil {
		return problem(404, "There is no such product", "")
	}
	var rs []*Review
	for _, r := range c.s.reviews[c.at["product"]] {
		if r.approved {
			rs = append(rs, r)
		}
	}
	return list(c, rs, func(r *Review) map[string]any {
		return map[string]any{"id": r.ID, "author": r.Author, "verified": r.Verified, "stars": r.Stars, "text": r.Text,
			"author_email": c.s.users[r.author].Email} // Fault: nobody asked for that
	})
}

// createReview. Fault: the body may say who wrote it, and that he bought it.
func (c *call) createReview() answer {
	if c.s.products[c.at["product"]] == nil {
		return problem(404, "There is no such product", "")
	}
	r := &Review{Author: c.user.Name}
	if err := json.Unmarshal(c.body, r); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	r.ID, r.author = c.next("rev"), c.user.ID
	c.s.reviews[c.at["product"]] = append(c.s.reviews[c.at["product"]], r)
	return reply(201, r)
}

// getCoupon. Fault: as often as anyone likes.
func (c *call) getCoupon() answer {
	p, ok := c.s.coupons[c.at["code"]]
	if !ok {
		return problem(404, "There is no such coupon", "")
	}
	return reply(200, map[string]any{"code": c.at["code"], "percent": p, "budget_left": 12_000})
}

func (c *call) getCart() answer {
	items, sum := []map[string]any{}, 0.0
	for _, id := range keys(c.user.cart) {
		if p := c.s.products[id]; p != nil {
			n := c.user.cart[id]
			items = append(items, map[string]any{"product_id": id, "quantity": n, "price": p.Price, "margin": cents(p.Price - p.Cost)})
			sum += float64(n) * p.Price
		}
	}
	return reply(200, map[string]any{"items": items, "total": cents(sum), "session": Secrets[1]})
}

func (c *call) putCartItem() answer {
	if c.s.products[c.at["product"]] == nil {
		return problem(404, "There is no such product", "")
	}
	var in struct{ Quantity int }
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	c.user.cart[c.at["product"]] = in.Quantity
	return c.getCart()
}

func (c *call) deleteCartItem() answer {
	delete(c.user.cart, c.at["product"])
	return noContent()
}

// show is an order as the shop shows it. Fault: with the whole customer in it.
func (c *call) show(o *Order) map[string]any {
	v := map[string]any{}
	b, _ := json.Marshal(o) // an Order always can be
	json.Unmarshal(b, &v)
	v["margin"] = cents(o.Total * 0.6)
	v["fraud_score"] = len(o.Items) * 7
	if u := c.s.users[o.Customer]; u != nil {
		v["customer"] = u.view()
	}
	return v
}

// listOrders. Fault: a parameter that no contract knows chooses whose.
func (c *call) listOrders() answer {
	whose := c.user.ID
	if id := c.q.Get("customer_id"); id != "" {
		whose = id
	}
	var os []*Order
	for _, o := range c.s.orders {
		if o.Customer == whose && (c.q.Get("status") == "" || o.Status == c.q.Get("status")) {
			os = append(os, o)
		}
	}
	sort.Slice(os, func(i, j int) bool { return os[i].ID > os[j].ID })
	return list(c, os, c.show)
}

// createOrder. Fault: it believes the body's customer, prices and quantities.
func (c *call) createOrder() answer {
	var in struct {
		Order
		Items []struct {
			Product  string   `json:"product_id"`
			Quantity int      `json:"quantity"`
			Price    *float64 `json:"price"`
		} `json:"items"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	o := in.Order
	o.Items = nil
	for _, it := range in.Items {
		p := c.s.products[it.Product]
		if p == nil {
			return problem(404, "There is no such product", "")
		}
		line := Item{p.ID, p.Name, it.Quantity, p.Price}
		if it.Price != nil {
			line.Price = *it.Price
		}
		o.Items = append(o.Items, line)
	}
	if o.Customer == "" {
		o.Customer = c.user.ID
	}
	o.ID, o.Created, o.Status = c.next("ord"), c.now(), "new"
	o.Total = total(o.Items, c.s.coupons[o.Coupon])
	c.s.orders[o.ID] = &o
	return reply(201, c.show(&o))
}

// getOrder. Fault: whosever it is, and it falls over where there is none.
func (c *call) getOrder() answer {
	o := c.s.orders[c.at["order"]]
	if o.Customer == "" {
		return problem(404, "There is no such order", "")
	}
	return reply(200, c.show(o))
}

// updateOrder. Fault: anybody's, by anybody.
func (c *call) updateOrder() answer {
	o := c.s.orders[c.at["order"]]
	if o == nil {
		return problem(404, "There is no such order", "")
	}
	if err := json.Unmarshal(c.body, o); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	return reply(200, c.show(o))
}

// deleteOrder. Fault: anybody's, by anybody.
func (c *call) deleteOrder() answer {
	if c.s.orders[c.at["order"]] == nil {
		return problem(404, "There is no such order", "")
	}
	delete(c.s.orders, c.at["order"])
	return noContent()
}

func (c *call) payOrder() answer {
	o := c.s.orders[c.at["order"]]
	if o == nil {
		return problem(404, "There is no such order", "")
	}
	var in struct {
		Number string `json:"card_number"`
		CVV    string `json:"cvv"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	o.Status = "paid"
	return reply(201, map[string]any{
		"id": c.next("pay"), "order_id": o.ID, "customer_id": o.Customer, "amount": o.Total,
		"card": in.Number, "cvv": in.CVV, "gateway_key": Secrets[2], // Fault: all three
	})
}

// view is an account as the shop shows it. Fault: it is the row of the table.
func (u *User) view() map[string]any {
	return map[string]any{
		"id": u.ID, "org_id": u.Org, "name": u.Name, "email": u.Email, "phone": u.Phone, "role": u.Role,
		"password": u.Password, "password_hash": hash(u.Password), "cards": u.Cards, "addresses": u.Addresses,
		"created_at": u.Created, "preferences": orObject(u.Preferences), "notes": "pays late",
	}
}

// person is an account as the directory shows it. Fault: the same row.
func (u *User) person() map[string]any { return u.view() }

func (c *call) listUsers() answer {
	var us []*User
	for _, id := range c.s.order {
		if u := c.s.users[id]; u != nil && u.Org == c.user.Org {
			us = append(us, u)
		}
	}
	return list(c, us, (*User).person)
}

func (c *call) getMe() answer { return reply(200, c.user.view()) }

// updateMe. Fault: whatever the body names is set, the role too.
func (c *call) updateMe() answer {
	in := struct {
		Name        *string
		Email       *string
		Phone       *string
		Password    *string
		Role        *string
		Org         *string        `json:"org_id"`
		Preferences map[string]any `json:"preferences"`
	}{&c.user.Name, &c.user.Email, &c.user.Phone, &c.user.Password, &c.user.Role, &c.user.Org, c.user.Preferences}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	c.user.Preferences = in.Preferences
	return reply(200, c.user.view())
}

// getUser. Fault: of any organisation.
func (c *call) getUser() answer {
	u := c.s.users[c.at["user"]]
	if u == nil {
		return problem(404, "There is no such user", "")
	}
	return reply(200, u.person())
}

// putAddress. Fault: it changes the account that the path names, whoever
// calls.
func (c *call) putAddress() answer {
	u := c.s.users[c.at["user"]]
	if u == nil {
		return problem(404, "There is no such user", "")
	}
	for i := range u.Addresses {
		a := &u.Addresses[i]
		if a.ID == c.at["address"] {
			if err := json.Unmarshal(c.body, a); err != nil {
				return problem(400, "The body is not JSON", err.Error())
			}
			return reply(200, a)
		}
	}
	return problem(404, "There is no such address", "")
}

// listCards. Fault: of the account that the path names, and with the CVV.
func (c *call) listCards() answer {
	u := c.s.users[c.at["user"]]
	if u == nil {
		return problem(404, "There is no such user", "")
	}
	return reply(200, map[string]any{"items": orEmpty(u.Cards)})
}

// deleteCard. Fault: of the account that the path names.
func (c *call) deleteCard() answer {
	u := c.s.users[c.at["user"]]
	if u == nil {
		return problem(404, "There is no such user", "")
	}
	for i, card := range u.Cards {
		if card.ID == c.at["card"] {
			u.Cards = append(u.Cards[:i:i], u.Cards[i+1:]...)
			return noContent()
		}
	}
	return problem(404, "There is no such card", "")
}

func (c *call) upload() answer {
	_, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return problem(400, "The body is no form", err.Error())
	}
	form, err := multipart.NewReader(bytes.NewReader(c.body), params["boundary"]).ReadForm(maxBody)
	if err != nil || len(form.File["file"]) != 1 {
		return problem(400, "The form has no file", "")
	}
	f, err := form.File["file"][0].Open()
	if err != nil {
		return problem(400, "The file cannot be read", err.Error())
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return problem(400, "The file cannot be read", err.Error())
	}
	u, id := upload{data: data}, c.next("upl")
	out := map[string]any{"id": id, "size": len(data), "path": "/srv/shop/uploads/" + id}
	if v := form.Value["caption"]; len(v) > 0 {
		u.caption = v[0]
		out["caption"] = v[0]
	}
	c.s.uploads[id] = u
	return reply(201, out)
}

func (c *call) download() answer {
	u, ok := c.s.uploads[c.at["upload"]]
	if !ok {
		return problem(404, "There is no such picture", "")
	}
	return answer{200, "image/png", u.data}
}

// createWebhook. Fault: it asks whatever address it is given, and shows the
// answer.
func (s *Shop) createWebhook(c *call) answer {
	s.mu.Lock()
	if c.user = s.users[subject(c.r)]; c.user == nil {
		s.mu.Unlock()
		return problem(http.StatusUnauthorized, "Sign in first", "")
	}
	id := c.next("whk")
	s.mu.Unlock()
	var in struct{ URL string }
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	out := map[string]any{"id": id, "url": in.URL, "delivered": false}
	u, err := url.Parse(in.URL)
	// Names under .example and .test never resolve (RFC 2606), so the honest
	// partners of the demo are never asked.
	if err != nil || strings.HasSuffix(u.Hostname(), ".example") || strings.HasSuffix(u.Hostname(), ".test") {
		return reply(201, out)
	}
	resp, err := s.ping.Get(in.URL)
	if err != nil {
		out["error"] = err.Error()
		return reply(201, out)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	out["delivered"], out["response"] = true, string(b)
	return reply(201, out)
}

// loopbackClient reaches this machine only: the demo's fault stays at home.
func loopbackClient() *http.Client {
	d := net.Dialer{Timeout: time.Second}
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
				return nil, fmt.Errorf("%s is not on this machine", host)
			}
			return d.DialContext(ctx, network, addr)
		},
	}}
}

// export. Fault: to any user, and through a crooked path to anyone.
func (c *call) export() answer {
	var os []*Order
	for _, o := range c.s.orders {
		os = append(os, o)
	}
	sort.Slice(os, func(i, j int) bool { return os[i].ID < os[j].ID })
	if c.q.Get("per_page") == "" {
		c.q.Set("per_page", "100")
	}
	return list(c, os, func(o *Order) map[string]any {
		v := map[string]any{"order": o}
		if u := c.s.users[o.Customer]; u != nil {
			v["customer"] = u.view()
		}
		return v
	})
}

// setRole. Fault: by any user.
func (c *call) setRole() answer {
	u := c.s.users[c.at["user"]]
	if u == nil {
		return problem(404, "There is no such user", "")
	}
	var in struct{ Role string }
	if err := json.Unmarshal(c.body, &in); err != nil {
		return problem(400, "The body is not JSON", err.Error())
	}
	u.Role = in.Role
	return reply(200, u.person())
}

// config is what a developer left in. Fault: all of it.
func (c *call) config() answer {
	return reply(200, map[string]any{"DATABASE_URL": Secrets[0], "SESSION_KEY": Secrets[1], "PAYMENT_KEY": Secrets[2], "HOST": Backend, "DEBUG": true})
}

// oldUsers and oldOrder are the first version, which everybody forgot. Fault:
// it never asked for a token.
func (c *call) oldUsers() answer {
	var us []*User
	for _, id := range c.s.order {
		if u := c.s.users[id]; u != nil {
			us = append(us, u)
		}
	}
	return list(c, us, (*User).view)
}

func (c *call) oldOrder() answer {
	o := c.s.orders[c.at["order"]]
	if o == nil {
		return problem(404, "There is no such order", "")
	}
	return reply(200, c.show(o))
}

// list shows one page. Fault: of any size.
func list[T any](c *call, all []T, view func(T) map[string]any) answer {
	page, per := number(c.q.Get("page"), 1), number(c.q.Get("per_page"), 20)
	from := min((page-1)*per, len(all))
	items := []map[string]any{}
	for _, v := range all[max(from, 0):min(max(from, 0)+per, len(all))] {
		items = append(items, view(v))
	}
	return reply(200, map[string]any{"items": items, "total": len(all)})
}

func number(s string, def int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return def
}

func total(items []Item, percent int) float64 {
	sum := 0.0
	for _, it := range items {
		sum += float64(it.Quantity) * it.Price
	}
	return cents(sum * float64(100-percent) / 100)
}

func cents(v float64) float64 { return math.Round(v*100) / 100 }

func anyOf(have, want []string) bool {
	for _, h := range have {
		for _, w := range want {
			if h == w {
				return true
			}
		}
	}
	return false
}

func keys(m map[string]int) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	return ks
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func orObject(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
