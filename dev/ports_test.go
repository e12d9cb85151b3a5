package dev_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"example.com/broker/dev"
)

func TestParseListen(t *testing.T) {
	tests := []struct {
		value, host string
		port        int
		beyond      bool // refused because others could reach it
		wrong       string
	}{
		{value: "127.0.0.1:8080", host: "127.0.0.1", port: 8080},
		{value: "localhost:0", host: "localhost"},
		{value: "[::1]:65535", host: "::1", port: 65535},
		{value: "127.0.0.2:1", host: "127.0.0.2", port: 1},
		{value: ":8080", beyond: true},
		{value: "0.0.0.0:8080", beyond: true},
		{value: "[::]:8080", beyond: true},
		{value: "192.168.1.5:8080", beyond: true},
		{value: "example.com:8080", beyond: true},
		{value: "[fe80::1%eth0]:8080", beyond: true},
		{value: "127.0.0.1", wrong: "an address and a port"},
		{value: "", wrong: "an address and a port"},
		{value: "127.0.0.1:", wrong: "the port"},
		{value: "127.0.0.1:http", wrong: "the port"},
		{value: "127.0.0.1:65536", wrong: "the port"},
		{value: "127.0.0.1:-1", wrong: "the port"},
	}
	for _, test := range tests {
		t.Run(test.value, func(t *testing.T) {
			host, port, err := dev.ParseListen("--listen", test.value)
			if host != test.host || port != test.port {
				t.Errorf("got %q %d, want %q %d", host, port, test.host, test.port)
			}
			if errors.Is(err, dev.ErrBeyondLoopback) != test.beyond || (err != nil) != (test.beyond || test.wrong != "") {
				t.Fatalf("error %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), "--listen") || !strings.Contains(err.Error(), strconv.Quote(test.value)) || !strings.Contains(err.Error(), test.wrong)) {
				t.Errorf("error %q: want it to name the flag, %q and %q", err, test.value, test.wrong)
			}
		})
	}
}

func listen(t *testing.T, f *dev.Folder, wishes ...dev.Wish) map[string]dev.Listening {
	t.Helper()
	got, err := f.Listen(t.Context(), wishes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range got {
			l.Close()
		}
	})
	return got
}

// busy takes a port.
func busy(t *testing.T) int {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// free is a port that nobody had a moment ago.
func free(t *testing.T) int {
	got := listen(t, open(t, t.TempDir()), dev.Wish{Name: "free", Host: "localhost"})["free"]
	got.Close()
	return got.Port
}

func TestListen(t *testing.T) {
	t.Run("a port once chosen is kept", func(t *testing.T) {
		dir := t.TempDir()
		f := open(t, dir)
		first := listen(t, f, dev.Wish{Name: "broker", Host: "127.0.0.1"})["broker"]
		if err := f.Remember(map[string]int{"broker": first.Port}); err != nil {
			t.Fatal(err)
		}
		first.Close()
		second := listen(t, open(t, dir), dev.Wish{Name: "broker", Host: "127.0.0.1", Default: 1})["broker"]
		if second.Port != first.Port || second.Notice != "" {
			t.Errorf("port %d (%q), want %d again", second.Port, second.Notice, first.Port)
		}
	})
	t.Run("a remembered port that is taken makes way, and that is said", func(t *testing.T) {
		f, taken := open(t, t.TempDir()), busy(t)
		if err := f.Remember(map[string]int{"broker": taken}); err != nil {
			t.Fatal(err)
		}
		got := listen(t, f, dev.Wish{Name: "broker", Host: "127.0.0.1"})["broker"]
		if got.Port == taken || !strings.Contains(got.Notice, strconv.Itoa(taken)) || !strings.Contains(got.Notice, strconv.Itoa(got.Port)) {
			t.Errorf("port %d, notice %q", got.Port, got.Notice)
		}
	})
	t.Run("the default where nothing is remembered", func(t *testing.T) {
		want := free(t)
		if got := listen(t, open(t, t.TempDir()), dev.Wish{Name: "demo", Host: "127.0.0.1", Default: want})["demo"]; got.Port != want {
			t.Errorf("port %d, want %d", got.Port, want)
		}
	})
	t.Run("a certain port that is taken is an error that names the flag, and leaves nothing open", func(t *testing.T) {
		f, taken, other := open(t, t.TempDir()), busy(t), free(t)
		_, err := f.Listen(t.Context(), dev.Wish{Name: "a", Host: "127.0.0.1", Port: other}, dev.Wish{Name: "b", Flag: "--demo-listen 127.0.0.1:" + strconv.Itoa(taken), Host: "127.0.0.1", Port: taken})
		if err == nil || !strings.Contains(err.Error(), "--demo-listen 127.0.0.1:"+strconv.Itoa(taken)) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("error %v", err)
		}
		listen(t, f, dev.Wish{Name: "a", Host: "127.0.0.1", Port: other})
	})
	t.Run("certain ports come first, in whatever order they are asked for", func(t *testing.T) {
		port := free(t)
		got := listen(t, open(t, t.TempDir()), dev.Wish{Name: "any", Host: "127.0.0.1", Default: port}, dev.Wish{Name: "certain", Host: "127.0.0.1", Port: port})
		if got["certain"].Port != port || got["any"].Port == port {
			t.Errorf("ports %d and %d, want %d for the certain one", got["certain"].Port, got["any"].Port, port)
		}
	})
	t.Run("localhost is every loopback address, on one port", func(t *testing.T) {
		got := listen(t, open(t, t.TempDir()), dev.Wish{Name: "broker", Host: "localhost"})["broker"]
		for _, l := range got.Listeners {
			if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port != got.Port {
				t.Errorf("listens on %s, want loopback and port %d", a, got.Port)
			}
		}
	})
}

func TestOnlyLocal(t *testing.T) {
	h := dev.OnlyLocal(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "LOCALHOST:1": 200, "127.0.0.1:8081": 200, "[::1]:8082": 200, "[::1]": 200,
		"example.com": 421, "evil.example:8080": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:80": 421, "0.0.0.0:8080": 421,
		"192.168.1.5:8080": 421, "localhost@evil.example": 421, "": 421,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}
