// Package ops is what the people who run the broker ask it: is it alive, is it ready, what does it count. It is served on a listener of
// its own, so that none of it reaches the public address.
package ops

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// notReadyAfter is how old the last complete poll of the change stream may be.
const notReadyAfter = 30 * time.Second

// Metrics are the counters of one process. The labels come from fixed sets, so that nobody outside can grow them.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	logins   *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	decided  *prometheus.CounterVec
}

// NewMetrics registers the counters, and those of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_http_requests_total", Help: "Requests by method, route and status."}, []string{"method", "route", "status"}),
		latency:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "broker_http_request_seconds", Help: "Time to answer by route.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"route"}),
		logins:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_login_total", Help: "Sign-ins by provider and result."}, []string{"provider", "result"}),
		tokens:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_token_total", Help: "Answers of the token endpoint by grant type and result."}, []string{"grant", "result"}),
		decided:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_decision_total", Help: "Answers of roles and policies by type of resource and result."}, []string{"kind", "result"}),
	}
	m.registry.MustRegister(m.requests, m.latency, m.logins, m.tokens, m.decided, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts a finished request; an unknown route has the empty pattern.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

// Login counts a sign-in.
func (m *Metrics) Login(provider, result string) { m.logins.WithLabelValues(provider, result).Inc() }

// Token counts an answer of the token endpoint.
func (m *Metrics) Token(grant, result string) { m.tokens.WithLabelValues(grant, result).Inc() }

// Decision counts an answer of roles and policies; kind is one of the types of resources the broker knows.
func (m *Metrics) Decision(kind, result string) { m.decided.WithLabelValues(kind, result).Inc() }

// Deps are what the answers come from. All are required.
type Deps struct {
	Metrics *Metrics
	// AsOf is when the change stream was last read completely.
	AsOf func() time.Time
	// Ping asks the store for a sign of life.
	Ping func(ctx context.Context) error
	Now  func() time.Time
}

// Handler serves /healthz, /readyz and /metrics.
func Handler(d Deps) http.Handler {
	mux := http.NewServeMux()
	// A store that is away is no reason to restart the process, so health does not ask it.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, d) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.Metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

func ready(w http.ResponseWriter, r *http.Request, d Deps) {
	checks := map[string]string{"status": "ready", "changes": "ok"}
	status := http.StatusOK
	if age := d.Now().Sub(d.AsOf()); age > notReadyAfter {
		checks["changes"], checks["status"] = "not read for "+age.Truncate(time.Second).String(), "not ready"
		status = http.StatusServiceUnavailable
	}
	if r.URL.Query().Has("verbose") {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		checks["store"] = "ok"
		if err := d.Ping(ctx); err != nil {
			checks["store"] = "does not answer"
		}
	}
	answer(w, status, checks)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker may be gone
}
