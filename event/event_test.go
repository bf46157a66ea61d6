package event_test

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
)

func denied() *event.Event {
	return &event.Event{
		Time:           time.Date(2026, 11, 24, 6, 0, 0, 123456789, time.FixedZone("", 3600)),
		RequestID:      "0b5c1f",
		Plan:           "9f86d081884c7d65",
		API:            "shop",
		Operation:      "shop:getOrder",
		Method:         "GET",
		Template:       "/orders/{id}",
		Host:           []byte("shop.example"),
		Proto:          exchange.HTTP2,
		Remote:         netip.MustParseAddr("2001:db8::7"),
		Status:         403,
		UpstreamStatus: 200,
		Ours:           true,
		Action:         exchange.Deny,
		Reason:         exchange.ResponseOwner,
		Mode:           "enforce",
		Hits: []event.Hit{
			{Control: "response_status", Reason: exchange.ResponseStatus, Observed: true, At: "status 299"},
			{Control: "ownership", Reason: exchange.ResponseOwner, Entry: "sallyport.yaml:31", At: "/customer_id"},
		},
		BytesIn:  0,
		BytesOut: 211,
		Duration: 1503 * time.Microsecond,
		Upstream: 1200 * time.Microsecond,
		Subject:  "h3yqxk2m7d4c5b6a7e2f3g4h5i",
		Client:   "app",
		Tenant:   "acme",
		Issuer:   "id",
		How:      "jwt",
		Stripped: 2,
		Redacted: 1,
	}
}

func allowed() *event.Event {
	e := denied()
	e.Action, e.Reason, e.Hits = exchange.Allow, exchange.OK, nil
	e.Status, e.Ours = 200, false
	return e
}
