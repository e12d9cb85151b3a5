package apikeys_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"example.com/broker/apikeys"
	"example.com/broker/internal/secret"
)

// J02: who has the database file has no key.
func TestADumpYieldsNoUsableKey(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	if !r.accepts(t, text) {
		t.Fatal("a good key is refused")
	}
	key := secretOf(text).Reveal()
	raw, err := base64.RawURLEncoding.DecodeString(key)
	must(t, err)
	look := func(when string) {
		t.Helper()
		dump := read(t, filepath.Dir(r.path))
		for _, part := range []string{k.ID, k.SecretHash, k.Name} {
			if !bytes.Contains(dump, []byte(part)) {
				t.Fatalf("%s: %q is not in the files, so this test sees nothing", when, part)
			}
		}
		for name, part := range map[string][]byte{
			"the text": []byte(text.Reveal()), "the secret": []byte(key), "its bytes": raw, "its bytes in hex": []byte(hex.EncodeToString(raw)),
			"half of it": []byte(key[:21]), "the other half": []byte(key[21:]), "its checksum": []byte(text.Reveal()[len(text)-6:]),
		} {
			if bytes.Contains(dump, part) {
				t.Errorf("%s: the files hold %s", when, name)
			}
		}
	}
	look("with the log beside it")
	for _, stored := range []string{k.SecretHash, secret.Hash(secret.Value(k.SecretHash))} {
		if forged := apikeys.Text(k.ID, secret.Value(stored)); !apikeys.LooksLike(forged.Reveal()) || r.accepts(t, forged) {
			t.Error("what is stored can be presented")
		}
	}
	must(t, r.stores.Close())
	look("closed")
}

// read returns all files of a folder in one.
func read(t *testing.T, folder string) (all []byte) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		must(t, err)
		all = append(all, b...)
	}
	return all
}
