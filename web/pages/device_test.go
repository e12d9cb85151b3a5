package pages_test

import (
	"strings"
	"testing"

	"example.com/broker/web/pages"
)

func TestASessionIsNamedByItsDevice(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{})
	const webKit = "AppleWebKit/537.36 (KHTML, like Gecko)"
	for userAgent, want := range map[string]string{
		linuxFirefox: "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webKit + " Chrome/140.0.0.0 Safari/537.36":                                                    "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webKit + " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":                                      "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                      "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1":    "Safari on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.0.0 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 14; K) " + webKit + " Chrome/140.0.0.0 Mobile Safari/537.36":                                                    "Chrome on Android",
		"Mozilla/5.0 (Linux; Android 14; K) " + webKit + " SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36":                                "Samsung Internet on Android",
		"curl/8.5.0": "curl",
		"Mozilla/5.0 (X11; Linux x86_64) something else": "Unknown browser on Linux",
		"":         "Unknown device",
		"<b>x</b>": "Unknown device",
	} {
		source := render(t, r, pages.Sessions{List: []pages.Session{{ID: "s", UserAgent: userAgent}}})
		if got := content(byID(t, source, "sessions")); !strings.HasPrefix(got, want) || strings.HasPrefix(got, want+" on") {
			t.Errorf("%q is shown as %.60q, want %q", userAgent, got, want)
		}
	}
}
