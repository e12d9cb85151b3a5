package pages

import "html/template"

// JWT is the decoder: a static page whose modules read, check and explain a token in the browser. Nothing of a token is in the view model.
//
// Elements: decoder, verdict, token, token-example, token-clear, decoded, keys, verify, check, api-issuer, api-audience, snippet, known.
type JWT struct {
	// Issuer is this broker's, whose tokens are checked with the keys at /jwks.
	Issuer string
	// Example says that GET /tools/jwt/example gives a token that the broker signed; otherwise the browser makes one by itself.
	Example bool
	// Audiences are offered where the page asks for one.
	Audiences []string
	// Claims and Header explain the members of a payload and a header.
	Claims, Header []Meaning
	// Guide says that there is a page at /guide.
	Guide bool
}

// Meaning explains a member of a token.
type Meaning struct {
	Name, Text string
}

// Traits keeps the page on this site. It sends no form at all.
func (JWT) Traits() Traits { return Traits{} }

type jwtBody struct {
	JWT
	JWKS, Verify, Sample, GuideURL template.URL
	IssuerHost                     string
}

func (p JWT) screen(r *Renderer) screen {
	b := jwtBody{JWT: p, JWKS: r.own("/jwks"), Verify: r.own("/tools/jwt/verify"), IssuerHost: host(p.Issuer)}
	if p.Example {
		b.Sample = r.own("/tools/jwt/example")
	}
	if p.Guide {
		b.GuideURL = r.own("/guide")
	}
	return screen{
		template: "jwt", title: "JWT decoder", full: true, styles: []string{"tools.css", "jwt/jwt.css"},
		scripts: []string{"jwt/main.js", "copy.js"}, body: b,
	}
}
