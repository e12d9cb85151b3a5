package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestExitCodesAndStreams(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name      string
		args      []string
		code      int
		out, talk string // regular expressions
	}{
		{"version is data", []string{"version"}, 0, `^0\.1\.0\n$`, `^$`},
		{"--version is too", []string{"--version"}, 0, `^0\.1\.0\n$`, `^$`},
		{"help that was asked for is data", []string{"--help"}, 0, `Available Commands`, `^$`},
		{"nothing asked for", nil, 2, `^$`, `which command\?`},
		{"a command that is none", []string{"usr"}, 2, `^$`, `unknown command "usr"; did you mean user\?`},
		{"a command below that is none", []string{"user", "creat"}, 2, `^$`, `unknown command "creat"; did you mean create\?`},
		{"a group alone", []string{"key"}, 2, `^$`, `which command\?`},
		{"a flag that is none", []string{"serve", "--listn", "x"}, 2, `^$`, `unknown flag: --listn\nSee: broker serve --help\n$`},
		{"an argument too few", []string{"user", "grant", "alice"}, 2, `^$`, `ROLE \(admin, editor, viewer\) is missing`},
		{"an argument too many", []string{"serve", "now"}, 2, `^$`, `"now" is one argument too many, expected 0`},
		{"an output format that is none", []string{"user", "list", "-o", "yaml"}, 2, `^$`, `"yaml", expected table or json`},
		{"a type that is none", []string{"client", "create", "x", "--type", "desktop"}, 2, `^$`, `--type "desktop", expected one of native, service, spa, web`},
		{"claimable with a password", []string{"user", "create", "--claimable", "--email", "a@b.example", "--password-stdin"}, 2, `^$`, `no password`},
		{"nobody in particular", []string{"user", "create"}, 2, `^$`, `the login name or --email is missing`},
		{"no terminal to ask", []string{"user", "set-password", "alice"}, 2, `^$`, `standard input is no terminal: add --password-stdin or --generate`},
		{"two brokers meant", []string{"user", "list", "--data", ".", "-c", "x"}, 2, `^$`, `give one of them`},
		{"serve without a configuration", []string{"serve"}, 2, `^$`, `^issuer  is missing: .*\nkeys\.encryption  is missing: .*\n2 problems, 0 warnings\.  Docs: docs/reference/config\.md\n$`},
		{"a configuration that is not there", []string{"serve", "-c", "no.yaml"}, 2, `^$`, `^no\.yaml  cannot be read: no such file or directory\n1 problem`},
		{"validate", []string{"config", "validate"}, 2, `^$`, `2 problems, 0 warnings`},
		{"validate for scripts", []string{"config", "validate", "-o", "json"}, 2, `"key": "issuer"`, `2 problems, 0 warnings`},
		{"print says what is wrong too", []string{"config", "print"}, 2, `listen: 127\.0\.0\.1:8080`, `2 problems, 0 warnings`},
		{"no broker to talk to", []string{"user", "list"}, 1, `^$`, `which broker\? Neither .*broker\.yaml nor BROKER_ISSUER sets an issuer, and no .broker dev. runs with the data folder .*: start .broker dev., or name one`},
		{"no dev to talk to", []string{"user", "list", "--data", "dev"}, 1, `^$`, `no .broker dev. runs with the data folder dev: start it first`},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			code, out, talk := broker(t, dir, nil, r.args...)
			if code != r.code || !regexp.MustCompile(r.out).MatchString(out) || !regexp.MustCompile(r.talk).MatchString(talk) {
				t.Errorf("%q: exit code %d, want %d\nstdout %q\nwant   %s\nstderr %q\nwant   %s", r.args, code, r.code, out, r.out, talk, r.talk)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("the folder holds %v, %v", left, err)
			}
		})
	}
}

func TestConfigurationOfTheCommandLineIsJudgedAsAWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yaml := "issuer: http://auth.example.com\nproviders:\n  github:\n    clientid: x\n    client_secret: " + serveSecret + "\n"
	if err := os.WriteFile(dir+"/broker.yaml", []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, talk := broker(t, dir, []string{"BROKER_KEYS__ENCRYPTION=c2hvcnQ=", "BROKER_CLIENTS__WEB__REDIRECT_URIS=javascript:alert(1)"}, "serve", "--listen", "8080")
	want := "broker.yaml:1:9  issuer  \"http://auth.example.com\" must be https (use `broker dev` for local http)\n" +
		"broker.yaml:4:5  providers.github.clientid  unknown key; did you mean client_id?\n" +
		"env BROKER_CLIENTS__WEB__REDIRECT_URIS  \"javascript:alert(1)\": a scheme of your own must be a reverse domain name such as com.example.app\n" +
		"env BROKER_KEYS__ENCRYPTION  has 5 bytes, expected 32: make one with openssl rand -base64 32 (the value is not shown)\n" +
		"flag --listen  \"8080\", expected a host and a port such as 127.0.0.1:8080, or :8080 for all addresses\n" +
		"5 problems, 0 warnings.  Docs: docs/reference/config.md\n"
	if code != exitUsage || out != "" {
		t.Errorf("exit code %d, stdout %q", code, out)
	}
	if diff := cmp.Diff(want, talk); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoFlagTakesASecret(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			secret := strings.Contains(f.Name, "password") || strings.Contains(f.Name, "secret") || strings.Contains(f.Name, "key")
			if secret && f.Value.Type() != "bool" {
				t.Errorf("%s --%s takes a value: others see the arguments of a process", c.CommandPath(), f.Name)
			}
		})
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRootCommand())
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is %q", c.CommandPath(), c.Short)
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRootCommand())
}

func TestATableHoldsNothingThatSteersTheTerminal(t *testing.T) {
	t.Parallel()
	f := formatTable
	var b bytes.Buffer
	if err := f.print(&b, nil, []string{"NAME"}, [][]string{{"a\x1b[2Jb\nc\u202ed"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "NAME\na?[2Jb?c?d\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
