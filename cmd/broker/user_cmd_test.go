package main

import (
	"testing"
	"time"
)

// A day that is named is the last one that has the role.
func TestTheEndOfARoleIsADayOrATime(t *testing.T) {
	for text, want := range map[string]string{
		"2027-01-31":                "2027-02-01T00:00:00Z",
		"2028-02-28":                "2028-02-29T00:00:00Z",
		"2027-01-31T12:00:00Z":      "2027-01-31T12:00:00Z",
		"2027-01-31T12:00:00+02:00": "2027-01-31T10:00:00Z",
		"31.1.2027":                 "", "tomorrow": "", "2027-02-30": "", "2027-01-31 12:00": "",
	} {
		got, err := endOf(text)
		if (err == nil) != (want != "") || err == nil && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: got %s, %v, want %q", text, got, err, want)
		}
	}
}
