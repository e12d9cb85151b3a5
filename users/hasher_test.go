package users_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/users"
	"github.com/alexedwards/argon2id"
	gcpbkdf2 "github.com/go-crypt/crypt/algorithm/pbkdf2"
	gcscrypt "github.com/go-crypt/crypt/algorithm/scrypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// cheap is the least Argon2id takes, so that tests count hashes instead of waiting for them.
var cheap = users.Params{Memory: 8, Iterations: 1, Lanes: 1}

func newHasher(t testing.TB, o users.HasherOptions) *users.Hasher {
	t.Helper()
	if o.Params == (users.Params{}) {
		o.Params = cheap
	}
	h, err := users.NewHasher(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const (
	goodPassword = secret.Value("seven quiet lamps hum")
	badPassword  = secret.Value("seven quiet lamps sing")
)

var salt = []byte("0123456789abcdef")

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

func ab64(b []byte) string { return strings.ReplaceAll(b64(b), "+", ".") }

func argonPHC(pw string, m, t uint32, p uint8) string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", m, t, p, b64(salt), b64(argon2.IDKey([]byte(pw), salt, t, m, p, 32)))
}

func bcryptPHC(t testing.TB, pw string, cost int) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(pw), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func scryptPHC(t testing.TB, pw string, ln, r, p int) string {
	t.Helper()
	key, err := scrypt.Key([]byte(pw), salt, 1<<ln, r, p, 32)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", ln, r, p, b64(salt), b64(key))
}

func pbkdf2Key[H hash.Hash](t testing.TB, h func() H, pw string, n, size int) string {
	t.Helper()
	key, err := pbkdf2.Key(h, pw, salt, n, size)
	if err != nil {
		t.Fatal(err)
	}
	return ab64(key)
}

func TestEveryFamilyIsVerifiedAndAllButTheDefaultIsStale(t *testing.T) {
	h := newHasher(t, users.HasherOptions{})
	pw := goodPassword.Reveal()
	fresh, err := h.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, stored string
		stale        bool
	}{
		{"a new hash", fresh, false},
		{"argon2id with other parameters", argonPHC(pw, 16, 2, 2), true},
		{"bcrypt 2a", bcryptPHC(t, pw, 4), true},
		{"bcrypt 2b", "$2b" + bcryptPHC(t, pw, 4)[3:], true},
		{"bcrypt 2y", "$2y" + bcryptPHC(t, pw, 5)[3:], true},
		{"scrypt", scryptPHC(t, pw, 4, 8, 2), true},
		{"pbkdf2-sha1", "$pbkdf2$10$" + ab64(salt) + "$" + pbkdf2Key(t, sha1.New, pw, 10, 20), true},
		{"pbkdf2-sha256", "$pbkdf2-sha256$1000$" + ab64(salt) + "$" + pbkdf2Key(t, sha256.New, pw, 1000, 32), true},
		{"pbkdf2-sha512", "$pbkdf2-sha512$1000$" + ab64(salt) + "$" + pbkdf2Key(t, sha512.New, pw, 1000, 64), true},
		{"pbkdf2 as the PHC specification writes it", "$pbkdf2-sha256$i=1000,l=32$" + b64(salt) + "$" + strings.ReplaceAll(pbkdf2Key(t, sha256.New, pw, 1000, 32), ".", "+"), true},
		{"the same without the length", "$pbkdf2-sha256$i=1000$" + b64(salt) + "$" + pbkdf2Key(t, sha256.New, pw, 1000, 32), true},
	} {
		if err := users.CheckHash(tt.stored); err != nil {
			t.Errorf("%s: CheckHash: %v", tt.name, err)
		}
		if ok, err := h.Verify(t.Context(), tt.stored, goodPassword); !ok || err != nil {
			t.Errorf("%s: right password: got %v, %v", tt.name, ok, err)
		}
		if ok, err := h.Verify(t.Context(), tt.stored, badPassword); ok || err != nil {
			t.Errorf("%s: wrong password: got %v, %v", tt.name, ok, err)
		}
		if got := h.Stale(tt.stored); got != tt.stale {
			t.Errorf("%s: Stale: got %v, want %v", tt.name, got, tt.stale)
		}
	}
}

func TestHashesBeyondTheBoundsAreRefusedAndNeverComputed(t *testing.T) {
	h := newHasher(t, users.HasherOptions{})
	s, k := b64(salt), b64([]byte("0123456789abcdef0123456789abcdef"))
	for _, tt := range []struct{ rule, stored string }{
		{"argon2id memory of 4 GiB and a million passes", "$argon2id$v=19$m=4194304,t=1000000,p=1$" + s + "$" + k},
		{"argon2id memory one above the cap", "$argon2id$v=19$m=65537,t=1,p=1$" + s + "$" + k},
		{"argon2id passes one above the cap", "$argon2id$v=19$m=64,t=11,p=1$" + s + "$" + k},
		{"argon2id lanes one above the cap", "$argon2id$v=19$m=64,t=1,p=5$" + s + "$" + k},
		{"argon2id lanes that wrap to one in eight bits", "$argon2id$v=19$m=64,t=1,p=257$" + s + "$" + k},
		{"argon2id without passes", "$argon2id$v=19$m=64,t=0,p=1$" + s + "$" + k},
		{"argon2id without lanes", "$argon2id$v=19$m=64,t=1,p=0$" + s + "$" + k},
		{"argon2id memory below eight blocks a lane", "$argon2id$v=19$m=15,t=1,p=2$" + s + "$" + k},
		{"argon2id of the older version", "$argon2id$v=16$m=64,t=1,p=1$" + s + "$" + k},
		{"argon2id without a version", "$argon2id$m=64,t=1,p=1$" + s + "$" + k},
		{"argon2id parameters in another order", "$argon2id$v=19$t=1,m=64,p=1$" + s + "$" + k},
		{"argon2id with a sign", "$argon2id$v=19$m=+64,t=1,p=1$" + s + "$" + k},
		{"argon2id with a leading zero", "$argon2id$v=19$m=064,t=1,p=1$" + s + "$" + k},
		{"argon2id with a parameter twice", "$argon2id$v=19$m=64,t=1,p=1,m=64$" + s + "$" + k},
		{"argon2id with a key of a thousand bytes", "$argon2id$v=19$m=64,t=1,p=1$" + s + "$" + b64(make([]byte, 300))},
		{"argon2id with an empty key", "$argon2id$v=19$m=64,t=1,p=1$" + s + "$"},
		{"argon2id with a newline in the key", "$argon2id$v=19$m=64,t=1,p=1$" + s + "$" + k[:8] + "\n" + k[8:]},
		{"argon2i", "$argon2i$v=19$m=64,t=1,p=1$" + s + "$" + k},
		{"bcrypt cost above the cap", "$2b$15$" + strings.Repeat("a", 53)},
		{"bcrypt cost 31", "$2b$31$" + strings.Repeat("a", 53)},
		{"bcrypt cost that the library would replace by its default", "$2b$03$" + strings.Repeat("a", 53)},
		{"bcrypt with the sign bug", "$2x$04$" + strings.Repeat("a", 53)},
		{"bcrypt cut short", "$2b$04$" + strings.Repeat("a", 52)},
		{"bcrypt outside its alphabet", "$2b$04$" + strings.Repeat("a", 52) + "="},
		{"scrypt memory above the cap", "$scrypt$ln=18,r=8,p=1$" + s + "$" + k},
		{"scrypt ln that shifts out", "$scrypt$ln=64,r=1,p=1$" + s + "$" + k},
		{"scrypt work above the cap by lanes", "$scrypt$ln=17,r=8,p=2$" + s + "$" + k},
		{"scrypt block size above the cap", "$scrypt$ln=4,r=33,p=1$" + s + "$" + k},
		{"scrypt lanes above the cap", "$scrypt$ln=4,r=8,p=17$" + s + "$" + k},
		{"scrypt without memory", "$scrypt$ln=0,r=8,p=1$" + s + "$" + k},
		{"pbkdf2 iterations above the cap", "$pbkdf2-sha256$2000001$" + s + "$" + k},
		{"pbkdf2 iterations above the cap by blocks", "$pbkdf2$1500000$" + s + "$" + k},
		{"pbkdf2 without iterations", "$pbkdf2-sha256$0$" + s + "$" + k},
		{"pbkdf2 whose length lies", "$pbkdf2-sha256$i=10,l=16$" + s + "$" + k},
		{"yescrypt", "$y$j9T$abcdefgh$" + k},
		{"md5-crypt", "$1$abcdefgh$abcdefghabcdefghabcdef"},
		{"plain text", "$plaintext$secret$"},
		{"django's form", "pbkdf2_sha256$1000$salt$key"},
		{"a bare hex digest", strings.Repeat("ab", 32)},
		{"nothing", ""},
		{"a megabyte", "$argon2id$" + strings.Repeat("a", 1<<20)},
	} {
		err := users.CheckHash(tt.stored)
		if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "password_hash_refused" {
			t.Errorf("%s: got %v, want password_hash_refused", tt.rule, err)
		}
		if err != nil && strings.Contains(err.Error(), k) {
			t.Errorf("%s: the message repeats the hash: %v", tt.rule, err)
		}
		// Were it computed, the test would hang or die.
		if ok, err := h.Verify(t.Context(), tt.stored, goodPassword); ok || err != nil {
			t.Errorf("%s: Verify: got %v, %v, want a mismatch", tt.rule, ok, err)
		}
		if !h.Stale(tt.stored) {
			t.Errorf("%s: not stale", tt.rule)
		}
	}
}

func TestPasswordsAreNeverCutShort(t *testing.T) {
	h := newHasher(t, users.HasherOptions{})
	long := strings.Repeat("x", 72)
	for _, tt := range []struct {
		rule, stored, presented string
		want                    bool
	}{
		{"bcrypt takes 72 bytes", bcryptPHC(t, long, 4), long, true},
		{"bcrypt does not take a longer one for its prefix", bcryptPHC(t, long, 4), long + "y", false},
		{"bcrypt does not take a repetition after a zero byte", bcryptPHC(t, "abc", 4), "abc\x00abc", false},
		{"pbkdf2 does not take trailing zero bytes", "$pbkdf2-sha256$10$" + ab64(salt) + "$" + pbkdf2Key(t, sha256.New, "abc", 10, 32), "abc\x00", false},
		{"scrypt does not take trailing zero bytes", scryptPHC(t, "abc", 4, 8, 1), "abc\x00", false},
		{"argon2id tells the last of 1000 bytes", argonPHC(strings.Repeat("x", 1000), 8, 1, 1), strings.Repeat("x", 999) + "y", false},
		{"argon2id takes 1000 bytes", argonPHC(strings.Repeat("x", 1000), 8, 1, 1), strings.Repeat("x", 1000), true},
	} {
		got, err := h.Verify(t.Context(), tt.stored, secret.Value(tt.presented))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %v, %v, want %v", tt.rule, got, err, tt.want)
		}
	}
}

func TestUnicodeIsNormalizedToNFC(t *testing.T) {
	h := newHasher(t, users.HasherOptions{})
	stored, err := h.Hash(t.Context(), "ma\u00f1ana por la ma\u00f1ana")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := h.Verify(t.Context(), stored, "man\u0303ana por la man\u0303ana"); !ok {
		t.Error("the decomposed form of the same text was refused")
	}
	stored, err = h.Hash(t.Context(), "of\ufb01ce hours are over")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := h.Verify(t.Context(), stored, "office hours are over"); ok {
		t.Error("a ligature was folded: NFKC, not NFC")
	}
}

func TestNewHashesCostWhatIsConfigured(t *testing.T) {
	h, err := users.NewHasher(users.HasherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want prefix %s", got, want)
	}
	if _, err := users.NewHasher(users.HasherOptions{Params: users.Params{Memory: 1 << 20, Iterations: 1, Lanes: 1}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a gigabyte by configuration: got %v, want fault.Invalid", err)
	}
}

func TestEveryVerifyCostsOneHashWhateverIsStored(t *testing.T) {
	h := newHasher(t, users.HasherOptions{})
	for _, stored := range []string{"", "rubbish", argonPHC("x", 8, 1, 1), "$argon2id$v=19$m=4194304,t=9,p=1$" + b64(salt) + "$" + b64(salt)} {
		before := h.Stats().Computed
		if _, err := h.Verify(t.Context(), stored, goodPassword); err != nil {
			t.Fatal(err)
		}
		if got := h.Stats().Computed - before; got != 1 {
			t.Errorf("%.20q: %d hashes, want 1", stored, got)
		}
	}
}

// slow takes long enough for a queue to form behind it.
var slow = users.Params{Memory: 16 * 1024, Iterations: 2, Lanes: 1}

func TestThePoolTurnsAwayWhoFindsTheQueueFull(t *testing.T) {
	h := newHasher(t, users.HasherOptions{Params: slow, Workers: 1, Queue: 2})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var served, away int
	start := make(chan struct{})
	for range 50 {
		wg.Go(func() {
			<-start
			_, err := h.Verify(t.Context(), "", goodPassword)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				served++
				return
			}
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || e.Kind != fault.Unavailable || e.Code != "hash_pool_full" || e.RetryAfter != time.Second {
				t.Errorf("got %v, want hash_pool_full with RetryAfter 1 s", err)
			}
			away++
		})
	}
	close(start)
	wg.Wait()
	if served < 1 || away < 1 {
		t.Errorf("%d served, %d turned away", served, away)
	}
	if got := h.Stats(); got.Computed != int64(served) || got.TurnedAway != int64(away) {
		t.Errorf("Stats: got %+v, want %d computed, %d turned away", got, served, away)
	}
	if _, err := h.Hash(t.Context(), goodPassword); err != nil {
		t.Errorf("after the burst: %v", err)
	}
}

func TestWhoGivesUpInTheQueueCostsNoHash(t *testing.T) {
	h := newHasher(t, users.HasherOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Hash(ctx, goodPassword)
	if !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want fault.Unavailable around context.Canceled", err)
	}
	if got := h.Stats().Computed; got != 0 {
		t.Errorf("%d hashes computed, want none", got)
	}
	// The place and the worker are free again.
	for range 100 {
		_, _ = h.Hash(ctx, goodPassword)
	}
	if _, err := h.Hash(t.Context(), goodPassword); err != nil {
		t.Errorf("after callers gave up: %v", err)
	}
}

func TestADeadlineEndsTheWaitForAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, users.HasherOptions{Workers: 1, Queue: 1})
		release := h.Occupy()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Hash(ctx, goodPassword); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		release()
		if _, err := h.Hash(t.Context(), goodPassword); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// FuzzCheckHash holds what passes against what the libraries then read: within the bounds, and nothing they refuse.
func FuzzCheckHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY")
	f.Add("$2b$04$" + strings.Repeat("a", 53))
	f.Add("$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY")
	f.Add("$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY")
	f.Add("$pbkdf2-sha512$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY")
	f.Fuzz(func(t *testing.T, s string) {
		text, err := users.ReadHash(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: got %v, want fault.Invalid", s, err)
			}
			return
		}
		var a, b, c uint64
		switch {
		case strings.HasPrefix(text, "$argon2id$"):
			p, _, key, err := argon2id.DecodeHash(text)
			if err != nil || p.Memory > 64*1024 || p.Iterations > 10 || p.Parallelism > 4 || len(key) > 64 {
				t.Fatalf("%q passed: %+v, %v", s, p, err)
			}
		case strings.HasPrefix(text, "$2"):
			if cost, err := bcrypt.Cost([]byte(text)); err != nil || cost > 14 {
				t.Fatalf("%q passed: cost %d, %v", s, cost, err)
			}
		case strings.HasPrefix(text, "$scrypt$"):
			_, serr := fmt.Sscanf(text, "$scrypt$ln=%d,r=%d,p=%d$", &a, &b, &c)
			d, err := gcscrypt.Decode(text)
			if serr != nil || err != nil || d.Encode() != text || a > 20 || b*c<<a > 1<<20 {
				t.Fatalf("%q passed: %d, %d, %d, %v, %v", s, a, b, c, serr, err)
			}
		default:
			d, err := gcpbkdf2.Decode(text)
			if err != nil || d.Encode() != text {
				t.Fatalf("%q passed: %v", s, err)
			}
			if _, err := fmt.Sscanf(text[strings.Index(text[1:], "$")+2:], "%d$", &a); err != nil || a > 2_000_000 {
				t.Fatalf("%q passed: %d iterations, %v", s, a, err)
			}
		}
	})
}

// BenchmarkPasswordOverload is 64 logins at once against the default pool, beside the bare hash that bounds them: the pool should reach
// 0.85 of workers divided by the time of one hash, and turn the rest away at once.
func BenchmarkPasswordOverload(b *testing.B) {
	stored := argonPHC(goodPassword.Reveal(), 19*1024, 2, 1)
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			argon2.IDKey([]byte(goodPassword), salt, 2, 19*1024, 1, 32)
		}
	})
	b.Run("pool", func(b *testing.B) {
		h := newHasher(b, users.HasherOptions{Params: users.DefaultParams()})
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				for {
					ok, err := h.Verify(b.Context(), stored, goodPassword)
					if err == nil && ok {
						break
					}
					if !fault.Is(err, fault.Unavailable) {
						b.Error(ok, err)
						return
					}
					time.Sleep(time.Millisecond) // a client that ignores Retry-After
				}
			}
		})
		b.ReportMetric(float64(h.Stats().TurnedAway)/float64(b.N), "refused/op")
	})
}
