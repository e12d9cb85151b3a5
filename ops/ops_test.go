package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/ops"
)

// operator asks one process.
type operator struct {
	t       *testing.T
	url     string
	metrics *ops.Metrics
	now     time.Time
	asOf    time.Time
	pings   int
	ping    error
}

func serve(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t, metrics: ops.NewMetrics(), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	o.asOf = o.now
	s := httptest.NewServer(ops.Handler(ops.Deps{
		Metrics: o.metrics, Now: func() time.Time { return o.now }, AsOf: func() time.Time { return o.asOf },
		Ping: func(context.Context) error {
			o.pings++
			return o.ping
		},
	}))
	t.Cleanup(s.Close)
	o.url = s.URL
	return o
}

func (o *operator) get(path string) (int, string) {
	o.t.Helper()
	res, err := http.Get(o.url + path)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if path != "/metrics" && res.StatusCode < 400 && (res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json") {
		o.t.Errorf("%s: headers %v", path, res.Header)
	}
	return res.StatusCode, string(b)
}

func TestHealthAndReadiness(t *testing.T) {
	for _, row := range []struct {
		rule, path string
		age        time.Duration
		ping       error
		status     int
		want       map[string]string
		pings      int
	}{
		{"alive", "/healthz", 0, nil, 200, map[string]string{"status": "ok"}, 0},
		{"alive while the store is away: a restart would not help", "/healthz", time.Hour, errors.New("away"), 200, map[string]string{"status": "ok"}, 0},
		{"ready", "/readyz", 0, nil, 200, map[string]string{"status": "ready", "changes": "ok"}, 0},
		{"ready with a stream that is a little old", "/readyz", 30 * time.Second, nil, 200, map[string]string{"status": "ready", "changes": "ok"}, 0},
		{"not ready without the stream", "/readyz", 31 * time.Second, nil, 503, map[string]string{"status": "not ready", "changes": "not read for 31s"}, 0},
		{"asked in full", "/readyz?verbose", 0, nil, 200, map[string]string{"status": "ready", "changes": "ok", "store": "ok"}, 1},
		{
			"asked in full while the store is away: the stream decides, and the reason stays here", "/readyz?verbose", 0, errors.New("mongodb://user:hunter2@db"), 200,
			map[string]string{"status": "ready", "changes": "ok", "store": "does not answer"},
			1,
		},
	} {
		t.Run(row.rule, func(t *testing.T) {
			o := serve(t)
			o.asOf, o.ping = o.now.Add(-row.age), row.ping
			status, body := o.get(row.path)
			var got map[string]string
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" || status != row.status || o.pings != row.pings {
				t.Errorf("status %d after %d pings, want %d after %d (-want +got):\n%s", status, o.pings, row.status, row.pings, diff)
			}
		})
	}
	o := serve(t)
	o.asOf = time.Time{}
	if status, _ := o.get("/readyz"); status != 503 {
		t.Errorf("before the first poll: status %d, want 503", status)
	}
	for _, path := range []string{"/", "/debug/pprof/", "/healthz/x"} {
		if status, _ := o.get(path); status != 404 {
			t.Errorf("%s: status %d, want 404", path, status)
		}
	}
}

func TestMetrics(t *testing.T) {
	o := serve(t)
	o.metrics.Request("GET", "/callback/:provider", 303, 3*time.Millisecond)
	o.metrics.Request("GET", "/callback/:provider", 303, 3*time.Millisecond)
	o.metrics.Request("OTHER", "", 405, time.Millisecond)
	o.metrics.Login("github", "ok")
	o.metrics.Token("password", "rate_limited")
	_, body := o.get("/metrics")
	for _, line := range []string{
		`broker_http_requests_total{method="GET",route="/callback/:provider",status="303"} 2`,
		`broker_http_requests_total{method="OTHER",route="",status="405"} 1`,
		`broker_http_request_seconds_count{route="/callback/:provider"} 2`,
		`broker_login_total{provider="github",result="ok"} 1`,
		`broker_token_total{grant="password",result="rate_limited"} 1`,
		"go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no %s", line)
		}
	}
	if again := ops.NewMetrics(); again == nil {
		t.Error("a second process in the same program cannot count")
	}
}
