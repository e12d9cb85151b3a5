package tokens_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/tokens"
)

// familyModel says in a few lines what a refresh family must do, and is held against two replicas on one store.
type familyModel struct {
	replicas []*replica
	id       string
	issued   []string // every token ever given out, in order; the last is the current one
	rotated  time.Time
	idle     time.Time
	until    time.Time
	dead     bool
	kills    int
}

// present is the model's answer to the i-th token at now: the token that must come back, "" for a refusal, or any new one.
func (m *familyModel) present(i int, now time.Time) (want string, fresh bool) {
	last := len(m.issued) - 1
	age := now.Sub(m.rotated)
	ended := !now.Before(m.idle) || !now.Before(m.until)
	switch {
	case m.dead:
		return "", false
	case i == last && !ended:
		return "", true
	case i == last-1 && age < tokens.DefaultReuseInterval && age > -2*time.Minute && !ended:
		return m.issued[last], false
	case i < last-1 || (i == last-1 && (age >= tokens.DefaultReuseInterval || age <= -2*time.Minute)):
		m.kills++
	}
	m.dead = true
	return "", false
}

func (m *familyModel) refresh(t *rapid.T, i int) {
	r := rapid.SampledFrom(m.replicas).Draw(t, "replica")
	now := r.now()
	want, fresh := m.present(i, now)
	_, got, err := r.rotate(m.issued[i])
	switch {
	case fresh && err == nil:
		m.issued, m.rotated, m.idle = append(m.issued, got), now, now.Add(tokens.DefaultIdleLife)
	case fresh || (want != "" && err != nil):
		t.Fatalf("token %d of %d is refused: %v", i+1, len(m.issued), err)
	case got != want:
		t.Fatalf("token %d of %d is answered with %q, want %q", i+1, len(m.issued), got, want)
	case want == "":
		wantCode(t, "a refusal", oauth.ErrInvalidGrant, err)
	}
}

func (m *familyModel) wait(t *rapid.T, d time.Duration) {
	m.replicas[0].advance(d)
	for _, r := range m.replicas {
		r.poll(t)
	}
}

func (m *familyModel) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"refresh by the current token": func(t *rapid.T) { m.refresh(t, len(m.issued)-1) },
		"refresh by the predecessor":   func(t *rapid.T) { m.refresh(t, max(0, len(m.issued)-2)) },
		"refresh by any token": func(t *rapid.T) {
			m.refresh(t, rapid.IntRange(0, len(m.issued)-1).Draw(t, "token"))
		},
		"another client": func(t *rapid.T) {
			r := rapid.SampledFrom(m.replicas).Draw(t, "replica")
			token := rapid.SampledFrom(m.issued).Draw(t, "token")
			_, _, err := r.grants.Rotate(context.Background(), tokens.RotateRequest{Token: token, ClientID: "other"})
			wantCode(t, "another client", oauth.ErrInvalidGrant, err)
		},
		"a guessed anchor": func(t *rapid.T) {
			parts := strings.Split(rapid.SampledFrom(m.issued).Draw(t, "token"), ".")
			_, _, err := m.replicas[0].rotate(parts[0] + "." + secret.New(16).Reveal() + "." + parts[2])
			wantCode(t, "a guessed anchor", oauth.ErrInvalidGrant, err)
		},
		"a moment passes": func(t *rapid.T) {
			m.wait(t, time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms"))*time.Millisecond)
		},
		"time passes": func(t *rapid.T) {
			m.wait(t, rapid.SampledFrom([]time.Duration{
				29 * time.Second, 30 * time.Second, time.Hour, 3 * 24 * time.Hour, 7*24*time.Hour - time.Millisecond, 7 * 24 * time.Hour,
			}).Draw(t, "duration"))
		},
		"the clock is set back": func(t *rapid.T) {
			m.wait(t, -rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(t, "duration"))
		},
		"": func(t *rapid.T) {
			g, err := m.replicas[0].store.GetGrant(context.Background(), m.id)
			must(t, err)
			if g.Dead.IsZero() == m.dead {
				t.Fatalf("dead %v, want %v", g.Dead, m.dead)
			}
			current := m.issued[len(m.issued)-1]
			if !secret.Equal(g.Cur, secret.Value(current[strings.LastIndexByte(current, '.')+1:])) {
				t.Fatal("the stored current secret is not that of the token given out last")
			}
			if g.CreatedAt.Add(tokens.DefaultAbsoluteLife) != g.Until {
				t.Fatal("the absolute end has moved")
			}
		},
	}
}

// TestRefreshFamilyModel tries sequences nobody thought of.
func TestRefreshFamilyModel(t *testing.T) {
	i := install(t)
	replicas := []*replica{i.replica(t), i.replica(t)}
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range replicas {
			r.poll(t)
			r.trail.events = nil
		}
		r := replicas[0]
		g, token := r.family(t, r.offline())
		m := &familyModel{replicas: replicas, id: g.ID, issued: []string{token}, idle: g.IdleUntil, until: g.Until}
		t.Repeat(m.actions())
		if got := len(replicas[0].trail.actions()) + len(replicas[1].trail.actions()); got != m.kills {
			t.Fatalf("%d incidents recorded, want %d", got, m.kills)
		}
	})
}
