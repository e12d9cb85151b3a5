package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/internal/secret"
	"example.com/broker/store/mongo/mongotest"
)

// story is what a person types, in order; answers of both ways of carrying it out must be the same.
var story = []struct{ in, line string }{
	{"", "admin bootstrap"},
	{"", "admin bootstrap"},
	{"", "admin bootstrap nobody"},
	{"", "user create --username alice --name Alice --role editor"},
	{"", "user create --username alice"},
	{"", "user create --username al@ice"},
	{"", "user create --email carol@example.com --claimable -o json"},
	{"", "user create --email dave@example.com --email-unverified"},
	{"correct horse battery staple\n", "user create --username bob --email bob@example.com --password-stdin"},
	{"short\n", "user create --username eve --password-stdin"},
	{"", "user create --username eve --password-stdin"},
	{"", "user create --username eve --role owner"},
	{"", "user grant bob@example.com admin -o json"},
	{"", "user grant bob owner"},
	{"", "user grant nobody editor"},
	{"", "user grant alice viewer --until 2199-01-31"},
	{"", "user grant alice viewer --until 2199-01-31T12:00:00Z -o json"},
	{"", "user grant alice viewer --until 2020-01-31"},
	{"", "user grant alice viewer --until tomorrow"},
	{"", "user grant alice viewer"},
	{"", "user revoke admin admin"},
	{"", "user revoke bob admin"},
	{"", "user disable bob"},
	{"", "user disable bob"},
	{"", "user grant bob admin"},
	{"", "user enable bob"},
	{"", "user disable alice"},
	{"", "admin bootstrap alice"},
	{"", "user enable alice"},
	{"", "admin bootstrap alice"},
	{"another horse battery staple\n", "user set-password alice --password-stdin"},
	{"", "user set-password alice --generate"},
	{"", "user set-password carol@example.com --generate -o json"},
	{"", "user unlock carol@example.com"},
	{"", "user unlock nobody"},
	{"", "user list"},
	{"", "client create web --redirect http://localhost:5173/callback"},
	{"", "client create web --redirect http://localhost:5173/callback"},
	{"", "client create job --type service -o json"},
	{"", "client create server --type web --redirect https://app.example.com/cb --auth-method client_secret_post --post-logout https://app.example.com/"},
	{"", "client create bad --redirect https://*.example.com/cb --redirect javascript:alert(1) --api nothing"},
	{"", "client create fixed --redirect https://app.example.com/cb"},
	{"", "client rotate-secret job"},
	{"", "client rotate-secret web"},
	{"", "client rotate-secret fixed"},
	{"", "client rotate-secret nothing"},
	{"", "client list"},
	{"", "api create orders --audience https://orders.example.com --scope orders:read --scope orders:write --ttl 5m"},
	{"", "api create orders --audience urn:other"},
	{"", "api create bills --audience https://orders.example.com"},
	{"", "api create Bad --audience bad --scope openid --role owner --alg EdDSA --typ id --ttl 1000h"},
	{"", "api create stock --audience urn:stock --role editor --alg RS256 --typ JWT -o json"},
	{"", "api create fixedapi --audience urn:again"},
	{"", "client create reports --type service --api orders"},
	{"", "api list"},
	{"", "api delete orders"},
	{"", "api delete fixedapi"},
	{"", "api delete nothing"},
	{"", "client disable reports"},
	{"", "client disable fixed"},
	{"", "client enable reports -o json"},
	{"", "client delete reports"},
	{"", "client delete reports"},
	{"", "client delete fixed"},
	{"", "api delete orders"},
	{"", "api list -o json"},
	{"", "client list"},
	{"", "key rotate"},
	{"", "key rotate --now -o json"},
	{"", "key rotate --encryption-key-lost"},
	{"", "key list"},
	{"", "key revoke"},
	{"", "key revoke nothing"},
	{"", "key revoke -- {retired}"},
	{"", "key revoke -o json -- {active}"},
	{"", "key list"},
}

// keyIn returns the first signing key in a state, for what is typed as {state}.
func keyIn(t *testing.T, state string) string {
	t.Helper()
	_, out, talk := here(t, "", "key", "list", "-o", "json")
	var list []struct{ KID, State string }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, talk)
	}
	for _, k := range list {
		if k.State == state {
			return k.KID
		}
	}
	t.Fatalf("no key is %s: %s", state, out)
	return ""
}

func TestVerbsAreTheSameOnARunningBrokerAndOnItsStore(t *testing.T) {
	for _, v := range serveEnv("BROKER_CLIENTS__FIXED__REDIRECT_URIS=https://fixed.example.com/cb", "BROKER_APIS__FIXEDAPI__AUDIENCE=urn:fixed") {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	tell := func(t *testing.T) string {
		var b strings.Builder
		for _, s := range story {
			args := strings.Fields(s.line)
			if last := args[len(args)-1]; strings.HasPrefix(last, "{") {
				args[len(args)-1] = keyIn(t, strings.Trim(last, "{}"))
			}
			code, out, talk := here(t, s.in, args...)
			talk = strings.TrimPrefix(talk, "new database: broker.db\n")
			fmt.Fprintf(&b, "$ broker %s   # exit %d\n%s%s\n", s.line, code, out, talk)
		}
		return b.String()
	}
	var direct, over string
	t.Run("on the store", func(t *testing.T) {
		t.Chdir(t.TempDir())
		direct = tell(t)
	})
	t.Run("on a running broker", func(t *testing.T) {
		t.Chdir(t.TempDir())
		stop := serveHere(t)
		over = tell(t)
		stop()
		if code, _, talk := here(t, "", "user", "list"); code != exitDone {
			t.Errorf("after the broker has ended: %d %s", code, talk)
		}
	})
	for _, told := range []string{direct, over} {
		for _, s := range []string{"correct horse", "another horse"} {
			if strings.Contains(told, s) {
				t.Errorf("a password that was given is printed")
			}
		}
	}
	if diff := cmp.Diff(masked(direct), masked(over)); diff != "" {
		t.Errorf("-on the store +on a running broker:\n%s", diff)
	}
	goldenText(t, "verbs.golden", masked(direct))
}

// masked replaces what differs from run to run: ids, secrets, times, key ids.
func masked(s string) string {
	for _, m := range []struct{ pattern, with string }{
		{`usr_[0-9a-f-]{36}`, "usr_…"},
		{`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`, "TIME"},
		{`(?m)(^|[ "])[A-Za-z0-9_-]{43}([ "\n])`, "${1}RANDOM43$2"},
		{`((?:password|client_secret)(?:   |": "))[A-Za-z0-9_-]{24}`, "${1}RANDOM24"},
		{` +\n`, "\n"},
		{`(?m)[ ]{3,}`, "   "},
	} {
		s = regexp.MustCompile(m.pattern).ReplaceAllString(s, m.with)
	}
	return s
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (rewrite it with -update) -want +got:\n%s", name, diff)
	}
}

func TestWhatAVerbMadeIsGood(t *testing.T) {
	for _, v := range serveEnv() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	serveHere(t)
	ctl, err := dialControl(t.Context(), socketIn("."))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ctl.close(t.Context()) })
	_, out, _ := here(t, "", "client", "create", "job", "--type", "service", "-o", "json")
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.ID != "job" || len(made.Secret) != 43 {
		t.Fatalf("%v in %s", err, out)
	}
	if strings.Contains(out, secret.Hash(secret.Value(made.Secret))) {
		t.Error("the hash of the secret is printed")
	}
	if _, err := ask[any](t.Context(), ctl, "user.fly", nil); err == nil || !strings.Contains(err.Error(), "control_unknown") {
		t.Errorf("an unknown verb: %v", err)
	}
	if _, err := ask[any](t.Context(), ctl, "user.list", map[string]int{"Wings": 2}); err == nil || !strings.Contains(err.Error(), "control_invalid") {
		t.Errorf("a verb of another version: %v", err)
	}
}

func TestVerbsReachTheDevThatRuns(t *testing.T) {
	t.Parallel()
	cache, work := t.TempDir(), t.TempDir()
	env := []string{"XDG_CACHE_HOME=" + cache}
	p := newProcess(t.Context(), t, work, env, "dev", "--listen", "127.0.0.1:0", "--demo-listen", "127.0.0.1:0")
	talk := &logBuffer{}
	p.Stderr = io.MultiWriter(&p.talk, talk)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	folder := filepath.Join(cache, "broker", "dev")
	for range 800 {
		if _, err := os.Stat(filepath.Join(folder, "dev.json")); err == nil {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	code, out, said := broker(t, work, env, "client", "create", "web", "--redirect", "http://localhost:5173/callback")
	if code != exitDone || !strings.Contains(out, "http://localhost:5173/callback") || !strings.Contains(said, "on `broker dev` in "+folder) {
		t.Errorf("exit code %d\n%s%s\ndev says %s", code, out, said, talk)
	}
	code, out, said = broker(t, t.TempDir(), nil, "user", "list", "--data", folder)
	if code != exitDone || !strings.Contains(out, "alice") || !strings.Contains(out, "root") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.finish(t); code != exitDone {
		t.Errorf("dev ends with %d\n%s", code, p.talk.String())
	}
}

func TestVerbsOpenMongoBesideARunningBroker(t *testing.T) {
	for _, v := range serveEnv("BROKER_STORE__MONGO__URI="+mongotest.URI(t), "BROKER_STORE__MONGO__DATABASE="+mongotest.Database(t)) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	serveHere(t)
	if code, _, talk := here(t, "", "user", "create", "--username", "alice"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, talk)
	}
	code, out, talk := here(t, "", "user", "list")
	if code != exitDone || !strings.Contains(out, "alice") {
		t.Errorf("exit code %d: %s%s", code, out, talk)
	}
	if left := names(t, "."); len(left) > 0 {
		t.Errorf("the folder holds %q", left)
	}
}
