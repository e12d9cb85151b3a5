package dev_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/dev"
	"example.com/broker/internal/secret"
	"example.com/broker/users"
)

func open(t *testing.T, dir string) *dev.Folder {
	t.Helper()
	f, err := dev.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFolderKeepsItsSecrets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dev")
	first, second := open(t, dir), open(t, dir)
	if first.EncryptionKey() != second.EncryptionKey() || first.ServiceSecret() != second.ServiceSecret() {
		t.Error("a second run has other secrets")
	}
	if diff := cmp.Diff(first.Accounts(), second.Accounts()); diff != "" {
		t.Errorf("accounts differ: %s", diff)
	}
	was, err := first.GoogleKey()
	if err != nil {
		t.Fatal(err)
	}
	is, err := second.GoogleKey()
	if err != nil {
		t.Fatal(err)
	}
	if !was.Public().(*rsa.PublicKey).Equal(is.Public()) {
		t.Error("the local Google has another key")
	}
	if other := open(t, t.TempDir()); other.EncryptionKey() == first.EncryptionKey() || other.Accounts()[0].Password == first.Accounts()[0].Password {
		t.Error("another folder has the same secrets")
	}
}

func TestFolderIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	f := open(t, dir)
	if err := f.Remember(map[string]int{"broker": 1}); err != nil {
		t.Fatal(err)
	}
	if err := f.Publish(dev.Description{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v, want 0700", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files, want state.json and dev.json: %v", len(files), err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, want 0600", file.Name(), info.Mode(), err)
		}
	}
}

func TestManyOpenANewFolderAtOnce(t *testing.T) {
	dir := t.TempDir()
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			if f, err := dev.Open(dir); err == nil {
				keys[i] = f.EncryptionKey()
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k == "" || k != keys[0] {
			t.Fatalf("the keys are %q, want one for all", keys)
		}
	}
}

func TestFolderRefusesWhatItCannotRead(t *testing.T) {
	for name, content := range map[string]string{"not JSON": "x", "not complete": "{}", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "state.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := dev.Open(dir)
			if err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v, want one that names %s", err, file)
			}
			if kept, _ := os.ReadFile(file); string(kept) != content {
				t.Errorf("the file is %q now, want it as it was", kept)
			}
		})
	}
}

func TestPasswordsSatisfyThePolicy(t *testing.T) {
	for _, a := range open(t, t.TempDir()).Accounts() {
		if err := (users.PasswordPolicy{}).Check(secret.Value(a.Password), a.Username, a.Email); err != nil {
			t.Errorf("%s: %v", a.Username, err)
		}
	}
}

func TestDescription(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	d := dev.Description{
		Issuer: "http://localhost:8080", DemoURL: "http://127.0.0.1:8081", OpsURL: "http://127.0.0.1:8084", PID: 7,
		Upstreams: map[string]string{"github": "http://127.0.0.1:8082", "google": dev.Real},
		Users:     []dev.Account{{Username: "alice", Email: "alice@example.com", Password: "pass <&> word", Roles: []string{"editor"}}},
		Clients: []dev.Application{{
			ClientID: dev.SPAClient, RedirectURIs: []string{"http://127.0.0.1:8081/callback"}, GrantTypes: []string{"authorization_code"}, FirstParty: true,
		}},
		APIs: []dev.Resource{{ID: dev.DemoAPI, Audience: "http://127.0.0.1:8081/api"}},
	}
	if err := f.Publish(d); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Compact(&got, text); err != nil {
		t.Fatal(err)
	}
	want := `{"issuer":"http://localhost:8080","demo_url":"http://127.0.0.1:8081","ops_url":"http://127.0.0.1:8084",` +
		`"upstreams":{"github":"http://127.0.0.1:8082","google":"real"},` +
		`"users":[{"username":"alice","email":"alice@example.com","password":"pass <&> word","roles":["editor"]}],` +
		`"clients":[{"client_id":"demo-spa","client_secret":"","redirect_uris":["http://127.0.0.1:8081/callback"],` +
		`"grant_types":["authorization_code"],"first_party":true}],"apis":[{"id":"demo","audience":"http://127.0.0.1:8081/api"}],"pid":7}`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("dev.json (-want +got):\n%s", diff)
	}
	for range 2 {
		if err := f.Unpublish(); err != nil {
			t.Errorf("Unpublish: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "dev.json")); !os.IsNotExist(err) {
		t.Errorf("dev.json is still there: %v", err)
	}
}

func TestBanner(t *testing.T) {
	b := dev.Banner{Version: "1.2.3", Data: "/var/my dev", Pages: []string{"/guide", "/tools/jwt"}, Description: dev.Description{
		Issuer: "http://localhost:8080", DemoURL: "http://127.0.0.1:8081", OpsURL: "http://127.0.0.1:8084",
		Upstreams: map[string]string{"github": "http://127.0.0.1:8082", "google": dev.Real},
		Users:     []dev.Account{{Username: "alice", Password: "7q", Roles: []string{"editor"}}, {Username: "bob", Password: "xr", Roles: []string{"viewer"}}},
	}}
	want := `broker 1.2.3 dev  issuer http://localhost:8080   data /var/my dev   NOT FOR PRODUCTION
open this    http://127.0.0.1:8081   the demo app: click "Sign in with GitHub"
sign in as   alice 7q (editor)   bob xr (viewer)
upstreams    github=local google=real   (real: BROKER_PROVIDERS__GITHUB__CLIENT_ID=… _CLIENT_SECRET_FILE=…)
operators    http://127.0.0.1:8084/metrics
learn        http://localhost:8080/guide   http://localhost:8080/tools/jwt
your app     add it to broker.yaml, or: broker client create web --redirect http://localhost:5173/callback --data '/var/my dev'
`
	var plain, colored strings.Builder
	if _, err := b.WriteTo(&plain); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, plain.String()); diff != "" {
		t.Errorf("banner (-want +got):\n%s", diff)
	}
	b.Color = true
	if _, err := b.WriteTo(&colored); err != nil {
		t.Fatal(err)
	}
	if got := strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(colored.String()); got != want || got == colored.String() {
		t.Errorf("the coloured banner is %q", colored.String())
	}
}
