// Package shop is a small REST API with the classic faults, for the demo and
// for tests. It promises what package demo/contract says and keeps it badly:
// it trusts identifiers, tokens, properties and paths that it should not, and
// tells more than it should. Each fault is marked "Fault:" where it is.
//
// New makes one with its data in memory, drawn from a seed; two shops of one
// seed give the same answers to the same requests. It must never be reachable
// from another machine.
package shop

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is what the shop reads of a body. Fault: it is far more than any
// operation needs; it is bounded only so that the demo's machine lives.
const maxBody = 64 << 20

// Options say what a Shop needs. Token is required.
type Options struct {
	Seed uint64
	// Token makes the token that login answers with.
	Token func(User) (string, error)
}

// A Shop serves the API. Its methods may be called at once.
type Shop struct {
	seed  uint64
	token func(User) (string, error)
	ping  *http.Client

	mu       sync.Mutex // guards all below
	users    map[string]*User
	byEmail  map[string]*User
	order    []string // user ids, sorted
	orders   map[string]*Order
	products map[string]*Product
	goods    []string // ids of products that lists show
	reviews  map[string][]*Review
	uploads  map[string]upload
	coupons  map[string]int
	largest  int // bytes of the largest body that was taken in
}

type upload struct {
	data    []byte
	caption string
}

// New opens a shop.
func New(o Options) *Shop {
	s := &Shop{
		seed: o.Seed, token: o.Token, ping: loopbackClient(),
		users: map[string]*User{}, byEmail: map[string]*User{}, orders: map[string]*Order{},
		products: map[string]*Product{}, reviews: map[string][]*Review{}, uploads: map[string]upload{},
		coupons: map[string]int{"SPRING10": 10, "FRIEND15": 15},
	}
	for n := range CountProducts {
		p := seedProduct(o.Seed, n)
		s.products[p.ID] = p
		if n < listed {
			s.goods = append(s.goods, p.ID)
		}
	}
	for n := range CountUsers {
		u := seedUser(o.Seed, n)
		s.users[u.ID] = u
		s.byEmail[u.Email] = u
		s.order = append(s.order, u.ID)
		for _, ord := range s.seedOrders(n) {
			s.orders[ord.ID] = ord
		}
		p := s.goods[n%listed]
		s.reviews[p] = append(s.reviews[p], &Review{
			ID: fmt.Sprintf("rev_%04d", n), Author: u.Name, Verified: n%3 == 0, Stars: 1 + n%5,
			Text: "Works as it should; select it, don't drop it. 5 > 4 & 3 < 4.", author: u.ID, approved: true,
		})
	}
	// Codes that somebody thought nobody would guess.
	for n := range 6 {
		s.coupons[HiddenCoupon(o.Seed, n)] = 40 + 10*n
	}
	return s
}

// HiddenCoupon is the code of one of the six coupons that were given to single
// customers: VIP and three digits.
func HiddenCoupon(seed uint64, n int) string {
	return fmt.Sprintf("VIP%03d", 140+seed%10+uint64(n)*60)
}

// User returns a copy of an account as it is now; ok is false where there is
// none.
func (s *Shop) User(id string) (u User, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.users[id]
	if !ok {
		return User{}, false
	}
	u = *p
	u.Addresses = append([]Address(nil), p.Addresses...)
	u.Cards = append([]Card(nil), p.Cards...)
	return u, true
}

// Order returns a copy of an order as it is now.
func (s *Shop) Order(id string) (o Order, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.orders[id]
	if !ok {
		return Order{}, false
	}
	return *p, true
}

// OrdersOf returns copies of a user's orders.
func (s *Shop) OrdersOf(user string) (os []Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.orders {
		if o.Customer == user {
			os = append(os, *o)
		}
	}
	sort.Slice(os, func(i, j int) bool { return os[i].ID < os[j].ID })
	return os
}

// HasProduct reports whether a product is still there.
func (s *Shop) HasProduct(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.products[id] != nil
}

// Largest returns the size of the largest request body that the shop took in
// since the last call, in bytes.
func (s *Shop) Largest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.largest
	s.largest = 0
	return n
}

// RestoreUser makes user n and his orders what they were when the shop opened,
// and RestoreProduct does so for a product: the demo undoes with them what an
// attack did, so that the next one finds something to steal.
func (s *Shop) RestoreUser(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := seedUser(s.seed, n)
	if old := s.users[u.ID]; old != nil {
		u.made, u.cart = old.made, old.cart
	}
	s.users[u.ID] = u
	s.byEmail[u.Email] = u
	for id, o := range s.orders {
		if o.Customer == u.ID {
			delete(s.orders, id)
		}
	}
	for _, o := range s.seedOrders(n) {
		s.orders[o.ID] = o
	}
}

// RestoreProduct puts product n back.
func (s *Shop) RestoreProduct(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.products[ProductID(n)] = seedProduct(s.seed, n)
}

// A call is one request on its way to a handler.
type call struct {
	s    *Shop
	r    *http.Request
	at   map[string]string // path parameters
	q    url.Values
	user *User // nil where no token names one
	body []byte
}

// An answer is what a handler says.
type answer struct {
	status int
	kind   string // media type
	body   []byte
}

// zippers are used again and again: each is most of a megabyte.
var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// ServeHTTP serves the API.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Fault: every answer names the software and the machine behind it.
	h := w.Header()
	h.Set("Server", "shop-api/2.4.0 (Debian) Go/1.26")
	h.Set("X-Powered-By", "shop-framework 0.9.1")
	h.Set("X-Backend-Server", Backend)

	a := s.answer(r)
	if a.kind != "" {
		h.Set("Content-Type", a.kind)
	}
	if len(a.body) > 1024 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && a.kind != "image/png" {
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
		var z bytes.Buffer
		zw := zippers.Get().(*gzip.Writer)
		zw.Reset(&z)
		zw.Write(a.body)
		zw.Close()
		zippers.Put(zw)
		a.body = z.Bytes()
	}
	if a.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		w.Write(a.body)
	}
}

func (s *Shop) answer(r *http.Request) (a answer) {
	// Fault: whoever makes the shop fail may read why, with the stack, the
	// query and the address of the database.
	defer func() {
		if p := recover(); p != nil {
			a = answer{http.StatusInternalServerError, "text/plain; charset=utf-8", fmt.Appendf(nil,
				"panic: %v\n\n%s\nlast query: SELECT * FROM orders WHERE id = $1\nconnection: %s\n", p, debug.Stack(), Secrets[0])}
		}
	}()
	raw, method := r.URL.EscapedPath(), r.Method
	if p, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(p, "/") {
		raw = p
	}
	// Fault: headers meant for a proxy that is long gone change what the
	// request is.
	if o := r.Header.Get("X-Original-URL"); o != "" {
		raw = o
	} else if o := r.Header.Get("X-Rewrite-URL"); o != "" {
		raw = o
	}
	if o := r.Header.Get("X-HTTP-Method-Override"); o != "" {
		method = strings.ToUpper(o)
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return problem(http.StatusBadRequest, "The body is incomplete", err.Error())
	}
	if method == http.MethodPost && pathOf(raw) == "/v2/webhooks" {
		return s.createWebhook(&call{s: s, r: r, body: body}) // waits for others, so it takes no lock
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.largest = max(s.largest, len(body))
	c := &call{s: s, r: r, q: r.URL.Query(), body: body, user: s.users[subject(r)]}
	if c.user == nil && !open(r.URL.Path, raw) {
		return problem(http.StatusUnauthorized, "Sign in first", "")
	}
	for _, rt := range routes {
		if rt.method != method {
			continue
		}
		if c.at = rt.match(pathOf(raw)); c.at != nil {
			if c.user == nil && rt.user {
				return problem(http.StatusUnauthorized, "Sign in first", "")
			}
			return rt.serve(c)
		}
	}
	return problem(http.StatusNotFound, "There is nothing here", "")
}

// open reports whether a path needs no token. Fault: it looks at how the path
// begins before anyone has worked out where it leads.
func open(paths ...string) bool {
	for _, p := range paths {
		for _, prefix := range []string{"/v2/products", "/v2/search", "/v2/health", "/v2/login", "/v2/newsletter", "/v2/uploads/", "/v1/", "/internal/", "/debug/"} {
			if strings.HasPrefix(p, prefix) {
				return true
			}
		}
	}
	return false
}

// pathOf works out where a path leads. Fault: it is obliging. It decodes
// twice, takes a backslash for a slash, drops what follows a semicolon, and
// resolves dot segments last.
func pathOf(raw string) string {
	p := raw
	for range 2 {
		if d, err := url.PathUnescape(p); err == nil {
			p = d
		}
	}
	segs := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
	for i, s := range segs {
		segs[i], _, _ = strings.Cut(s, ";")
	}
	return path.Clean("/" + strings.Join(segs, "/"))
}

// subject reads who calls from the token. Fault: it believes the token. It
// checks no signature, no algorithm, no issuer, no audience and no expiry, and
// scopes and roles are never asked for.
func subject(r *http.Request) string {
	t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(t, ".")
	if !ok || len(parts) < 2 {
		return ""
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	if json.Unmarshal(data, &claims) != nil {
		return ""
	}
	return claims.Sub
}

// A route leads to a handler.
type route struct {
	method  string
	pattern string
	user    bool // a handler that cannot do without a user
	serve   func(*call) answer
}

// routes are what the shop serves; those after the gap are in no contract.
var routes = []route{
	{"GET", "/v2/health", false, (*call).health},
	{"POST", "/v2/login", false, (*call).login},
	{"POST", "/v2/newsletter", false, (*call).subscribe},
	{"GET", "/v2/products", false, (*call).listProducts},
	{"GET", "/v2/products/{product}", false, (*call).getProduct},
	{"DELETE", "/v2/products/{product}", false, (*call).deleteProduct},
	{"GET", "/v2/products/{product}/reviews", false, (*call).listReviews},
	{"POST", "/v2/products/{product}/reviews", true, (*call).createReview},
	{"GET", "/v2/search", false, (*call).search},
	{"GET", "/v2/coupons/{code}", true, (*call).getCoupon},
	{"GET", "/v2/cart", true, (*call).getCart},
	{"PUT", "/v2/cart/items/{product}", true, (*call).putCartItem},
	{"DELETE", "/v2/cart/items/{product}", true, (*call).deleteCartItem},
	{"GET", "/v2/orders", true, (*call).listOrders},
	{"POST", "/v2/orders", true, (*call).createOrder},
	{"GET", "/v2/orders/{order}", true, (*call).getOrder},
	{"PATCH", "/v2/orders/{order}", true, (*call).updateOrder},
	{"DELETE", "/v2/orders/{order}", true, (*call).deleteOrder},
	{"POST", "/v2/orders/{order}/payment", true, (*call).payOrder},
	{"GET", "/v2/users", true, (*call).listUsers},
	{"GET", "/v2/users/me", true, (*call).getMe},
	{"PATCH", "/v2/users/me", true, (*call).updateMe},
	{"GET", "/v2/users/{user}", true, (*call).getUser},
	{"PUT", "/v2/users/{user}/addresses/{address}", true, (*call).putAddress},
	{"GET", "/v2/users/{user}/cards", true, (*call).listCards},
	{"DELETE", "/v2/users/{user}/cards/{card}", true, (*call).deleteCard},
	{"POST", "/v2/uploads", true, (*call).upload},
	{"GET", "/v2/uploads/{upload}", false, (*call).download},
	{"GET", "/v2/admin/export", false, (*call).export},
	{"PUT", "/v2/admin/users/{user}/role", false, (*call).setRole},

	{"GET", "/internal/config", false, (*call).config},
	{"GET", "/debug/env", false, (*call).config},
	{"GET", "/v2/debug/env", false, (*call).config},
	{"GET", "/v1/users", false, (*call).oldUsers},
	{"GET", "/v1/orders/{order}", false, (*call).oldOrder},
}

// match returns the parameters of a path that the route serves, or nil.
func (rt *route) match(p string) map[string]string {
	want, got := strings.Split(rt.pattern, "/"), strings.Split(p, "/")
	if len(want) != len(got) {
		return nil
	}
	at := map[string]string{}
	for i, w := range want {
		if strings.HasPrefix(w, "{") {
			at[strings.Trim(w, "{}")] = got[i]
		} else if w != got[i] {
			return nil
		}
	}
	return at
}

func reply(status int, v any) answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // shown to the caller, like every fault of this shop
	}
	return answer{status, "application/json", b}
}

func problem(status int, title, detail string) answer {
	v := map[string]any{"type": "about:blank", "title": title, "status": status}
	if detail != "" {
		v["detail"] = detail
	}
	a := reply(status, v)
	a.kind = "application/problem+json"
	return a
}

func noContent() answer { return answer{status: http.StatusNoContent} }

// next makes an identifier that depends only on who makes how many things, so
// that two shops agree on it whatever others do meanwhile.
func (c *call) next(prefix string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(c.user.ID, "usr_"))
	c.user.made++
	return fmt.Sprintf("%s_9%04d%05d", prefix, n, c.user.made)
}

func (c *call) now() time.Time {
	return epoch.AddDate(0, 6, 0).Add(time.Duration(c.user.made) * time.Minute)
}
