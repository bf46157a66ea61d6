package shop_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/demo/shop"
)

func open(seed uint64) *shop.Shop {
	return shop.New(shop.Options{Seed: seed, Token: func(u shop.User) (string, error) { return "token of " + u.ID, nil }})
}

func ask(s *shop.Shop, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer e30.eyJzdWIiOiJ1c3JfMDAwMSJ9.") // {"sub":"usr_0001"}, signed by nobody
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// The demo compares two shops answer by answer.
func TestShopsOfOneSeedAnswerAlike(t *testing.T) {
	a, b, other := open(7), open(7), open(8)
	differ := 0
	for _, c := range [][3]string{
		{"GET", "/v2/products?per_page=100", ""},
		{"GET", "/v2/orders", ""},
		{"POST", "/v2/orders", `{"customer_id":"usr_0001","items":[{"product_id":"prd_0003","quantity":2}],"coupon":"SPRING10"}`},
		{"GET", "/v2/orders", ""},
		{"PUT", "/v2/cart/items/prd_0001", `{"quantity":3}`},
		{"GET", "/v2/admin/export?page=4", ""},
		{"GET", "/v2/users/me", ""},
	} {
		x, y, z := ask(a, c[0], c[1], c[2]), ask(b, c[0], c[1], c[2]), ask(other, c[0], c[1], c[2])
		if x.Code >= 300 || x.Code != y.Code || !bytes.Equal(x.Body.Bytes(), y.Body.Bytes()) {
			t.Errorf("%s %s: %d %s\nand %d %s", c[0], c[1], x.Code, x.Body, y.Code, y.Body)
		}
		if !bytes.Equal(x.Body.Bytes(), z.Body.Bytes()) {
			differ++
		}
	}
	if differ < 5 {
		t.Errorf("only %d answers differ from those of another seed", differ)
	}
}

func TestRestoreUndoes(t *testing.T) {
	s := open(1)
	before, _ := s.User("usr_0001")
	ask(s, "PATCH", "/v2/users/me", `{"role":"admin"}`)
	ask(s, "DELETE", "/v2/users/usr_0001/cards/crd_10", "")
	ask(s, "DELETE", "/v2/orders/"+shop.OrderID(1, 2), "")
	ask(s, "DELETE", "/v2/products/"+shop.ProductID(110), "")
	after, _ := s.User("usr_0001")
	if after.Role != "admin" || len(after.Cards) != 1 || len(s.OrdersOf("usr_0001")) != 4 || s.HasProduct(shop.ProductID(110)) {
		t.Fatalf("the faults are gone: %+v", after)
	}
	s.RestoreUser(1)
	s.RestoreProduct(110)
	after, _ = s.User("usr_0001")
	if after.Role != before.Role || len(after.Cards) != 2 || len(s.OrdersOf("usr_0001")) != 5 || !s.HasProduct(shop.ProductID(110)) {
		t.Errorf("%+v, want %+v", after, before)
	}
}

// The shop's webhook fetches from this machine at most: the demo's fault must
// not become somebody else's trouble.
func TestWebhooksStayOnThisMachine(t *testing.T) {
	w := ask(open(1), "POST", "/v2/webhooks", `{"url":"http://192.0.2.1:9/"}`)
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), "not on this machine") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The paths that the shop reads in its own way; whoever stands before it must
// not have judged another one.
func TestCrookedPathsLeadToTheExport(t *testing.T) {
	for _, p := range []string{"/v2/products/../admin/export", "/v2/products/%252e%252e/admin/export", "/v2/products/..;/admin/export", "/v2/products/..%5cadmin/export"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.URL.Path = p, p
		w := httptest.NewRecorder()
		open(1).ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "password_hash") {
			t.Errorf("%s: %d", p, w.Code)
		}
	}
}
