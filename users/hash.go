package users

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"github.com/alexedwards/argon2id"
	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
)

// The most a stored hash may ask for. They bound what one login can cost, whoever wrote the hash; a hash that asks for more is refused
// when it is imported and never computed.
const (
	maxArgonMemory     = 64 * 1024 // KiB
	maxArgonIterations = 10
	maxArgonLanes      = 4
	maxBcryptCost      = 14
	// OWASP's scrypt settings all have N·r·p = 2^20 and at most 128 MiB, which is N·r = 2^20.
	maxScryptWork       = 1 << 20
	maxScryptLog        = 20
	maxScryptBlock      = 32
	maxScryptLanes      = 16
	maxPBKDF2Iterations = 2_000_000 // summed over the blocks of the key
	maxPHC              = 512       // bytes of the whole string
)

// Params are the cost of an Argon2id hash.
type Params struct {
	Memory     uint32 // KiB
	Iterations uint32
	Lanes      uint8
}

// DefaultParams are what new hashes cost: 19 MiB, two passes, one lane (OWASP's first choice for Argon2id).
func DefaultParams() Params { return Params{Memory: 19 * 1024, Iterations: 2, Lanes: 1} }

func (p Params) check() error {
	if p.Lanes < 1 || p.Lanes > maxArgonLanes || p.Iterations < 1 || p.Iterations > maxArgonIterations ||
		p.Memory < 8*uint32(p.Lanes) || p.Memory > maxArgonMemory {
		return refused("argon2id with m=%d,t=%d,p=%d", "8·p ≤ m ≤ %d KiB, 1 ≤ t ≤ %d, 1 ≤ p ≤ %d", p.Memory, p.Iterations, p.Lanes,
			maxArgonMemory, maxArgonIterations, maxArgonLanes)
	}
	return nil
}

// phc is a stored hash that passed every bound.
type phc struct {
	text   string // what the library reads
	family string // argon2id, bcrypt, scrypt, pbkdf2
	params Params // of argon2id
}

// CheckHash reports whether a stored hash can be verified here: a PHC string of argon2id, bcrypt ($2a$, $2b$, $2y$), scrypt or pbkdf2
// (with sha1, sha224, sha256, sha384 or sha512) within the bounds above. It computes nothing. fault.Invalid "password_hash_refused"
// says what was found and what is accepted, without the hash.
func CheckHash(stored string) error {
	_, err := parsePHC(stored)
	return err
}

func parsePHC(s string) (phc, error) {
	if len(s) > maxPHC {
		return phc{}, refused("a hash of %d bytes", "at most %d", len(s), maxPHC)
	}
	parts := strings.Split(s, "$")
	if len(parts) < 4 || parts[0] != "" {
		return phc{}, refused("no PHC string", "$argon2id$…, $2b$…, $scrypt$… or $pbkdf2-sha256$…")
	}
	switch id, rest := parts[1], parts[2:]; id {
	case "argon2id":
		return parseArgon2id(s, rest)
	case "2a", "2b", "2y":
		return parseBcrypt(s, rest)
	case "scrypt":
		return parseScrypt(s, rest)
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha224", "pbkdf2-sha256", "pbkdf2-sha384", "pbkdf2-sha512":
		return parsePBKDF2(id, rest)
	}
	return phc{}, refused("another algorithm", "argon2id, bcrypt ($2a$, $2b$, $2y$), scrypt or pbkdf2")
}

func parseArgon2id(s string, rest []string) (phc, error) {
	const want = "$argon2id$v=19$m=…,t=…,p=…$salt$key"
	if len(rest) != 4 || rest[0] != "v=19" {
		return phc{}, refused("an argon2id string of another form", want)
	}
	n, ok := numbers(rest[1], "m", "t", "p")
	if !ok || !encoded(rest[2], base64.RawStdEncoding, 8, 64) || !encoded(rest[3], base64.RawStdEncoding, 16, 64) {
		return phc{}, refused("an argon2id string of another form", want)
	}
	if n[2] > maxArgonLanes { // before it is narrowed to eight bits
		return phc{}, refused("argon2id with p=%d", "at most %d", n[2], maxArgonLanes)
	}
	p := Params{Memory: n[0], Iterations: n[1], Lanes: uint8(n[2])} //nolint:gosec // at most maxArgonLanes
	return phc{text: s, family: "argon2id", params: p}, p.check()
}

// bcrypt's own base64: "./A-Za-z0-9".
const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func parseBcrypt(s string, rest []string) (phc, error) {
	const want = "$2b$NN$ and 53 characters"
	if len(rest) != 2 || len(rest[0]) != 2 || len(rest[1]) != 53 || strings.Trim(rest[1], bcryptAlphabet) != "" {
		return phc{}, refused("a bcrypt string of another form", want)
	}
	cost, err := strconv.ParseUint(rest[0], 10, 8)
	if err != nil {
		return phc{}, refused("a bcrypt string of another form", want)
	}
	if cost < 4 || cost > maxBcryptCost {
		return phc{}, refused("bcrypt with cost %d", "4 to %d", cost, maxBcryptCost)
	}
	return phc{text: s, family: "bcrypt"}, nil
}

func parseScrypt(s string, rest []string) (phc, error) {
	if len(rest) != 3 {
		return phc{}, refused("a scrypt string of another form", "$scrypt$ln=…,r=…,p=…$salt$key")
	}
	n, ok := numbers(rest[0], "ln", "r", "p")
	if !ok || !encoded(rest[1], base64.RawStdEncoding, 8, 64) || !encoded(rest[2], base64.RawStdEncoding, 16, 64) {
		return phc{}, refused("a scrypt string of another form", "$scrypt$ln=…,r=…,p=…$salt$key")
	}
	ln, r, p := n[0], n[1], n[2]
	if ln < 1 || ln > maxScryptLog || r < 1 || r > maxScryptBlock || p < 1 || p > maxScryptLanes || uint64(r)*uint64(p)<<ln > maxScryptWork {
		return phc{}, refused("scrypt with ln=%d,r=%d,p=%d", "r ≤ %d, p ≤ %d and 2^ln·r·p ≤ %d", ln, r, p, maxScryptBlock, maxScryptLanes, maxScryptWork)
	}
	return phc{text: s, family: "scrypt"}, nil
}

// crypt's variant of base64, which has "." for "+".
var adapted = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding)

// parsePBKDF2 takes both forms in use: passlib's ($id$iterations$salt$key) and the PHC specification's ($id$i=…,l=…$salt$key, l may be
// absent), and gives the library the first.
func parsePBKDF2(id string, rest []string) (phc, error) {
	const want = "$pbkdf2-sha256$iterations$salt$key"
	if len(rest) != 3 {
		return phc{}, refused("a pbkdf2 string of another form", want)
	}
	n, ok := numbers("i="+rest[0], "i")
	if !ok {
		if n, ok = numbers(rest[0], "i"); !ok {
			n, ok = numbers(rest[0], "i", "l")
		}
	}
	salt, key := strings.ReplaceAll(rest[1], "+", "."), strings.ReplaceAll(rest[2], "+", ".")
	if !ok || !encoded(salt, adapted, 8, 64) || !encoded(key, adapted, 16, 64) {
		return phc{}, refused("a pbkdf2 string of another form", want)
	}
	size := adapted.DecodedLen(len(key))
	if len(n) == 2 && int64(n[1]) != int64(size) {
		return phc{}, refused("a pbkdf2 string whose l is not the length of its key", want)
	}
	block := map[string]int{"pbkdf2": 20, "pbkdf2-sha1": 20, "pbkdf2-sha224": 28, "pbkdf2-sha256": 32, "pbkdf2-sha384": 48, "pbkdf2-sha512": 64}[id]
	blocks := uint64((size + block - 1) / block) //nolint:gosec // sizes are positive and bounded above
	if n[0] < 1 || uint64(n[0])*blocks > maxPBKDF2Iterations {
		return phc{}, refused("pbkdf2 with %d iterations over %d blocks", "1 to %d in all", n[0], blocks, maxPBKDF2Iterations)
	}
	return phc{text: fmt.Sprintf("$%s$%d$%s$%s", id, n[0], salt, key), family: "pbkdf2"}, nil
}

// numbers reads "a=1,b=2" with exactly these names in this order; each number in its one decimal form, so that no two strings mean the
// same.
func numbers(s string, names ...string) ([]uint32, bool) {
	fields := strings.Split(s, ",")
	if len(fields) != len(names) {
		return nil, false
	}
	out := make([]uint32, len(names))
	for i, f := range fields {
		text, ok := strings.CutPrefix(f, names[i]+"=")
		n, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || strconv.FormatUint(n, 10) != text {
			return nil, false
		}
		out[i] = uint32(n)
	}
	return out, true
}

func encoded(s string, enc *base64.Encoding, least, most int) bool {
	b, err := enc.Strict().DecodeString(s)
	return err == nil && !strings.ContainsAny(s, "\r\n") && len(b) >= least && len(b) <= most
}

// refused takes the arguments of found and want together, in order.
func refused(found, want string, args ...any) error {
	return fault.New(fault.Invalid, "password_hash_refused", "The password hash cannot be used: found "+found+", expected "+want+".", args...)
}

// matches computes the hash and compares. bcrypt knows 72 bytes and stops: a longer password matches nothing, where cutting it short
// would let a prefix in. HMAC, below scrypt and pbkdf2, and bcrypt cannot tell trailing zero bytes apart, so none is taken.
func (h phc) matches(password string) (bool, error) {
	clean := !strings.Contains(password, "\x00")
	if h.family == "argon2id" {
		ok, err := argon2id.ComparePasswordAndHash(password, h.text)
		return ok && clean, err
	}
	decode := map[string]func(string) (algorithm.Digest, error){"bcrypt": bcrypt.Decode, "scrypt": scrypt.Decode, "pbkdf2": pbkdf2.Decode}[h.family]
	d, err := decode(h.text)
	if err != nil {
		return false, err
	}
	fits := h.family != "bcrypt" || len(password) <= bcrypt.PasswordInputSizeMax
	if !fits {
		password = password[:bcrypt.PasswordInputSizeMax] // the same work
	}
	ok, err := d.MatchAdvanced(password)
	return ok && clean && fits, err
}

// pretence returns a hash of these parameters that no password is known for.
func pretence(p Params) phc {
	salt, key := []byte(secret.New(12)), []byte(secret.New(24)) // 16 and 32 characters
	text := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.Memory, p.Iterations, p.Lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
	return phc{text: text, family: "argon2id", params: p}
}

func newArgon2id(password string, p Params) (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{
		Memory: p.Memory, Iterations: p.Iterations, Parallelism: p.Lanes, SaltLength: 16, KeyLength: 32,
	})
}
