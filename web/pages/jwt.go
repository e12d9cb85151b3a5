package pages

import "html/template"

// JWT is the decoder: a static page whose modules read, check and explain a token in the browser. Nothing of a token is in the view model.
//
// Elements: decoder, verdict, token, token-example, token-clear, decoded, keys, verify, check, api-issuer, api-audience, playground-link,
// snippet, mint, known.
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
	// Mint offers a panel that makes tokens by keys of the browser's own. It asks nothing of the broker.
	Mint bool
	// Preset is what a token's subject meets in the playground at /tools/policy; without an ID there is no way there.
	Preset PolicyPreset
}

// Meaning explains a member of a token.
type Meaning struct {
	Name, Text string
}

// Traits keeps the page on this site. It sends no form at all.
func (JWT) Traits() Traits { return Traits{} }

type jwtBody struct {
	JWT
	JWKS, Verify, Sample, GuideURL, Playground template.URL
	IssuerHost                                 string
}

func (p JWT) screen(r *Renderer) screen {
	b := jwtBody{JWT: p, JWKS: r.own("/jwks"), Verify: r.own("/tools/jwt/verify"), IssuerHost: host(p.Issuer)}
	if p.Example {
		b.Sample = r.own("/tools/jwt/example")
	}
	if p.Guide {
		b.GuideURL = r.own("/guide")
	}
	if p.Preset.ID != "" {
		b.Playground = r.own("/tools/policy")
	}
	s := screen{
		template: "jwt", title: "JWT decoder", full: true, styles: []string{"tools.css", "jwt/jwt.css"},
		scripts: []string{"jwt/main.js", "copy.js"}, body: b,
	}
	if p.Mint {
		s.styles, s.scripts = append(s.styles, "mint/mint.css"), append(s.scripts, "mint/main.js")
	}
	return s
}
