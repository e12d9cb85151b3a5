package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/verify"
)

const seedFolder = "testdata/fuzz/FuzzVerify"

// FuzzVerify gives the verifier tokens of any header and payload with a good signature, and any other text. What it accepts must
// carry the signature of the key by the standard library alone, and must say the same when it is decoded by other means.
func FuzzVerify(f *testing.F) {
	// Seeds that are not found are no error to the testing package: the fuzzing would go on without them.
	if seeds, err := filepath.Glob(filepath.Join(seedFolder, "*")); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in %s (%v)", seedFolder, err)
	}
	s := edSigner("ed-1", 1)
	v := newVerifier(f, func(c *verify.Config) { c.Keys = staticKeys(f, s) })
	f.Fuzz(func(t *testing.T, head, payload, other string) {
		for _, raw := range []string{s.compact(t, head, payload), other} {
			token, err := v.Verify(t.Context(), raw)
			if err != nil {
				wantRefusal(t, token, err, verify.CodeInvalidToken, "")
				continue
			}
			checkAccepted(t, s, raw, token)
		}
	})
}

// TestFuzzSeedsReachBothOutcomes keeps the seeds worth starting from.
func TestFuzzSeedsReachBothOutcomes(t *testing.T) {
	s := edSigner("ed-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
	accepted := map[string]bool{}
	for name, args := range readSeeds(t) {
		_, err := v.Verify(t.Context(), s.compact(t, args[0], args[1]))
		_, otherErr := v.Verify(t.Context(), args[2])
		accepted[name] = err == nil || otherErr == nil
	}
	for name, got := range accepted {
		if want := strings.HasPrefix(name, "good-"); got != want {
			t.Errorf("seed %s: got accepted %v, want %v", name, got, want)
		}
	}
	if len(accepted) < 10 {
		t.Errorf("got %d seeds, want at least 10", len(accepted))
	}
}

// readSeeds returns the three arguments of each seed.
func readSeeds(t *testing.T) map[string][3]string {
	t.Helper()
	files, err := os.ReadDir(seedFolder)
	if err != nil {
		t.Fatalf("read the seeds: %v", err)
	}
	seeds := map[string][3]string{}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(seedFolder, file.Name()))
		if err != nil {
			t.Fatalf("read the seed: %v", err)
		}
		var args [3]string
		if _, err := fmt.Sscanf(string(data), "go test fuzz v1\nstring(%q)\nstring(%q)\nstring(%q)", &args[0], &args[1], &args[2]); err != nil {
			t.Fatalf("read the seed %s: %v", file.Name(), err)
		}
		seeds[file.Name()] = args
	}
	return seeds
}

// checkAccepted is the property: signed by the key, and claims equal to a reference decoding of the payload.
func checkAccepted(t *testing.T, s signer, raw string, token *verify.Token) {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("accepted %d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !ed25519.Verify(s.public().(ed25519.PublicKey), []byte(parts[0]+"."+parts[1]), signature) {
		t.Fatalf("accepted a signature that is not of the key (%v): %s", err, raw)
	}
	head, payload := reference(t, parts[0]), reference(t, parts[1])
	if head["alg"] != "EdDSA" || head["kid"] != s.kid || head["crit"] != nil || head["b64"] != nil {
		t.Fatalf("accepted the header %v", head)
	}
	want := referenceClaims(t, payload)
	want.KeyID = s.kid
	if diff := cmp.Diff(want, token.Claims, cmpopts.IgnoreUnexported(verify.Claims{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("claims (-reference +got):\n%s", diff)
	}
	for name, value := range payload {
		got, ok := token.Claims.Member(name)
		if !ok || !cmp.Equal(decode(t, got), value) {
			t.Fatalf("member %q: got %s, want %v", name, got, value)
		}
	}
	if want.Issuer != issuer || !slices.Contains(want.Audience, audience) || want.Subject == "" ||
		!epoch.Before(want.ExpiresAt.Add(30*time.Second)) || want.IssuedAt.After(epoch.Add(30*time.Second)) ||
		want.NotBefore.After(epoch.Add(30*time.Second)) {
		t.Fatalf("accepted the claims %+v", want)
	}
}

// reference decodes one part with encoding/json, refusing duplicates by its token stream.
func reference(t *testing.T, part string) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		t.Fatalf("accepted a part that is not base64url: %v", err)
	}
	if !json.Valid(data) {
		t.Fatalf("accepted what is not JSON: %q", data)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := uniqueNames(d); err != nil {
		t.Fatalf("accepted %q: %v", data, err)
	}
	object, ok := decode(t, data).(map[string]any)
	if !ok {
		t.Fatalf("accepted what is not an object: %q", data)
	}
	for name := range object {
		for _, known := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "roles", "scope", "client_id", "alg", "kid", "crit"} {
			if name != known && strings.EqualFold(name, known) {
				t.Fatalf("accepted %q beside or instead of %q", name, known)
			}
		}
	}
	return object
}

// uniqueNames passes one value of the stream.
func uniqueNames(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	names := map[any]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if names[name] {
				return fmt.Errorf("the name %v appears twice", name)
			}
			names[name] = true
		}
		if err := uniqueNames(d); err != nil {
			return err
		}
	}
	if _, err = d.Token(); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatalf("decode %q: %v", data, err)
	}
	return value
}

// referenceClaims reads claims with exact arithmetic.
func referenceClaims(t *testing.T, m map[string]any) verify.Claims {
	t.Helper()
	text := func(name string) string {
		value, ok := m[name].(string)
		if m[name] != nil && !ok {
			t.Fatalf("accepted %s %v", name, m[name])
		}
		return value
	}
	texts := func(name string) (list []string) {
		values, _ := m[name].([]any)
		for _, value := range values {
			list = append(list, value.(string))
		}
		return list
	}
	seconds := func(name string, up bool) time.Time {
		number, ok := m[name].(json.Number)
		if !ok {
			return time.Time{}
		}
		exact, ok := new(big.Rat).SetString(number.String())
		if !ok {
			t.Fatalf("accepted %s %s", name, number)
		}
		whole := new(big.Int).Div(exact.Num(), exact.Denom())
		if up && !exact.IsInt() {
			whole.Add(whole, big.NewInt(1))
		}
		return time.Unix(whole.Int64(), 0).UTC()
	}
	audience := texts("aud")
	if one, ok := m["aud"].(string); ok {
		audience = []string{one}
	}
	return verify.Claims{
		Issuer: text("iss"), Subject: text("sub"), Audience: audience, ID: text("jti"), ClientID: text("client_id"),
		ExpiresAt: seconds("exp", false), IssuedAt: seconds("iat", true), NotBefore: seconds("nbf", true),
		Scope: text("scope"), Roles: texts("roles"), Email: text("email"), SessionID: text("sid"), GrantID: text("gid"),
		Version: seconds("ver", false).Unix() - map[bool]int64{true: time.Time{}.Unix()}[m["ver"] == nil],
	}
}
