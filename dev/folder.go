package dev

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"example.com/broker/internal/secret"
)

const (
	stateFile       = "state.json"
	descriptionFile = "dev.json"
	databaseFile    = "broker.db"
)

// DefaultDir is the data folder where no other is named: below the user's cache, since nothing in it is worth a backup.
func DefaultDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the data: %w; name one with --data", err)
	}
	return filepath.Join(cache, "broker", "dev"), nil
}

// Folder is a data folder. What it generates is generated once. It is not safe for concurrent use; whoever calls Remember or Publish
// must hold the folder's database open, since that is what keeps a second process out.
type Folder struct {
	dir   string
	state state
}

// state is the content of state.json.
type state struct {
	Encryption    string            `json:"encryption_key"` // 32 bytes in base64
	Passwords     map[string]string `json:"passwords"`      // by login name
	ServiceSecret string            `json:"service_secret"`
	GoogleKey     string            `json:"google_key"` // PKCS #8 in PEM
	Ports         map[string]int    `json:"ports"`      // by Wish.Name
}

// Open makes the folder with mode 0700 if there is none, and its secrets if it has none. Of several processes that do so at once, all
// get the same secrets.
func Open(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f := &Folder{dir: dir}
	switch err := f.read(); {
	case err == nil:
		return f, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := f.generate(); err != nil {
		return nil, err
	}
	return f, f.read() // what another process wrote, if it was faster
}

func (f *Folder) read() error {
	path := filepath.Join(f.dir, stateFile)
	text, err := os.ReadFile(path) //nolint:gosec // the folder is the developer's own choice
	if err != nil {
		return fmt.Errorf("read what was generated before: %w", err)
	}
	f.state = state{}
	if err := json.Unmarshal(text, &f.state); err != nil {
		return fmt.Errorf("read %s: %w; delete the folder to start afresh", path, err)
	}
	_, err = f.GoogleKey()
	if err != nil || f.state.Encryption == "" || f.state.ServiceSecret == "" || len(f.state.Passwords) < len(people) {
		return fmt.Errorf("read %s: it is not complete; delete the folder to start afresh", path)
	}
	return nil
}

// generate makes the secrets and writes them unless somebody else has done so meanwhile.
func (f *Folder) generate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("generate the key of the local Google: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("generate the key of the local Google: %w", err)
	}
	f.state = state{
		Encryption: base64.StdEncoding.EncodeToString(random(secret.KeySize)), ServiceSecret: secret.New(32).Reveal(),
		GoogleKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), Passwords: map[string]string{},
	}
	for _, p := range people {
		f.state.Passwords[p.username] = readable()
	}
	temp, err := f.temporary(f.state)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	// A link fails where the name is taken, a rename would not: the secrets of a folder never change.
	if err := os.Link(temp, filepath.Join(f.dir, stateFile)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep what was generated: %w", err)
	}
	return nil
}

// random returns n random bytes.
func random(n int) []byte {
	b, err := base64.RawURLEncoding.DecodeString(secret.New(n).Reveal())
	if err != nil {
		panic(err) // secret.New promises the encoding
	}
	return b
}

// plain is Crockford's base32: no letter in it is mistaken for a digit, and it spells few words.
var plain = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// readable returns a password of 80 random bits that can be typed: xxxx-xxxx-xxxx-xxxx.
func readable() string {
	s := plain.EncodeToString(random(10))
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
}

// temporary writes v as JSON to a file of mode 0600 in the folder and returns its name.
func (f *Folder) temporary(v any) (string, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("write to the data folder: %w", err)
	}
	t, err := os.CreateTemp(f.dir, ".writing-*")
	if err != nil {
		return "", fmt.Errorf("write to the data folder: %w", err)
	}
	_, err = t.Write(text.Bytes())
	if err := errors.Join(err, t.Sync(), t.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write to the data folder: %w", err), os.Remove(t.Name()))
	}
	return t.Name(), nil
}

// replace writes v to a file of the folder; a reader finds the old file or the new one, nothing between.
func (f *Folder) replace(name string, v any) error {
	temp, err := f.temporary(v)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(f.dir, name)); err != nil {
		return errors.Join(fmt.Errorf("write to the data folder: %w", err), os.Remove(temp))
	}
	return nil
}

// Path is the folder, absolute.
func (f *Folder) Path() string { return f.dir }

// Database is where the SQLite file belongs.
func (f *Folder) Database() string { return filepath.Join(f.dir, databaseFile) }

// EncryptionKey seals what the broker stores: 32 bytes in base64.
func (f *Folder) EncryptionKey() string { return f.state.Encryption }

// ServiceSecret is the secret of the client [ServiceClient].
func (f *Folder) ServiceSecret() string { return f.state.ServiceSecret }

// GoogleKey signs the ID tokens of the local Google.
func (f *Folder) GoogleKey() (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(f.state.GoogleKey))
	if block == nil {
		return nil, errors.New("the key of the local Google is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key of the local Google: %w", err)
	}
	signer, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key of the local Google is not an RSA key")
	}
	return signer, nil
}

// Remember keeps the ports, by Wish.Name, for the next run; those it knew under other names stay.
func (f *Folder) Remember(ports map[string]int) error {
	next := f.state
	next.Ports = maps.Clone(f.state.Ports)
	if next.Ports == nil {
		next.Ports = map[string]int{}
	}
	maps.Copy(next.Ports, ports)
	if maps.Equal(next.Ports, f.state.Ports) {
		return nil
	}
	f.state = next
	return f.replace(stateFile, next)
}
