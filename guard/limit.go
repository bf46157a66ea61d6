package guard

import (
	"context"
	"unsafe"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/limit"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// The limits of an operation run at three places of the request door, each as
// soon as what it counts by is known. The limits of one place are charged all
// or none, so that a refused request spends nothing.

func (p *Pass) addressLimits(ctx context.Context) bool {
	return p.limits(ctx, policy.AddressLimits, func(l *plan.Limit) bool { return l.Address })
}

func (p *Pass) headLimits(ctx context.Context) bool {
	return p.limits(ctx, policy.Limits, func(l *plan.Limit) bool { return !l.Address && !l.Body })
}

func (p *Pass) bodyLimits(ctx context.Context) bool {
	return p.limits(ctx, policy.Limits, func(l *plan.Limit) bool { return l.Body })
}

func (p *Pass) limits(ctx context.Context, c policy.Control, here func(*plan.Limit) bool) (refused bool) {
	if len(p.op.Limits) == 0 {
		return false
	}
	from := len(p.charges)
	p.keyBuf = p.keyBuf[:0]
	p.charged = p.charged[:from]
	for i := range p.op.Limits {
		if l := &p.op.Limits[i]; here(l) && l.Mode != policy.Off {
			key := p.limitKey(l)
			p.charges = append(p.charges, limit.Charge{Limit: l.Limit, Key: key, Observe: l.Mode == policy.Observe})
			p.charged = append(p.charged, l)
		}
	}
	now := p.charges[from:]
	if len(now) == 0 {
		return false
	}
	if _, err := p.g.counter.Take(ctx, p.Request.Began, now); err != nil {
		// Nothing is known, so nothing may pass.
		p.g.log.Warn("limits could not be counted", "err", err)
		return p.foundBy(policy.Enforce, c, exchange.LimitRate, "", p.charged[from].Entry)
	}
	for i := range now {
		if !now[i].Refused {
			continue
		}
		l := p.charged[from+i]
		if p.foundBy(l.Mode, c, exchange.LimitRate, l.Name, l.Entry) {
			refused = true
		}
	}
	return refused
}

// limitKey writes what a limit counts by into the pass's buffer. A value that
// is missing, or stands more than once, has one key for all: whoever could add
// a value beside the one that the upstream reads would get a key for each.
func (p *Pass) limitKey(l *plan.Limit) []byte {
	b := p.keyBuf
	from := len(b)
	for i := range l.Keys {
		k := &l.Keys[i]
		kind := byte(k.Kind)
		a := p.principal
		switch k.Kind {
		case policy.KeyAddress:
			b = limit.AppendAddr(b, kind, p.Request.Remote.Addr())
		case policy.KeyPrincipal:
			if a != nil {
				b = limit.AppendPart(b, kind, asBytes(a.Issuer))
				b = limit.AppendPart(b, kind, asBytes(a.Subject))
			}
		case policy.KeyTenant:
			if a != nil {
				b = limit.AppendPart(b, kind, asBytes(a.Tenant))
			}
		case policy.KeyClient:
			if a != nil {
				b = limit.AppendPart(b, kind, asBytes(a.Client))
			}
		case policy.KeyOperation:
			b = limit.AppendPart(b, kind, asBytes(p.op.ID))
		case policy.KeyHeader:
			v, n := p.headerValue(k.Name)
			if n != 1 {
				v = nil
			}
			b = limit.AppendPart(b, kind, v)
		case policy.KeyParameter:
			var v []byte
			var ok bool
			if k.InPath {
				v, ok = p.pathValue(k.Param)
			} else {
				v, ok = p.queryValue(k.Name)
			}
			if !ok {
				v = nil
			}
			b = limit.AppendFolded(b, kind, v)
		case policy.KeyRequest:
			// Escapes and case are taken out, since most upstreams take
			// such spellings of a name for the same one.
			if k.Capture < len(p.captured) {
				v, _ := p.jsonText(p.captured[k.Capture])
				b = limit.AppendFolded(b, kind, v)
			}
		}
	}
	p.keyBuf = b
	return b[from:len(b):len(b)]
}

// asBytes is the bytes of a string that nobody writes to.
func asBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
