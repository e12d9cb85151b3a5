package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Wish is what is asked for one listener.
type Wish struct {
	Name string // under which its port is remembered
	Flag string // by which it was asked for, such as --listen 127.0.0.1:8080; "" if there is none
	Host string // 127.0.0.1, ::1 or localhost, which is both; "" for all addresses
	Port int    // 0 for any: the remembered one, Default, or else a free one
	// Default is tried where nothing is remembered; 0 for none.
	Default int
}

// Listening is a wish come true: one port on every address of the host.
type Listening struct {
	Wish
	Port      int
	Listeners []net.Listener
	// Notice says for people that the port is not the one they may expect; "" if it is.
	Notice string
}

// ErrBeyondLoopback is what [ParseListen] returns, wrapped, for an address that others could reach.
var ErrBeyondLoopback = errors.New("dev listens on loopback only, because its passwords and people are for everybody who reaches it: " +
	"use 127.0.0.1, [::1] or localhost, and `broker serve` for others")

// ParseListen splits the value of a flag such as 127.0.0.1:8080, or [::1]:0.
func ParseListen(flag, value string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(value)
	if err != nil {
		return "", 0, fmt.Errorf("%s %q: give an address and a port such as 127.0.0.1:8080", flag, value)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%s %q: the port must be a number from 0 to 65535", flag, value)
	}
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback() || addr.Zone() != "") {
		return "", 0, fmt.Errorf("%s %q: %w", flag, value, ErrBeyondLoopback)
	}
	return host, int(number), nil
}

// Listen makes wishes come true, those for a certain port first. Its error names the address and the flag of the wish that could not
// be; nothing is open then.
func (f *Folder) Listen(ctx context.Context, wishes ...Wish) (map[string]Listening, error) {
	order := slices.Clone(wishes)
	slices.SortStableFunc(order, func(a, b Wish) int { return certain(b) - certain(a) })
	open := map[string]Listening{}
	for _, w := range order {
		l, err := f.listen(ctx, w)
		if err != nil {
			for _, o := range open {
				o.Close()
			}
			return nil, err
		}
		open[w.Name] = l
	}
	return open, nil
}

func certain(w Wish) int { return min(w.Port, 1) }

// Close closes the listeners.
func (l Listening) Close() {
	for _, on := range l.Listeners {
		_ = on.Close()
	}
}

func (f *Folder) listen(ctx context.Context, w Wish) (Listening, error) {
	if w.Port != 0 {
		all, port, err := listenOn(ctx, w.Host, w.Port)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%s: the port is in use by another program; stop that one or choose another port, 0 for a free one", w.name())
		}
		return Listening{Wish: w, Port: port, Listeners: all}, err
	}
	var busy []string
	for _, try := range w.candidates(f.state.Ports[w.Name]) {
		all, port, err := listenOn(ctx, w.Host, try)
		if err == nil {
			l := Listening{Wish: w, Port: port, Listeners: all}
			if len(busy) > 0 {
				l.Notice = fmt.Sprintf("port %s is in use by another program: the %s has port %d now", strings.Join(busy, " and "), w.Name, port)
			}
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return Listening{}, fmt.Errorf("%s: %w", w.name(), err)
		}
		busy = append(busy, strconv.Itoa(try))
	}
	return Listening{}, fmt.Errorf("%s: no free port was found", w.name())
}

// candidates are the ports to try for a wish without one, the remembered one first.
func (w Wish) candidates(remembered int) []int {
	switch {
	case remembered != 0:
		return []int{remembered, 0}
	case w.Default != 0:
		return []int{w.Default, 0}
	}
	return []int{0}
}

func (w Wish) name() string {
	if w.Flag == "" {
		return "port for the " + w.Name
	}
	return w.Flag
}

// anyPortTries bounds how often a free port of one address may turn out to be taken on the next one.
const anyPortTries = 20

// listenOn opens one port on every address of host, any free one for 0.
func listenOn(ctx context.Context, host string, port int) ([]net.Listener, int, error) {
	addresses := []string{host}
	if host == "localhost" {
		addresses = []string{"127.0.0.1", "::1"}
	}
	for try := 1; ; try++ {
		all, got, err := listenAll(ctx, addresses, port)
		if port == 0 && errors.Is(err, syscall.EADDRINUSE) && try < anyPortTries {
			continue
		}
		return all, got, err
	}
}

func listenAll(ctx context.Context, addresses []string, port int) ([]net.Listener, int, error) {
	var (
		config net.ListenConfig
		all    []net.Listener
	)
	for i, a := range addresses {
		l, err := config.Listen(ctx, "tcp", net.JoinHostPort(a, strconv.Itoa(port)))
		switch {
		case err == nil:
			all = append(all, l)
			port = l.Addr().(*net.TCPAddr).Port
		case i > 0 && !errors.Is(err, syscall.EADDRINUSE):
			// The machine has no IPv6.
		default:
			Listening{Listeners: all}.Close()
			return nil, 0, err
		}
	}
	return all, port, nil
}
