package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/demo/shop"
)

// A visitor makes visits as one person. Its methods are for one goroutine.
type visitor struct {
	*person
	c      *crowd
	rng    *rand.Rand
	visits int
	forgot bool // its second card
	// logins says that the person has an address of its own, and so may sign
	// in without spending the limit of others.
	logins bool
}

// call makes a step and does it. It returns what the bare shop answered, or
// an empty object: after a step that was not served, a visit goes on as far as
// it can.
func (v *visitor) call(ctx context.Context, op, method, target string, want int, kind string, body []byte, signed bool) map[string]any {
	s := &step{op: op, want: want, req: Request{Method: method, Target: "/v2" + target, Header: http.Header{}, Body: body, From: v.from}}
	s.req.Header.Set("User-Agent", `shop-app/5.1 (it's "fine"; x64)`)
	s.req.Header.Set("Accept", "application/json, application/problem+json, image/png")
	if kind != "" {
		s.req.Header.Set("Content-Type", kind)
	}
	if signed {
		s.req.Header.Set("Authorization", "Bearer "+v.token())
	}
	if m, err := v.c.do(ctx, s); err == nil && m != nil {
		return m
	}
	return map[string]any{}
}

func (v *visitor) get(ctx context.Context, op, target string) map[string]any {
	return v.call(ctx, op, "GET", target, 200, "", nil, true)
}

// look reads what is open to everyone, without a token.
func (v *visitor) look(ctx context.Context, op, target string) map[string]any {
	return v.call(ctx, op, "GET", target, 200, "", nil, false)
}

func (v *visitor) write(ctx context.Context, op, method, target string, want int, body any) map[string]any {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(v.rng.IntN(2) == 0) // both ways of writing < and & are JSON
	if err := e.Encode(body); err != nil {
		panic(err) // the bodies here are all plain data
	}
	return v.call(ctx, op, method, target, want, "application/json", b.Bytes(), true)
}

func (v *visitor) pick(from []string) string { return from[v.rng.IntN(len(from))] }

// words is a text that people write and that simple filters trip over.
func (v *visitor) words() string { return v.pick(difficult) }

func (v *visitor) product() string { return shop.ProductID(v.rng.IntN(100)) }

// visit is one visit to the shop.
func (v *visitor) visit(ctx context.Context) {
	q := url.QueryEscape
	switch {
	case len(v.roles) > 0 && v.roles[0] == "admin":
		v.administer(ctx)
		return
	case len(v.roles) > 0:
		v.handle(ctx)
		return
	}
	if v.rng.IntN(4) == 0 {
		v.look(ctx, "getHealth", "/health")
	}
	if v.visits%8 == 0 { // the app keeps its token
		v.signIn(ctx)
	}
	v.visits++

	// Browse.
	v.look(ctx, "listProducts", fmt.Sprintf("/products?page=%d&per_page=%d&sort=%s", 1+v.rng.IntN(4), 1+v.rng.IntN(100), v.pick([]string{"name", "price", "-price"})))
	v.look(ctx, "listProducts", "/products?category="+v.pick([]string{"books", "garden", "kitchen", "music", "toys"})+"&tag=new&tag=sale")
	for range 1 + v.rng.IntN(2) {
		v.look(ctx, "search", "/search?q="+q(v.words()))
	}
	p := v.product()
	v.look(ctx, "getProduct", "/products/"+p)
	v.look(ctx, "listReviews", "/products/"+p+"/reviews?page=1")
	if v.rng.IntN(5) == 0 {
		v.call(ctx, "getProduct", "GET", "/products/prd_9999", 404, "", nil, false)
	}

	// Fill the cart, order, pay, look at it.
	v.write(ctx, "putCartItem", "PUT", "/cart/items/"+p, 200, map[string]any{"quantity": 1 + v.rng.IntN(5)})
	v.get(ctx, "getCart", "/cart")
	order := map[string]any{
		"customer_id": v.id, "note": v.words(), "gift": v.rng.IntN(2) == 0,
		"items":   []any{map[string]any{"product_id": p, "quantity": 1 + v.rng.IntN(3)}, map[string]any{"product_id": v.product(), "quantity": 1}},
		"ship_to": v.address(),
	}
	if v.rng.IntN(6) == 0 {
		v.get(ctx, "getCoupon", "/coupons/SPRING10")
		order["coupon"] = "SPRING10"
	}
	if id, ok := v.write(ctx, "createOrder", "POST", "/orders", 201, order)["id"].(string); ok {
		const card = "4111111111111111" // the number that every test uses
		v.write(ctx, "payOrder", "POST", "/orders/"+id+"/payment", 201, map[string]any{"card_number": card, "expiry": "07/29", "cvv": "123"})
		v.get(ctx, "getOrder", "/orders/"+id)
	}
	v.call(ctx, "deleteCartItem", "DELETE", "/cart/items/"+p, 204, "", nil, true)
	v.get(ctx, "getOrder", "/orders/"+shop.OrderID(v.n, v.rng.IntN(5)))
	v.get(ctx, "listOrders", fmt.Sprintf("/orders?page=1&per_page=%d", 5+v.rng.IntN(20)))
	if v.rng.IntN(2) == 0 {
		v.get(ctx, "listOrders", "/orders?status=paid")
	}

	// Look after the account.
	v.get(ctx, "getMe", "/users/me")
	v.get(ctx, "listCards", "/users/"+v.id+"/cards")
	v.write(ctx, "updateMe", "PATCH", "/users/me", 200, map[string]any{
		"name": v.pick(names), "phone": "+45 20 12 34 56", "preferences": map[string]any{"theme": v.words(), "role": "reader", "sizes": []any{1, 2.5, nil, true}}})
	if !v.forgot && v.rng.IntN(4) == 0 {
		v.forgot = true
		v.call(ctx, "deleteCard", "DELETE", fmt.Sprintf("/users/%s/cards/crd_%d", v.id, v.n*10+1), 204, "", nil, true)
	}
	a := v.address()
	v.write(ctx, "putAddress", "PUT", "/users/"+v.id+"/addresses/"+shop.AddressID(v.n), 200, a)
	v.get(ctx, "getUser", fmt.Sprintf("/users/usr_%04d", 48+v.n%2+2*v.rng.IntN(6)))
	v.get(ctx, "listUsers", fmt.Sprintf("/users?page=%d", 3+v.rng.IntN(4)))

	// Say something.
	v.write(ctx, "createReview", "POST", "/products/"+p+"/reviews", 201, map[string]any{
		"stars": 1 + v.rng.IntN(5), "title": v.pick(names), "text": v.words() + "\n\n" + v.words()})
	if v.rng.IntN(2) == 0 {
		v.sendPicture(ctx)
	}
	if v.rng.IntN(3) == 0 {
		form := url.Values{"email": {"o'brien+" + v.id + "@acme.example"}, "topic": {"news", "offers"}}
		v.call(ctx, "subscribe", "POST", "/newsletter", 204, "application/x-www-form-urlencoded", []byte(form.Encode()), false)
	}
	if v.rng.IntN(3) == 0 {
		v.write(ctx, "createWebhook", "POST", "/webhooks", 201, map[string]any{"url": "https://hooks.partner.example/orders/" + v.id})
	}
}

// signIn logs in, now and then with a mistyped password first.
func (v *visitor) signIn(ctx context.Context) {
	if !v.logins {
		return
	}
	u, ok := v.c.bare.shop.User(v.id)
	if !ok {
		return
	}
	if v.rng.IntN(4) == 0 {
		v.write(ctx, "login", "POST", "/login", 401, map[string]any{"email": u.Email, "password": "' OR 1=1 -- (is a fine password)"})
	}
	v.write(ctx, "login", "POST", "/login", 200, map[string]any{"email": u.Email, "password": u.Password})
}

func (v *visitor) address() map[string]any {
	return map[string]any{
		"name": v.pick(names), "street": v.pick([]string{"1 Rue de l'Église", "Straße des 17. Juni 135", "10/12 High St.; rear", "Apt #4 & 5, \"The Oaks\""}),
		"city": v.pick([]string{"'s-Hertogenbosch", "København", "São Paulo", "Łódź"}), "postcode": "5211 AB", "country": v.pick([]string{"NL", "DK", "BR", "PL"}),
	}
}

// sendPicture sends a picture as a browser's form does, and looks at it.
func (v *visitor) sendPicture(ctx context.Context) {
	png := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 200+v.rng.IntN(2000))...)
	for i := range png[8:] {
		png[8+i] = byte(v.rng.Uint32())
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.SetBoundary(fmt.Sprintf("----WebKitFormBoundary%016x", v.rng.Uint64()))
	w.WriteField("caption", v.words())
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="it's mine; 2nd (Ångström) & last.png"`}, "Content-Type": {"image/png"}})
	if err != nil {
		return // a bytes.Buffer takes all
	}
	part.Write(png)
	w.Close()
	if id, ok := v.call(ctx, "uploadPicture", "POST", "/uploads", 201, w.FormDataContentType(), b.Bytes(), true)["id"].(string); ok {
		v.look(ctx, "getPicture", "/uploads/"+id)
	}
}

// handle is what staff do: move orders on, and remove one of their own.
func (v *visitor) handle(ctx context.Context) {
	n := firstHandled + v.rng.IntN(5)*4 + v.n%4 // nobody else handles these
	v.write(ctx, "updateOrder", "PATCH", "/orders/"+shop.OrderID(n, v.rng.IntN(5)), 200,
		map[string]any{"status": v.pick([]string{"paid", "shipped", "delivered"}), "note": v.words()})
	if id, ok := v.write(ctx, "createOrder", "POST", "/orders", 201, map[string]any{
		"customer_id": v.id, "items": []any{map[string]any{"product_id": v.product(), "quantity": 1}}})["id"].(string); ok {
		v.call(ctx, "deleteOrder", "DELETE", "/orders/"+id, 204, "", nil, true)
	}
	v.get(ctx, "listUsers", "/users?page=3&per_page=20")
}

// administer is what admins do: close the books, give a role.
func (v *visitor) administer(ctx context.Context) {
	v.get(ctx, "exportOrders", "/admin/export?page=3")
	v.write(ctx, "setRole", "PUT", "/admin/users/"+shop.UserID(90+v.n%4)+"/role", 200, map[string]any{"role": v.pick([]string{"customer", "staff"})})
	v.call(ctx, "deleteProduct", "DELETE", "/products/prd_9999", 404, "", nil, true)
}

var names = []string{
	"Miles O'Brien", "Jennifer Null", "Zoë Select", "Robert \"Bobby\" Tables", "Mary-Jane O'Neil-Drop", "René Descartes", "Nguyễn Thị Minh Khai",
	"Иван Грозный", "佐藤 美咲", "محمد علي", "שרה כהן", "Þórunn Antonía", "Ke$ha & Co.", "X Æ A-12", "Anne & Bob <3", "J.R.R. T.", "d'Artagnan", "Dr. Union, M.D.",
}

// difficult are ordinary texts that signature filters take for attacks.
var difficult = []string{
	"O'Brien", "I'd select it from all others where price matters", "drop table lamp (oak)", "union jack or 1=1 maths game", "Rock 'n' roll -- live; 1969",
	"5 < 6 && 7 > 3", "<3 love it", "my son's <b>favourite</b>", "C:\\Users\\me\\pictures", "../notes.txt is where I keep the list", "50% off? 100%!", "it's \"great\"",
	"Please insert into slot A; then update firmware", "exec. summary", "cat & dog | bowl", "rm -rf is not for toasters", "`backticks` and $HOME", "${price} was wrong", "{{ name }} stood on the card",
	"echo hello; ls", "SELECT a nice one for me, please", "delete from my wish list where old", "having 1 or 2 left?", "sleep(5) hours a night", "waitfor delay: two days",
	"👍🏽🎉 crème brûlée", "日本語のレビュー", "שלום עולם", "مرحبا بالعالم", "Ünïcödé", "a\tb", "line one\nline two", "null", "undefined", "true", "NaN", "-1", "0x1F",
	"http://www.shop.example/?a=1&b=2", "mail me: see profile", "javascript: the good parts", "onload=slowly, onclick=never", "alert (the postman)", "script kiddie's <diary>",
	"admin' is my nickname", "x' AND 'x'='x is on the T-shirt", "/etc/passwd poster", "%00 sugar", "%2e%2e is two dots", "&lt;script&gt; mug", "C++ > C#", "#1!", "a=b&c=d", "--", "/* no comment */", ";", "'", "\"", "\\", "%",
	"order by chaos", "group by taste", "1; DROP is a band", "load_file cabinet", "Content-Type: nice", "GET / HTTP/1.1 mug", "eval uation copy", "The cake is a lie(); }", "() { :; } socks", "phpinfo poster", "base64 aGVsbG8=",
	strings.Repeat("long but fine, isn't it? ", 7),
}
