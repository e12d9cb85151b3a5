package pages

import (
	"html/template"
	"net/url"
	"time"
)

// Sessions shows a person where they are signed in. Each session but the one that asks has a form that posts to /sessions/<id>/end, that
// one a form to /logout, and all others together one to /sessions/end-others.
//
// Elements: notice, tab-profile, tab-sessions, tab-keys, sessions, end-others (form) with end-others-submit, confirm (dialog).
type Sessions struct {
	// List begins with the session that asks.
	List []Session
	// More says that there are older ones, which are not listed.
	More bool
	// AccessLife is the longest life of an access token: for so long an app that follows no revocations goes on.
	AccessLife time.Duration
	Notice     *Notice
}

// Session is one browser's sign-in.
type Session struct {
	ID        string
	Current   bool
	UserAgent string
	Address   string // of the sign-in; "" if unknown
	// Way is the name of the provider, "" for the password; Kind as in Provider.
	Way, Kind string
	// SignedIn and LastActive are times; Later says that it may have been active after LastActive, and Until when it ends however it is used.
	SignedIn, LastActive, Until time.Time
	Later                       bool
}

// Traits keeps the page on this site.
func (Sessions) Traits() Traits { return Traits{} }

type sessionsBody struct {
	Tabs      []tab
	Notice    *message
	List      []sessionRow
	Others    int
	More      bool
	EndOthers template.URL
	Access    string
}

type sessionRow struct {
	Device, Address, Way, Kind  string
	Current, Later              bool
	SignedIn, LastActive, Until *moment
	End                         template.URL
	Label                       string
}

func (p Sessions) screen(r *Renderer) screen {
	b := sessionsBody{
		Tabs: r.tabs("/sessions"), Notice: r.message(p.Notice), More: p.More, EndOthers: r.own("/sessions/end-others"),
		Access: Facts{RetryAfter: p.AccessLife}.wait(),
	}
	for _, s := range p.List {
		row := sessionRow{
			Device: device(s.UserAgent), Address: s.Address, Way: orElse(s.Way, "a password"), Kind: kind(s.Kind), Current: s.Current, Later: s.Later,
			SignedIn: newMoment(s.SignedIn), LastActive: newMoment(s.LastActive), Until: newMoment(s.Until),
			End: r.own("/sessions/" + url.PathEscape(s.ID) + "/end"),
		}
		if s.Way == "" {
			row.Kind = "password"
		}
		if s.Current {
			row.End = r.own("/logout")
		} else {
			b.Others++
		}
		b.List = append(b.List, row)
	}
	tellApart(b.List)
	return screen{template: "sessions", title: "Sessions", wide: true, styles: []string{"account.css"}, scripts: []string{"submit.js", "time.js", "confirm.js"}, body: b}
}

// tellApart makes the labels of rows whose devices look alike tell them apart.
func tellApart(rows []sessionRow) {
	alike := map[string]int{}
	for _, row := range rows {
		alike[row.Device]++
	}
	for i, row := range rows {
		rows[i].Label = row.Device
		if alike[row.Device] > 1 && row.SignedIn != nil {
			rows[i].Label += ", signed in " + row.SignedIn.Human
		}
	}
}
