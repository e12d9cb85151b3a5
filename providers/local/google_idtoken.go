package local

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// Signing says how the local Google signs its ID tokens. All but SignGenuine
// are forgeries that a client must refuse; [Google.SetSigning] chooses.
type Signing int

const (
	// SignGenuine signs by RS256 with the published key that kid names.
	SignGenuine Signing = iota
	// SignNone claims alg none and has an empty signature.
	SignNone
	// SignHS256Secret claims HS256, keyed with the client secret.
	SignHS256Secret
	// SignHS256PublicKey claims HS256, keyed with the public key in PEM,
	// which a verifier that lets the token choose the algorithm takes.
	SignHS256PublicKey
	// SignOtherKey names the published key, and signs with another one.
	SignOtherKey
	// SignBroken signs genuinely and then changes the signature.
	SignBroken
	// SignWithoutKid signs genuinely and leaves kid out. Forbidden only
	// where several keys are published: see RotateKey.
	SignWithoutKid
	// SignUnknownKid signs genuinely and names a key that is not published.
	SignUnknownKid
)

type googleKey struct {
	id     string
	signer crypto.Signer
}

// RotateKey publishes signer beside the keys there are and signs with it from
// now on. It panics where signer is not an RSA key.
func (g *Google) RotateKey(signer crypto.Signer) {
	public, ok := signer.Public().(*rsa.PublicKey)
	if !ok {
		panic(fmt.Sprintf("local: RS256 needs an RSA key, got %T", signer.Public()))
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(public))
	key := googleKey{id: hex.EncodeToString(sum[:20]), signer: signer}
	g.signing.Lock()
	defer g.signing.Unlock()
	g.keys = append(slices.Clone(g.keys), key)
}

// SetSigning chooses how later ID tokens are signed.
func (g *Google) SetSigning(method Signing) {
	g.signing.Lock()
	defer g.signing.Unlock()
	g.method = method
	if method == SignOtherKey && g.decoy == nil {
		g.decoy = newRSAKey()
	}
}

// TamperClaims lets edit change the claims of every later ID token before it is
// signed: other values, other types, claims deleted. nil ends it. Concurrent
// requests may call edit at once, each with a map of its own.
func (g *Google) TamperClaims(edit func(claims map[string]any)) {
	g.signing.Lock()
	defer g.signing.Unlock()
	g.tamper = edit
}

// ClearFaults makes the local Google honest again: endpoints, authorization
// responses, claims and signatures. Keys stay as they are.
func (g *Google) ClearFaults() {
	g.upstream.ClearFaults()
	g.SetSigning(SignGenuine)
	g.TamperClaims(nil)
}

func (g *Google) published() []googleKey {
	g.signing.Lock()
	defer g.signing.Unlock()
	return g.keys
}

// claims are those of OpenID Connect Core section 2 and Google's own. Times
// are in seconds.
func (g *Google) claims(code googleCode, issuer, accessToken string, now time.Time) map[string]any {
	claims := code.person.claims(code.scopes, issuer)
	claims["iss"] = issuer
	claims["azp"] = g.clientID
	claims["aud"] = g.clientID
	claims["iat"] = now.Unix()
	claims["exp"] = now.Add(googleTokenLife).Unix()
	// OpenID Connect Core section 3.1.3.6: the left half of the hash.
	sum := sha256.Sum256([]byte(accessToken))
	claims["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	if code.nonce != "" {
		claims["nonce"] = code.nonce
	}
	return claims
}

// idToken signs claims as told.
func (g *Google) idToken(claims map[string]any) string {
	g.signing.Lock()
	method, edit, decoy, key := g.method, g.tamper, g.decoy, g.keys[len(g.keys)-1]
	g.signing.Unlock()
	if edit != nil {
		edit(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("local: TamperClaims left something that is not JSON: %v", err))
	}
	switch method {
	case SignNone:
		return forge(map[string]string{"alg": "none", "typ": "JWT"}, payload, nil)
	case SignHS256Secret:
		return forge(map[string]string{"alg": "HS256", "typ": "JWT"}, payload, []byte(g.clientSecret))
	case SignHS256PublicKey:
		return forge(map[string]string{"alg": "HS256", "kid": key.id, "typ": "JWT"}, payload, publicPEM(key.signer))
	case SignOtherKey:
		return sign(decoy, key.id, payload)
	case SignBroken:
		return breakSignature(sign(key.signer, key.id, payload))
	case SignWithoutKid:
		return sign(key.signer, "", payload)
	case SignUnknownKid:
		return sign(key.signer, "0000000000000000000000000000000000000000", payload)
	default:
		return sign(key.signer, key.id, payload)
	}
}

// sign makes an RS256 token; an empty kid is left out.
func sign(key crypto.Signer, kid string, payload []byte) string {
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		panic(fmt.Sprintf("local: prepare to sign an ID token: %v", err))
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(fmt.Sprintf("local: sign an ID token: %v", err))
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(fmt.Sprintf("local: serialize an ID token: %v", err))
	}
	return compact
}

// forge puts together by hand what a JOSE library rightly will not: a token
// without a signature (nil key), or one by HMAC with any bytes for a key.
func forge(header map[string]string, payload, key []byte) string {
	rawHeader, err := json.Marshal(header)
	if err != nil {
		panic(err) // a map of strings is always JSON
	}
	token := base64.RawURLEncoding.EncodeToString(rawHeader) + "." + base64.RawURLEncoding.EncodeToString(payload)
	if key == nil {
		return token + "."
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(token))
	return token + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// breakSignature changes the last character but one: the very last also holds
// bits that decoders ignore.
func breakSignature(token string) string {
	raw := []byte(token)
	last := &raw[len(raw)-2]
	if *last == 'A' {
		*last = 'B'
	} else {
		*last = 'A'
	}
	return string(raw)
}

func publicPEM(key crypto.Signer) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(fmt.Sprintf("local: encode a public key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
