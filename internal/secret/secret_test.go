package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"example.com/broker/internal/secret"
)

func TestValueNeverPrintsItself(t *testing.T) {
	const text = "hunter2hunter2"
	v := secret.Value(text)
	type holder struct {
		Key  secret.Value
		Keys []secret.Value
		Map  map[string]secret.Value
		At   *secret.Value
		Any  any
	}
	held := holder{v, []secret.Value{v}, map[string]secret.Value{"k": v}, &v, v}
	var out bytes.Buffer
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "t", "c", "U", "f", "20s", "-3q", "z"} {
		fmt.Fprintf(&out, "%"+verb+"\n", v)    //nolint:govet // verbs that do not fit are the point
		fmt.Fprintf(&out, "%"+verb+"\n", held) //nolint:govet // as above
	}
	fmt.Fprintln(&out, v, &v, held, &held, []any{v}, fmt.Errorf("wrong key %v", v))
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "value", v, "pointer", &v, "any", any(v), "held", held, slog.Group("g", "value", v))
	}
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(held)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	printed := strings.ToLower(out.String())
	for form, leak := range map[string]string{
		"the text": text, "half of the text": text[:7], "its hexadecimal": fmt.Sprintf("%x", text), "its base64": base64.StdEncoding.EncodeToString([]byte(text)),
	} {
		if strings.Contains(printed, strings.ToLower(leak)) {
			t.Errorf("%s is printed:\n%s", form, printed)
		}
	}
	if v.Reveal() != text {
		t.Error("Reveal does not give the text")
	}
}

func TestValueIsReadFromJSON(t *testing.T) {
	var in struct{ Key secret.Value }
	if err := json.Unmarshal([]byte(`{"key":"abc"}`), &in); err != nil || in.Key.Reveal() != "abc" {
		t.Errorf("got %q, %v", in.Key.Reveal(), err)
	}
}

func TestNewIsRandomAndUnpadded(t *testing.T) {
	seen := map[secret.Value]bool{}
	for range 1000 {
		v := secret.New(16)
		if b, err := base64.RawURLEncoding.DecodeString(v.Reveal()); err != nil || len(b) != 16 || len(v) != 22 {
			t.Fatalf("New(16) = %q: %d bytes, %v", v.Reveal(), len(b), err)
		}
		if seen[v] {
			t.Fatal("New gave the same value twice")
		}
		seen[v] = true
	}
	if n := len(secret.New(32)); n != 43 {
		t.Errorf("New(32) has %d characters, want 43", n)
	}
}

func TestEqual(t *testing.T) {
	hash := secret.Hash("right")
	for _, row := range []struct {
		rule, hash string
		presented  secret.Value
		want       bool
	}{
		{"the right secret", hash, "right", true},
		{"a wrong secret", hash, "wrong", false},
		{"no secret", hash, "", false},
		{"the hash itself", hash, secret.Value(hash), false},
		{"no hash stored", "", "right", false},
		{"no hash stored and no secret", "", "", false},
		{"the hash of nothing stored and no secret", secret.Hash(""), "", false},
		{"half a hash stored", hash[:20], "right", false},
	} {
		if got := secret.Equal(row.hash, row.presented); got != row.want {
			t.Errorf("%s: Equal = %v, want %v", row.rule, got, row.want)
		}
	}
}

func TestEqualText(t *testing.T) {
	for _, row := range []struct {
		rule, a, b string
		want       bool
	}{
		{"the same", "abc", "abc", true},
		{"another of the same length", "abc", "abd", false},
		{"a longer one", "abc", "abcd", false},
		{"nothing is equal to nothing", "", "", false},
		{"nothing on the left", "", "a", false},
		{"nothing on the right", "a", "", false},
	} {
		if got := secret.EqualText(row.a, row.b); got != row.want {
			t.Errorf("%s: EqualText = %v, want %v", row.rule, got, row.want)
		}
	}
}

func sealer(t testing.TB, fill ...byte) *secret.Sealer {
	t.Helper()
	var keys [][]byte
	for _, b := range fill {
		keys = append(keys, bytes.Repeat([]byte{b}, secret.KeySize))
	}
	s, err := secret.NewSealer(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealerRefusesKeysThatAreNone(t *testing.T) {
	good := bytes.Repeat([]byte{1}, secret.KeySize)
	for _, row := range []struct {
		rule string
		keys [][]byte
	}{
		{"no key", nil},
		{"an empty key", [][]byte{{}}},
		{"a short key", [][]byte{good[:31]}},
		{"a long key", [][]byte{append(bytes.Clone(good), 1)}},
		{"a short key behind a good one", [][]byte{good, good[:16]}},
	} {
		if s, err := secret.NewSealer(row.keys...); err == nil || s != nil {
			t.Errorf("%s: NewSealer = %v, %v, want an error", row.rule, s, err)
		}
	}
}

func TestSealerDoesNotShareItsKeysAndNeverPrintsThem(t *testing.T) {
	key := bytes.Repeat([]byte{7}, secret.KeySize)
	s, err := secret.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal("p", []byte("x"))
	clear(key)
	if _, err := s.Open("p", sealed); err != nil {
		t.Errorf("after the caller cleared the key: %v", err)
	}
	if got := fmt.Sprintf("%v %+v %#v %d %x", s, s, s, s, s); strings.Contains(got, "7 7") || strings.Contains(got, "0707") || strings.Contains(got, "0x7") {
		t.Errorf("the sealer prints its keys: %s", got)
	}
}

func TestSealAndOpenWithAListOfKeys(t *testing.T) {
	for _, row := range []struct {
		rule        string
		seals, open []byte
		want        bool
	}{
		{"the same key", []byte{1}, []byte{1}, true},
		{"the key moved to the second place", []byte{1}, []byte{2, 1}, true},
		{"the key moved to the third place", []byte{1}, []byte{3, 2, 1}, true},
		{"the first of the list seals", []byte{2, 1}, []byte{2}, true},
		{"the second of the list does not seal", []byte{2, 1}, []byte{1}, false},
		{"the key was removed", []byte{1}, []byte{2, 3}, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			sealed := sealer(t, row.seals...).Seal("purpose", []byte("text"))
			plain, err := sealer(t, row.open...).Open("purpose", sealed)
			if row.want && (err != nil || string(plain) != "text") {
				t.Errorf("Open = %q, %v", plain, err)
			}
			if !row.want && (!errors.Is(err, secret.ErrSealed) || plain != nil) {
				t.Errorf("Open = %q, %v, want ErrSealed", plain, err)
			}
		})
	}
}

func TestSealSeparatesPurposes(t *testing.T) {
	s := sealer(t, 1)
	sealed := s.Seal("trip", []byte("text"))
	for _, purpose := range []string{"flow", "", "trip ", "Trip", "trip/x"} {
		if _, err := s.Open(purpose, sealed); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("sealed for trip, opened for %q: %v", purpose, err)
		}
	}
}

func TestSealGivesAnotherTextEachTime(t *testing.T) {
	s := sealer(t, 1)
	if a, b := s.Seal("p", []byte("text")), s.Seal("p", []byte("text")); a == b {
		t.Error("the same text was sealed to the same value: the nonce repeats")
	}
	if plain, err := s.Open("p", s.Seal("p", nil)); err != nil || len(plain) != 0 {
		t.Errorf("nothing sealed opens as %q, %v", plain, err)
	}
}

func TestOpenRefusesEveryChange(t *testing.T) {
	s := sealer(t, 1)
	sealed := s.Seal("p", []byte("a text of some length"))
	refused := func(what, text string) {
		t.Helper()
		if _, err := s.Open("p", text); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: Open = %v, want ErrSealed", what, err)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			forged := bytes.Clone(raw)
			forged[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d flipped", bit, i), base64.RawURLEncoding.EncodeToString(forged))
		}
		refused(fmt.Sprintf("cut to %d bytes", i), base64.RawURLEncoding.EncodeToString(raw[:i]))
	}
	for i := range sealed {
		refused(fmt.Sprintf("character %d missing", i), sealed[:i]+sealed[i+1:])
		refused(fmt.Sprintf("line break before character %d", i), sealed[:i]+"\n"+sealed[i:])
		refused(fmt.Sprintf("carriage return before character %d", i), sealed[:i]+"\r"+sealed[i:])
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range alphabet {
		if last := alphabet[i : i+1]; !strings.HasSuffix(sealed, last) {
			refused("the last character "+last+", which may differ in bits that say nothing", sealed[:len(sealed)-1]+last)
		}
	}
	refused("a byte more", base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw), 0)))
	refused("padding", sealed+"=")
	refused("the other alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(sealed)+"+")
	refused("nothing", "")
}

func TestDerivedOpensForWhoeverHoldsTheValue(t *testing.T) {
	v := secret.New(32)
	sealed := secret.Derived(v, "successor").Seal("p", []byte("next"))
	if plain, err := secret.Derived(secret.Value(v.Reveal()), "successor").Open("p", sealed); err != nil || string(plain) != "next" {
		t.Errorf("Open = %q, %v", plain, err)
	}
	for rule, s := range map[string]*secret.Sealer{
		"another value": secret.Derived(secret.New(32), "successor"), "another purpose": secret.Derived(v, "other"), "a key of the installation": sealer(t, 1),
	} {
		if _, err := s.Open("p", sealed); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s opens it: %v", rule, err)
		}
	}
}

func TestWhatIsSignedIsTakenAsItWas(t *testing.T) {
	s := sealer(t, 1)
	text := s.Sign("page", []byte(`{"after":"a"}`))
	if again := s.Sign("page", []byte(`{"after":"a"}`)); again != text {
		t.Errorf("the same data is %s, then %s", text, again)
	}
	if got, err := s.Verify("page", text); err != nil || string(got) != `{"after":"a"}` {
		t.Errorf("Verify = %s, %v", got, err)
	}
	if got, err := sealer(t, 2, 1).Verify("page", text); err != nil || string(got) != `{"after":"a"}` {
		t.Errorf("with a newer key in front: %s, %v", got, err)
	}
	if got, err := s.Verify("page", s.Sign("page", nil)); err != nil || len(got) != 0 {
		t.Errorf("no data: %s, %v", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := bytes.Clone(raw)
		forged[i] ^= 1
		if _, err := s.Verify("page", base64.RawURLEncoding.EncodeToString(forged)); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for rule, in := range map[string]string{
		"nothing": "", "half": text[:20], "data alone": base64.RawURLEncoding.EncodeToString([]byte(`{"after":"a"}`)), "padded": text + "=", "a line break": text + "\n",
		"more data": base64.RawURLEncoding.EncodeToString(append(raw, 'x')), "for another purpose": s.Sign("other", []byte(`{"after":"a"}`)),
		"by another key": sealer(t, 2).Sign("page", []byte(`{"after":"a"}`)), "sealed": s.Seal("page", []byte(`{"after":"a"}`)), "sealed for the MAC": s.Seal("mac/page", []byte(`{"after":"a"}`)),
	} {
		if _, err := s.Verify("page", in); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: %v", rule, err)
		}
	}
	if _, err := s.Open("page", text); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("what is signed is no seal: %v", err)
	}
}
