package pages_test

import (
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"testing"

	"example.com/broker/web/static"
)

// TestPalette computes the contrast of every pair of colours the sheet puts on each other, by WCAG 2.2, 1.4.3 and 1.4.11.
func TestPalette(t *testing.T) {
	t.Parallel()
	light, dark := palettes(t)
	text := [][2]string{
		{"text", "bg"},
		{"text", "glow"},
		{"text", "surface"},
		{"text", "raised"},
		{"text", "note-bg"},
		{"text", "bad-bg"},
		{"muted", "bg"},
		{"muted", "glow"},
		{"muted", "surface"},
		{"muted", "raised"},
		{"link", "surface"},
		{"link", "bg"},
		{"link", "note-bg"},
		{"link", "raised"},
		{"on-accent", "accent"},
		{"on-accent", "accent-hover"},
		{"bad", "surface"},
		{"bad", "bad-bg"},
		{"badge", "badge-bg"},
		{"dev", "dev-bg"},
		{"on-mark", "mark"},
		{"good", "surface"},
	}
	shape := [][2]string{
		{"field-line", "surface"},
		{"accent", "surface"},
		{"focus", "surface"},
		{"focus", "bg"},
		{"focus", "glow"},
		{"focus", "raised"},
		{"bad", "surface"},
		{"good", "note-bg"},
	}
	for scheme, colours := range map[string]map[string]string{"light": light, "dark": dark} {
		check := func(pairs [][2]string, least float64) {
			for _, pair := range pairs {
				if got := contrast(t, colours[pair[0]], colours[pair[1]]); got < least {
					t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", scheme, pair[0], pair[1], got, least)
				}
			}
		}
		check(text, 4.5)
		check(shape, 3)
	}
}

// palettes reads the custom properties of the sheet: the first block is light, the second changes some of them for dark.
func palettes(t testing.TB) (light, dark map[string]string) {
	t.Helper()
	css, err := fs.ReadFile(static.Files(), "style.css")
	if err != nil {
		t.Fatalf("reading the sheet: %v", err)
	}
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d palettes in the sheet, want light and dark", len(blocks))
	}
	light, dark = map[string]string{}, map[string]string{}
	property := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	for _, m := range property.FindAllStringSubmatch(blocks[0][1], -1) {
		light[m[1]], dark[m[1]] = m[2], m[2]
	}
	for _, m := range property.FindAllStringSubmatch(blocks[1][1], -1) {
		if light[m[1]] == "" {
			t.Errorf("--%s is dark only", m[1])
		}
		dark[m[1]] = m[2]
	}
	return light, dark
}

func contrast(t testing.TB, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t testing.TB, hex string) float64 {
	t.Helper()
	if len(hex) != 7 {
		t.Fatalf("colour %q is not in the palette", hex)
	}
	n, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		t.Fatalf("colour %q: %v", hex, err)
	}
	linear := func(c uint64) float64 {
		v := float64(c&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}
