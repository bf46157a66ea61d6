package issuer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sallyport/sallyport/demo/issuer"
)

// serve starts an issuer with one client.
func serve(t *testing.T) *issuer.Issuer {
	t.Helper()
	var iss *issuer.Issuer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { iss.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	var err error
	iss, err = issuer.New(issuer.Options{
		URL: srv.URL,
		Clients: map[string]issuer.Client{"cli": {Secret: "s3cret", Claims: issuer.Claims{
			Subject: "usr_0001", Tenant: "acme", Scope: "orders:read orders:write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return iss
}

func get(t *testing.T, u string, v any) {
	t.Helper()
	resp, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", u, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// The whole way of a resource server: discovery, keys, signature, claims.
func TestTokensVerifyByDiscovery(t *testing.T) {
	iss := serve(t)
	var meta struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	get(t, iss.URL()+"/.well-known/openid-configuration", &meta)
	if meta.Issuer != iss.URL() {
		t.Errorf("issuer %q, want %q", meta.Issuer, iss.URL())
	}
	var set jose.JSONWebKeySet
	get(t, meta.JWKS, &set)
	if len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatalf("key set %v, want one public key", set.Keys)
	}

	raw, err := iss.Token(issuer.Claims{Subject: "usr_0001", Tenant: "acme", Roles: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if typ := tok.Headers[0].ExtraHeaders["typ"]; typ != "at+jwt" {
		t.Errorf("typ %v, want at+jwt (RFC 9068 section 2.1)", typ)
	}
	var std jwt.Claims
	var own issuer.Claims
	if err := tok.Claims(set.Key(tok.Headers[0].KeyID)[0].Key, &std, &own); err != nil {
		t.Fatal(err)
	}
	if err := std.Validate(jwt.Expected{Issuer: iss.URL(), AnyAudience: jwt.Audience{"shop"}, Time: time.Now()}); err != nil {
		t.Error(err)
	}
	if own.Tenant != "acme" || len(own.Roles) != 1 || std.ID == "" {
		t.Errorf("claims %+v", own)
	}
	if life := own.Expiry - own.Issued; life != int64(issuer.Lifetime/time.Second) {
		t.Errorf("life %d s", life)
	}
}

func TestTokenEndpointServesItsClientsOnly(t *testing.T) {
	iss := serve(t)
	ask := func(id, secret, grant, scope string) (int, map[string]any) {
		resp, err := http.PostForm(iss.URL()+"/token", url.Values{
			"grant_type": {grant}, "client_id": {id}, "client_secret": {secret}, "scope": {scope}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var v map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, v
	}
	for _, bad := range [][3]string{
		{"cli", "wrong", "client_credentials"}, {"other", "s3cret", "client_credentials"},
		{"other", "", "client_credentials"}, {"cli", "s3cret", "password"},
	} {
		if status, v := ask(bad[0], bad[1], bad[2], ""); status < 400 || v["access_token"] != nil {
			t.Errorf("%v: %d %v, want a refusal", bad, status, v)
		}
	}
	status, v := ask("cli", "s3cret", "client_credentials", "orders:read admin:export")
	if status != http.StatusOK || v["scope"] != "orders:read" {
		t.Errorf("%d, scope %v; a client gets no scope that it was not granted", status, v["scope"])
	}
	if s, _ := v["access_token"].(string); strings.Count(s, ".") != 2 {
		t.Errorf("access_token %q", s)
	}
}
