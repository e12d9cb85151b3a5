package pages

import "strings"

// marks are words of a User-Agent and what they stand for. The first that fits counts: most browsers name the ones they descend from too.
type marks []struct{ word, name string }

// device names a browser and its system from a User-Agent header, for people to tell their devices apart by. It is a guess: anybody may
// send anything.
func device(userAgent string) string {
	browsers := marks{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
		{"python", "Python"},
		{"Go-http-client/", "A Go program"},
		{"node", "A Node.js program"},
	}
	systems := marks{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"Windows", "Windows"},
		{"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	}
	browser, system := browsers.in(userAgent), systems.in(userAgent)
	switch {
	case browser == "" && system == "":
		return "Unknown device"
	case browser == "":
		return "Unknown browser on " + system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

func (m marks) in(text string) string {
	for _, mark := range m {
		if strings.Contains(text, mark.word) {
			return mark.name
		}
	}
	return ""
}
