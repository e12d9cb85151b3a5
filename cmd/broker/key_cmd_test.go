package main

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/keys"
)

// TestALostEncryptionKeyHasAWayOut goes it: the broker refuses to start, one command says what is lost, and it starts.
func TestALostEncryptionKeyHasAWayOut(t *testing.T) {
	for _, v := range serveEnv() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	if code, _, talk := here(t, "", "user", "create", "--username", "alice"); code != exitDone {
		t.Fatal(talk)
	}
	old := keyIn(t, "active")
	another := sha256.Sum256([]byte(t.Name()))
	t.Setenv("BROKER_KEYS__ENCRYPTION", base64.StdEncoding.EncodeToString(another[:]))
	for _, command := range []string{"serve", "user list", "key rotate --now"} { // nothing is replaced by the way
		code, _, talk := here(t, "", strings.Fields(command)...)
		if code != exitFailed || !strings.Contains(talk, "keys.encryption") || !strings.Contains(talk, "broker key rotate --encryption-key-lost") {
			t.Errorf("%s: exit code %d, %s, want a refusal that names the setting and the way out", command, code, talk)
		}
	}
	code, out, talk := here(t, "", "key", "rotate", "--encryption-key-lost", "-o", "json")
	if code != exitDone || strings.Count(out, `"active"`) != 2 {
		t.Fatalf("exit code %d\n%s%s", code, out, talk)
	}
	serveHere(t)
	code, out, talk = here(t, "", "key", "list")
	if code != exitDone || !strings.Contains(out, old+"   retired") {
		t.Errorf("exit code %d\n%s%s\nwant the old key retired, for what it signed", code, out, talk)
	}
	if code, out, talk := here(t, "", "user", "list"); code != exitDone || !strings.Contains(out, "alice") {
		t.Errorf("exit code %d\n%s%s", code, out, talk)
	}
	if code, _, talk := here(t, "", "key", "rotate", "--encryption-key-lost"); code != exitFailed || !strings.Contains(talk, "keys_open") {
		t.Errorf("where nothing is lost: exit code %d, %s", code, talk)
	}
}

func TestKeyActsAreInTheAuditLog(t *testing.T) {
	w := newWorld(t, "sqlite")
	c := direct{w.program}
	made, err := ask[[]keys.Info](t.Context(), c, "key.rotate", rotation{Now: true})
	if err != nil || len(made) == 0 {
		t.Fatalf("%v, %v", made, err)
	}
	for range 2 { // of which the second finds nothing to do
		_, _ = ask[revokedKey](t.Context(), c, "key.revoke", byID{made[0].KID})
	}
	if !w.audited("key.revoke") {
		t.Fatal("the audit log has no revocation")
	}
	events, err := w.stores.Audit.ListAudit(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]int{"key.rotate": len(made), "key.revoke " + made[0].KID: 1}, map[string]int{}
	for _, e := range events {
		switch {
		case e.Actor != commandLine || e.Outcome != "done":
		case e.Action == "key.rotate":
			got[e.Action]++
		case e.Action == "key.revoke":
			got[e.Action+" "+e.Target]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
