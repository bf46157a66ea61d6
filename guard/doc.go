// Package guard runs a plan over an exchange, both ways: it is the two doors.
//
// A door of the outside (the gateway, Envoy's filter, the middleware) takes a
// [Pass] for each exchange, fills in what the caller sent, and asks step by
// step what to do:
//
//	p := g.Begin()
//	defer p.End()
//	p.Request = …                        // the head
//	step := p.Head(ctx)                  // request door, all that the head decides
//	if step == guard.ReadBody {
//		body, err := read(p.MaxBody())   // whole, bounded
//		step = p.Body(ctx, body, err)    // request door, the rest
//	}
//	if step != guard.Forward {
//		send(p.Reply())                  // a refusal, or an answer of our own
//		return
//	}
//	up := p.Upstream()                   // what to send, and where to
//	if … fails { send(p.Fail(reason)); return }
//	p.Response = …                       // the head
//	step = p.ResponseHead()
//	if step == guard.ReadBody {
//		body, err := read(p.MaxBody())
//		step = p.ResponseBody(body, err) // Forward or Refuse
//	}
//	send(p.Reply())                      // the answer as it may leave, or a refusal
//
// The order of the checks is a security property; it stands in one literal
// per door, in request.go and response.go. The package never opens a
// connection to an upstream and parses no contract.
package guard
