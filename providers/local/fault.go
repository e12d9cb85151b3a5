package local

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// The functions below are faults for SetFault: what an upstream or the network
// before it may do to a client that trusts it too much.

// Hang reads the request and answers nothing until the caller gives up.
func Hang(_ http.ResponseWriter, r *http.Request) {
	// The server notices a caller that left only once the body is read.
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// Reset breaks the connection off without an answer.
func Reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 cannot hijack; this resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Answer gives one fixed answer.
func Answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Redirect sends the caller elsewhere with 307, which asks it to repeat its
// body, and so its client secret, there.
func Redirect(target string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// Flood answers 200 with a JSON string of size bytes.
func Flood(size int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.FormatInt(size+2, 10))
		writeFlood(w, size)
	}
}

// GzipBomb answers 200 with a JSON string of size bytes which is about a
// thousandth of that on the wire.
func GzipBomb(size int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		writeFlood(packed, size)
		_ = packed.Close()
	}
}

func writeFlood(w io.Writer, size int64) {
	chunk := strings.Repeat("a", 32<<10)
	if _, err := io.WriteString(w, `"`); err != nil {
		return
	}
	for size > 0 {
		n := min(size, int64(len(chunk)))
		if _, err := io.WriteString(w, chunk[:n]); err != nil {
			return // the caller has had enough, as it should
		}
		size -= n
	}
	_, _ = io.WriteString(w, `"`)
}
