package mongotest

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a broker and the server and fails on command: late, silent, cut, or with the answer lost. A new one
// passes everything on. All methods are safe for concurrent use and act on open connections too.
type Proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever the mode changes
	mode    mode
	delay   time.Duration
	open    map[*net.TCPConn]struct{}
	closed  bool
	running sync.WaitGroup
}

type mode int

const (
	passing mode = iota
	silent
	cut
	losing
)

// NewProxy listens on loopback in front of target, a HOST:PORT, until the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the test's cleanup
	if err != nil {
		tb.Fatalf("listen for the proxy: %v", err)
	}
	p := &Proxy{listener: listener, target: target, changed: make(chan struct{}), open: map[*net.TCPConn]struct{}{}}
	p.running.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// ServerProxy puts a proxy in front of the test server: of its first host, if the address names several.
func ServerProxy(tb testing.TB) *Proxy {
	tb.Helper()
	return NewProxy(tb, firstHost(URI(tb)))
}

// Addr is the HOST:PORT where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URI is a server's address with this proxy in the place of its hosts. A driver must not learn the hosts' own names, so
// it is told to talk to this one directly.
func (p *Proxy) URI(server string) string { return throughHost(server, p.Addr()) }

// Pass ends every disturbance: what was held back by Silence is passed on.
func (p *Proxy) Pass() { p.set(passing, 0) }

// Delay passes everything on, each piece by d later in both directions.
func (p *Proxy) Delay(d time.Duration) { p.set(passing, d) }

// Silence keeps connections open, accepts new ones, and passes nothing on: a host that vanished.
func (p *Proxy) Silence() { p.set(silent, 0) }

// Cut resets every connection, and each new one as soon as it is made, until Pass.
func (p *Proxy) Cut() {
	p.set(cut, 0)
	p.Reset()
}

// LoseAnswers passes requests on and resets the connection when the answer arrives: the server has done the work, and the
// broker cannot know.
func (p *Proxy) LoseAnswers() { p.set(losing, 0) }

// Reset breaks the connections that are open now, once; new ones are served as before.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetAll()
}

func (p *Proxy) resetAll() {
	for conn := range p.open {
		_ = conn.SetLinger(0) // close with RST instead of FIN
		_ = conn.Close()
	}
}

func (p *Proxy) set(m mode, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode, p.delay = m, delay
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mode = cut
	close(p.changed)
	p.changed = make(chan struct{})
	_ = p.listener.Close()
	p.resetAll()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

// serve connects the two sides until one of them ends.
func (p *Proxy) serve(client *net.TCPConn) {
	if !p.track(client) {
		return
	}
	defer p.untrack(client)
	conn, err := net.DialTimeout("tcp", p.target, 5*time.Second) //nolint:noctx // bounded by its timeout
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	if !p.track(server) {
		return
	}
	defer p.untrack(server)

	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client, false) })
	both.Go(func() { p.copy(client, server, true) })
	both.Wait()
}

// track remembers a connection so that Reset finds it; it refuses, and resets, one that comes while the line is cut.
func (p *Proxy) track(conn *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.mode == cut {
		_ = conn.SetLinger(0)
		_ = conn.Close()
		return false
	}
	p.open[conn] = struct{}{}
	return true
}

func (p *Proxy) untrack(conn *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
	_ = conn.Close()
}

// copy moves bytes one way as the mode of the moment says, and ends both connections when one side is done.
func (p *Proxy) copy(to, from *net.TCPConn, answers bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.forward(to, buffer[:n], answers) {
			return
		}
		if err != nil {
			return
		}
	}
}

// forward passes one piece on, or holds it until that is allowed again. It is false once the connection is over.
func (p *Proxy) forward(to *net.TCPConn, piece []byte, answer bool) bool {
	for {
		p.mu.Lock()
		mode, delay, changed := p.mode, p.delay, p.changed
		p.mu.Unlock()
		switch {
		case mode == silent:
			<-changed
			continue
		case mode == cut:
			return false
		case mode == losing && answer:
			_ = to.SetLinger(0)
			return false
		}
		time.Sleep(delay)
		_, err := to.Write(piece)
		return err == nil
	}
}

func firstHost(uri string) string {
	_, _, hosts, _, _ := uriParts(uri)
	host, _, _ := strings.Cut(hosts, ",")
	if _, _, err := net.SplitHostPort(host); err != nil {
		return net.JoinHostPort(host, "27017")
	}
	return host
}

// throughHost puts one host in the place of an address's hosts. replicaSet and loadBalanced contradict a direct connection.
func throughHost(uri, host string) string {
	_, user, _, database, query := uriParts(uri)
	kept := "directConnection=true"
	for option := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(option, "=")
		switch strings.ToLower(name) {
		case "", "directconnection", "replicaset", "loadbalanced":
		default:
			kept += "&" + option
		}
	}
	return "mongodb://" + user + host + "/" + database + "?" + kept
}
