package strictjson_test

import (
	"encoding/json"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"example.com/broker/internal/strictjson"
)

func TestPlain(t *testing.T) {
	for in, want := range map[json.Number]string{
		"0": "0", "-0": "0", "0.0": "0", "-0.0e9": "0", "0e999999999999": "0", "1": "1", "1.0": "1", "-1.00": "-1", "10.50": "10.5", "0.05": "0.05",
		"1e3": "1000", "1E+3": "1000", "1.5e1": "15", "1.25e1": "12.5", "100e-2": "1", "1e-2": "0.01", "-1.5E-1": "-0.15", "12345678901234567890": "12345678901234567890",
		"1e400": "1" + strings.Repeat("0", 400),
		"1e401": "", "1e-401": "", "1e999999999999999999999": "", "-1e-999999999999999999999": "",
	} {
		got, ok := strictjson.Plain(in)
		if got != want || ok != (want != "") {
			t.Errorf("Plain(%s) = %q %v, want %q", in, got, ok, want)
		}
	}
}

// FuzzPlain states that the number stays the same and that no zero is left over.
func FuzzPlain(f *testing.F) {
	if seeds, err := filepath.Glob("testdata/fuzz/FuzzPlain/*"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/fuzz/FuzzPlain (%v)", err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var n json.Number
		if json.Unmarshal([]byte(in), &n) != nil || strings.HasPrefix(strings.TrimSpace(in), `"`) || n == "" {
			return
		}
		got, ok := strictjson.Plain(n)
		if !ok {
			return
		}
		if got == "0" { // its exponent may be more than package big can write
			if mantissa, _, _ := strings.Cut(strings.ToLower(n.String()), "e"); strings.ContainsAny(mantissa, "123456789") {
				t.Fatalf("Plain(%s) = 0", n)
			}
			return
		}
		want, right := new(big.Rat).SetString(n.String())
		have, valid := new(big.Rat).SetString(got)
		if !right || !valid || want.Cmp(have) != 0 || strings.ContainsAny(got, "eE") {
			t.Fatalf("Plain(%s) = %s", n, got)
		}
		if strings.Contains(got, ".") && strings.HasSuffix(got, "0") || len(got) > 1 && strings.HasPrefix(got, "0") && !strings.HasPrefix(got, "0.") {
			t.Fatalf("Plain(%s) = %s has zeros that say nothing", n, got)
		}
	})
}
