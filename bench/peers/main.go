// Command peers serves what Sallyport is measured against among Go programs:
//
//	peers -kind plain   httputil.ReverseProxy as it comes
//	peers -kind tuned   the same with a transport and buffers fit for load
//	peers -kind guard   what one would put together: the tuned proxy, golang-jwt
//	                    for the token, kin-openapi for requests and responses
//
// It is part of the bench and never of the product.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/golang-jwt/jwt/v5"
)

func main() {
	kind := flag.String("kind", "plain", "plain, tuned or guard")
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	upstream := flag.String("upstream", "", "URL to forward to")
	contract := flag.String("contract", "", "guard: OpenAPI document")
	issuer := flag.String("issuer", "", "guard: issuer of tokens")
	audience := flag.String("audience", "shop", "guard: audience of tokens")
	flag.Parse()

	to, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	var h http.Handler
	switch *kind {
	case "plain":
		h = httputil.NewSingleHostReverseProxy(to)
	case "tuned":
		h = tuned(to)
	case "guard":
		h, err = newGuard(tuned(to), *contract, *issuer, *audience)
	default:
		err = fmt.Errorf("kind %q is unknown", *kind)
	}
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal((&http.Server{Addr: *listen, Handler: h}).ListenAndServe())
}

// buffers lends out copy buffers.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte  { return *b.pool.Get().(*[]byte) }
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

func tuned(to *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{
			MaxIdleConns:        1024,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     10 * time.Minute,
			DisableCompression:  true,
			ReadBufferSize:      32 << 10,
			WriteBufferSize:     16 << 10,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}},
	}
}

// A guard checks the token and both messages against the contract.
type guard struct {
	proxy  *httputil.ReverseProxy
	router routers.Router
	keys   map[string]*ecdsa.PublicKey
	parser *jwt.Parser
	filter openapi3filter.Options
}

type inputKey struct{}

func newGuard(proxy *httputil.ReverseProxy, contract, issuer, audience string) (*guard, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(contract)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	g := &guard{proxy: proxy}
	if g.router, err = gorillamux.NewRouter(doc); err != nil {
		return nil, err
	}
	if g.keys, err = fetchKeys(issuer + "/keys"); err != nil {
		return nil, err
	}
	g.parser = jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	g.filter = openapi3filter.Options{AuthenticationFunc: g.authenticate, IncludeResponseStatus: true}
	proxy.ModifyResponse = g.checkResponse
	proxy.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	return g, nil
}

type claims struct {
	Scope string `json:"scope"`
	jwt.RegisteredClaims
}

func (g *guard) authenticate(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	token, ok := strings.CutPrefix(in.RequestValidationInput.Request.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return errors.New("no token")
	}
	var c claims
	if _, err := g.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if k := g.keys[kid]; k != nil {
			return k, nil
		}
		return nil, errors.New("unknown key")
	}); err != nil {
		return err
	}
	has := strings.Fields(c.Scope)
	for _, s := range in.Scopes {
		if !slices.Contains(has, s) {
			return fmt.Errorf("scope %s is missing", s)
		}
	}
	return nil
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, params, err := g.router.FindRoute(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &g.filter}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), inputKey{}, in)))
}

func (g *guard) checkResponse(resp *http.Response) error {
	in := resp.Request.Context().Value(inputKey{}).(*openapi3filter.RequestValidationInput)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: &g.filter}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(resp.Request.Context(), out); err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func fetchKeys(url string) (map[string]*ecdsa.PublicKey, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&set); err != nil {
		return nil, err
	}
	keys := make(map[string]*ecdsa.PublicKey)
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, err
		}
		keys[k.Kid] = key
	}
	return keys, nil
}
