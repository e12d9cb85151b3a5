package apikeys_test

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/broker/apikeys"
	"example.com/broker/internal/secret"
)

// The form that scanners look for is frozen.
const (
	knownID     = "AAECAwQFBgcICQoLDA0ODw"
	knownSecret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	known       = "bk_AAECAwQFBgcICQoLDA0ODw_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh80osAEt"
)

var form = regexp.MustCompile(`^bk_([A-Za-z0-9_-]{22})_([A-Za-z0-9_-]{43})([0-9a-zA-Z]{6})$`)

func TestTextIsFrozen(t *testing.T) {
	if got := apikeys.Text(knownID, knownSecret); got != known {
		t.Errorf("got %s, want %s", got.Reveal(), known)
	}
	id, key, ok := apikeys.Parse(known)
	if !ok || id != knownID || key != knownSecret {
		t.Errorf("got %q, %q, %v", id, key.Reveal(), ok)
	}
}

func TestTextComesBack(t *testing.T) {
	for range 1000 { // some of them have a checksum with leading zeros, and underscores in both parts
		id, key := secret.New(16).Reveal(), secret.New(32)
		raw := apikeys.Text(id, key)
		gotID, gotKey, ok := apikeys.Parse(raw)
		if !ok || gotID != id || gotKey != key || !apikeys.LooksLike(raw.Reveal()) || !form.MatchString(raw.Reveal()) {
			t.Fatalf("%s does not come back", raw.Reveal())
		}
	}
}

func TestEverySingleCharacterChangeIsRefused(t *testing.T) {
	for _, raw := range []string{known, apikeys.Text(secret.New(16).Reveal(), secret.New(32)).Reveal()} {
		for i := range len(raw) {
			for c := range 256 {
				if changed := raw[:i] + string([]byte{byte(c)}) + raw[i+1:]; changed != raw && apikeys.LooksLike(changed) {
					t.Fatalf("place %d as %#x passes", i, c)
				}
			}
			for name, changed := range map[string]string{
				"left out": raw[:i] + raw[i+1:], "doubled": raw[:i] + raw[i:i+1] + raw[i:], "cut": raw[:i], "cut off": raw[i+1:],
			} {
				if apikeys.LooksLike(changed) {
					t.Fatalf("place %d %s passes", i, name)
				}
			}
			if i > 0 && raw[i] != raw[i-1] && apikeys.LooksLike(raw[:i-1]+raw[i:i+1]+raw[i-1:i]+raw[i+1:]) {
				t.Fatalf("places %d and %d exchanged pass", i-1, i)
			}
		}
	}
}

// A checksum can be made by anybody; what it covers must still be of our making.
func TestWhatIsNoKeyIsRefusedWhateverItsChecksum(t *testing.T) {
	for rule, body := range map[string]string{
		"nothing":                            "",
		"an id of another alphabet":          "bk_AAECAwQFBgcICQoLDA0O+w_" + knownSecret,
		"an id with stray bits":              "bk_AAECAwQFBgcICQoLDA0ODx_" + knownSecret,
		"an id with a zero byte":             "bk_AAECAwQFBgcICQoLDA0O\x00w_" + knownSecret,
		"an id with line breaks":             "bk_AAECAwQFBgcICQoLDA0\r\nw_" + knownSecret,
		"an id that is not UTF-8":            "bk_AAECAwQFBgcICQoLDA0O\xffw_" + knownSecret,
		"a secret with stray bits":           "bk_" + knownID + "_" + knownSecret[:42] + "9",
		"a secret with padding":              "bk_" + knownID + "_" + knownSecret[:42] + "=",
		"a secret with line breaks":          "bk_" + knownID + "_" + knownSecret[:39] + "\n\n\n\n",
		"a secret one shorter, an id longer": "bk_" + knownID + "A_" + knownSecret[1:],
		"another separator":                  "bk_" + knownID + "-" + knownSecret,
		"another prefix":                     "BK_" + knownID + "_" + knownSecret,
		"no prefix":                          "xx_" + knownID + "_" + knownSecret,
	} {
		if raw := body + sum(body); apikeys.LooksLike(raw) {
			t.Errorf("%s passes: %q", rule, raw)
		}
	}
	if body := known[:len(known)-6]; !apikeys.LooksLike(body + sum(body)) {
		t.Error("the checksum of this test is not that of the package")
	}
	for _, raw := range []string{"", " ", known + " ", " " + known, known + "\n", strings.ToLower(known), strings.Repeat("x", 1<<20)} {
		if apikeys.LooksLike(raw) {
			t.Errorf("%.80q passes", raw)
		}
	}
}

// sum is the checksum, written another way.
func sum(body string) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	n := uint64(crc32.ChecksumIEEE([]byte(body)))
	var out []byte
	for range 6 {
		out = append(out, digits[n%62])
		n /= 62
	}
	slices.Reverse(out)
	return string(out)
}

const seedFolder = "testdata/fuzz/FuzzParse"

// FuzzParse: whatever parses is the text of a 16-byte id and a 32-byte secret, in every character. The text is tried as it is, with a
// fitting checksum, and in the place of id and secret.
func FuzzParse(f *testing.F) {
	if seeds, err := filepath.Glob(filepath.Join(seedFolder, "*")); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in %s (%v)", seedFolder, err) // the testing package would go on without them
	}
	f.Fuzz(func(t *testing.T, raw string) {
		framed := apikeys.Prefix + raw
		for _, s := range []string{raw, raw + sum(raw), framed + sum(framed)} {
			checkParsed(t, s)
		}
	})
}

// TestFuzzSeedsReachBothOutcomes keeps the seeds worth starting from.
func TestFuzzSeedsReachBothOutcomes(t *testing.T) {
	files, err := os.ReadDir(seedFolder)
	must(t, err)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(seedFolder, file.Name()))
		must(t, err)
		var raw string
		if _, err := fmt.Sscanf(strings.SplitN(string(content), "\n", 2)[1], "string(%q)", &raw); err != nil {
			t.Fatalf("%s: %v", file.Name(), err)
		}
		if got, want := checkParsed(t, raw) || checkParsed(t, raw+sum(raw)), strings.HasPrefix(file.Name(), "good-"); got != want {
			t.Errorf("seed %s: parses is %v, want %v", file.Name(), got, want)
		}
	}
}

func checkParsed(t *testing.T, s string) bool {
	t.Helper()
	id, key, ok := apikeys.Parse(secret.Value(s))
	parts := form.FindStringSubmatch(s)
	want := parts != nil && sum(s[:len(s)-6]) == parts[3] && canonical(parts[1], 16) && canonical(parts[2], 32)
	switch {
	case ok != want:
		t.Errorf("%q: parses is %v, want %v", s, ok, want)
	case ok && (id != parts[1] || key.Reveal() != parts[2] || apikeys.Text(id, key).Reveal() != s):
		t.Errorf("%q: got %q and %q", s, id, key.Reveal())
	case !ok && (id != "" || key != ""):
		t.Errorf("%q: refused, yet got %q and %q", s, id, key.Reveal())
	}
	return ok
}

// canonical reports whether s is what n bytes encode to.
func canonical(s string, n int) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == n && base64.RawURLEncoding.EncodeToString(b) == s
}
