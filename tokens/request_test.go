package tokens_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/oauth"
	"example.com/broker/tokens"
)

func TestParseClaimsRequest(t *testing.T) {
	got, err := tokens.ParseClaimsRequest(` {"userinfo":{"given_name":{"essential":true},"nickname":null,"email":{"essential":false},"x":{"later":1}},
		"id_token":{"auth_time":{"essential":true},"acr":{"values":["urn:a","urn:b"]},"sub":{"value":"248289761001"}},"verified_claims":[1]}`)
	must(t, err)
	want := &tokens.ClaimsRequest{
		UserInfo: map[string]tokens.Asked{"given_name": {Essential: true}, "nickname": {}, "email": {}, "x": {}},
		IDToken: map[string]tokens.Asked{
			"auth_time": {Essential: true},
			"acr":       {Values: []json.RawMessage{[]byte(`"urn:a"`), []byte(`"urn:b"`)}},
			"sub":       {Values: []json.RawMessage{[]byte(`"248289761001"`)}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Subject() != "248289761001" || got.EssentialACR() {
		t.Errorf("Subject %q, EssentialACR %v", got.Subject(), got.EssentialACR())
	}
}

func TestBadClaimsRequests(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":                   "",
		"no JSON":                   "name",
		"null":                      "null",
		"an array":                  "[]",
		"a string":                  `"userinfo"`,
		"cut short":                 `{"userinfo":{"name":null}`,
		"cut short in a value":      `{"userinfo":{"name":`,
		"more behind":               `{} {}`,
		"a comma too many":          `{"userinfo":{},}`,
		"userinfo is an array":      `{"userinfo":[]}`,
		"userinfo is null":          `{"userinfo":null}`,
		"id_token is a string":      `{"id_token":"sub"}`,
		"a claim is true":           `{"userinfo":{"name":true}}`,
		"a claim is an array":       `{"userinfo":{"name":["a"]}}`,
		"essential is a string":     `{"userinfo":{"name":{"essential":"true"}}}`,
		"essential is null":         `{"userinfo":{"name":{"essential":null}}}`,
		"values is a string":        `{"id_token":{"acr":{"values":"urn:a"}}}`,
		"values is null":            `{"id_token":{"acr":{"values":null}}}`,
		"a member twice":            `{"userinfo":{},"userinfo":{"email":null}}`,
		"a claim twice":             `{"id_token":{"sub":{"value":"a"},"sub":{"value":"b"}}}`,
		"a member of a claim twice": `{"id_token":{"sub":{"value":"a","value":"b"}}}`,
		"an escaped twin":           `{"id_token":{"sub":{"value":"a"},"\u0073ub":{"value":"b"}}}`,
		"4097 bytes":                `{"x":"` + strings.Repeat("x", 4097-8) + `"}`,
		"depth":                     strings.Repeat(`{"userinfo":`, 300),
	} {
		_, err := tokens.ParseClaimsRequest(raw)
		wantCode(t, name, oauth.ErrInvalidRequest, err)
	}
	if _, err := tokens.ParseClaimsRequest(`{"x":"` + strings.Repeat("x", 4096-8) + `"}`); err != nil {
		t.Errorf("4096 bytes: %v", err)
	}
	// Names are compared byte for byte: this asks for nothing we know.
	got, err := tokens.ParseClaimsRequest(`{"UserInfo":{"email":null},"ID_TOKEN":{"sub":{"value":"a"}}}`)
	if err != nil || got.Subject() != "" || got.UserInfo != nil {
		t.Errorf("names in capitals: %+v, %v", got, err)
	}
}

func TestWhatAClaimsRequestDemands(t *testing.T) {
	for raw, want := range map[string]struct {
		subject string
		acr     bool
		scopes  string
	}{
		`{}`:                        {},
		`{"id_token":{"sub":null}}`: {},
		`{"id_token":{"sub":{"essential":true}}}`:                                      {},
		`{"id_token":{"sub":{"value":"u"}}}`:                                           {subject: "u"},
		`{"id_token":{"sub":{"values":["u"]}}}`:                                        {subject: "u"},
		`{"id_token":{"sub":{"values":["u","v"]}}}`:                                    {},
		`{"id_token":{"sub":{"value":7}}}`:                                             {},
		`{"userinfo":{"sub":{"value":"u"}}}`:                                           {},
		`{"id_token":{"acr":{"essential":true,"value":"urn:a"}}}`:                      {acr: true},
		`{"id_token":{"acr":{"essential":true}}}`:                                      {},
		`{"id_token":{"acr":{"values":["urn:a"]}}}`:                                    {},
		`{"userinfo":{"acr":{"essential":true,"value":"urn:a"}}}`:                      {},
		`{"userinfo":{"name":null,"picture":null},"id_token":{"email_verified":null}}`: {scopes: "email profile"},
		`{"id_token":{"roles":null,"auth_time":null},"userinfo":{"birthdate":null}}`:   {scopes: "roles"},
	} {
		got, err := tokens.ParseClaimsRequest(raw)
		must(t, err)
		if got.Subject() != want.subject || got.EssentialACR() != want.acr || got.Scopes().String() != want.scopes {
			t.Errorf("%s: subject %q, acr %v, scopes %q; want %+v", raw, got.Subject(), got.EssentialACR(), got.Scopes(), want)
		}
	}
}

// FuzzParseClaimsRequest: what is taken is JSON that every reader reads alike, and taking it twice gives the same.
func FuzzParseClaimsRequest(f *testing.F) {
	f.Add(`{"userinfo":{"email":null},"id_token":{"sub":{"value":"u"}}}`)
	f.Add(`{"id_token":{"acr":{"essential":true,"values":["a"]}}}`)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := tokens.ParseClaimsRequest(raw)
		if err != nil {
			wantCode(t, "a refusal", oauth.ErrInvalidRequest, err)
			return
		}
		if !json.Valid([]byte(raw)) {
			t.Fatalf("%q is no JSON and is taken", raw)
		}
		again, err := tokens.ParseClaimsRequest(raw)
		if err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%q is read two ways: %+v, %+v, %v", raw, got, again, err)
		}
	})
}
