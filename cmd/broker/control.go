package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/broker/audit"
	"example.com/broker/config"
	"example.com/broker/internal/fault"
)

// control carries out verbs on a broker: on the one that runs, through its socket, or on its store where none runs. What a verb does
// is written once, in verbs.
type control interface {
	// call runs a verb with in and fills out. The error is the verb's own.
	call(ctx context.Context, verb string, in, out any) error
	close(ctx context.Context) error
}

// ask calls a verb and returns what it answers.
func ask[Out any](ctx context.Context, c control, verb string, in any) (Out, error) {
	var out Out
	err := c.call(ctx, verb, in, &out)
	return out, err
}

// act is what a verb does, between JSON and JSON.
type act func(ctx context.Context, p *program, in json.RawMessage) (any, error)

func actOf[In, Out any](do func(context.Context, *program, In) (Out, error)) act {
	return func(ctx context.Context, p *program, raw json.RawMessage) (any, error) {
		var in In
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "control_invalid", "The broker that runs does not understand this command: it is of another version than %s.", version)
		}
		return do(ctx, p, in)
	}
}

// direct is control over a program of this very process.
type direct struct{ p *program }

func (d direct) call(ctx context.Context, verb string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	answer, err := carryOut(ctx, d.p, verb, raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// close writes what the audit log holds, and closes the store.
func (d direct) close(ctx context.Context) error { return d.p.run(ctx) }

func carryOut(ctx context.Context, p *program, verb string, in json.RawMessage) (json.RawMessage, error) {
	do, ok := verbs[verb]
	if !ok {
		return nil, fault.New(fault.NotFound, "control_unknown", "The broker that runs (%s) does not know the command %s.", version, verb)
	}
	out, err := do(audit.WithActor(ctx, commandLine, ""), p, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

const (
	controlFile    = "control.sock"
	controlType    = "application/json"
	controlTimeout = time.Minute
	maxControl     = 10 << 20 // bytes of a request: a policy set and its quotes
	// maxSocketPath is what fits into the address of a Unix socket everywhere (104 on macOS, 108 on Linux, with a zero at the end).
	maxSocketPath = 100
)

// refusal is an error of a verb on the socket.
type refusal struct {
	Kind    string `json:"kind"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Cause   string `json:"cause,omitempty"` // whoever reads the socket may read the log
}

func refuse(err error) refusal {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return refusal{Message: err.Error()}
	}
	r := refusal{Kind: f.Kind.String(), Code: f.Code, Message: f.Message}
	if f.Cause != nil {
		r.Cause = f.Cause.Error()
	}
	return r
}

func (r refusal) err() error {
	if r.Kind == "" {
		return errors.New(r.Message)
	}
	f := &fault.Error{Code: r.Code, Message: r.Message}
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		if k.String() == r.Kind {
			f.Kind = k
		}
	}
	if r.Cause != "" {
		f.Cause = errors.New(r.Cause)
	}
	return f
}

// control serves the verbs: POST /<verb>, JSON in and out, 422 with a refusal. Who may connect is decided by the mode of the socket.
func (p *program) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answerControl(w, http.StatusOK, map[string]string{"version": version})
	})
	mux.HandleFunc("POST /{verb}", func(w http.ResponseWriter, r *http.Request) {
		in, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
		if err != nil {
			answerControl(w, http.StatusUnprocessableEntity, refuse(err))
			return
		}
		out, err := carryOut(r.Context(), p, r.PathValue("verb"), in)
		if err != nil {
			answerControl(w, http.StatusUnprocessableEntity, refuse(err))
			return
		}
		answerControl(w, http.StatusOK, out)
	})
	return mux
}

func answerControl(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", controlType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker may be gone
}

// remote is control over a running broker.
type remote struct{ client *http.Client }

// errNoBroker says that nobody listens on a control socket.
var errNoBroker = errors.New("no broker runs there")

// dialControl reaches the broker whose socket is at path: errNoBroker if there is none.
func dialControl(ctx context.Context, path string) (*remote, error) {
	socket, err := socketAt(path)
	if err != nil {
		return nil, err
	}
	r := &remote{&http.Client{Timeout: controlTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	var hello struct{ Version string }
	switch err := r.do(ctx, http.MethodGet, "", nil, &hello); {
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist):
		return nil, errNoBroker
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the broker's socket %s belongs to another user: run this command as the user who runs the broker", path)
	case err != nil:
		return nil, fmt.Errorf("the broker that listens on %s does not answer: %w", path, err)
	}
	return r, nil
}

// socketAt returns the socket that is, or is named by the file, at path.
func socketAt(path string) (string, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errNoBroker
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return path, nil
	}
	b, err := os.ReadFile(path) //nolint:gosec // beside the store, which the operator names
	return strings.TrimSpace(string(b)), err
}

func (r *remote) call(ctx context.Context, verb string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return r.do(ctx, http.MethodPost, verb, raw, out)
}

func (r *remote) do(ctx context.Context, method, verb string, in []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://broker/"+verb, bytes.NewReader(in))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", controlType)
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode != http.StatusOK {
		var no refusal
		if err := json.NewDecoder(resp.Body).Decode(&no); err != nil {
			return fmt.Errorf("the broker answered %s", resp.Status)
		}
		return no.err()
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (r *remote) close(context.Context) error {
	r.client.CloseIdleConnections()
	return nil
}

// socketOf is the place of the control socket for a store: the folder of the SQLite file, "" for MongoDB, where verbs open the store.
func socketOf(s config.Store) string {
	if s.Mongo.URI != "" {
		return ""
	}
	return socketIn(filepath.Dir(s.SQLite.Path))
}

// socketIn is the place of the control socket of a data folder.
func socketIn(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Join(dir, controlFile)
}

// listenControl listens on the control socket at path, for this user alone. What an ended broker left there is replaced. Where the
// path is too long for a socket, the socket is in a folder of its own below the system's temporary one, and a file at path names it: a
// name that can be guessed would let others be there first.
func (p *program) listenControl(ctx context.Context, path string) (listening, error) {
	// The store's lock keeps a second broker out; what can be here is one with another store in the same folder.
	switch r, err := dialControl(ctx, path); {
	case err == nil:
		_ = r.close(ctx)
		return listening{}, fmt.Errorf("another broker listens on %s: give each SQLite file a folder of its own", path)
	case !errors.Is(err, errNoBroker):
		return listening{}, err
	}
	clearControl(path)
	l, err := bindControl(ctx, path)
	if err != nil {
		return listening{}, fmt.Errorf("listen on the control socket: %w", err)
	}
	return listening{l, p.control()}, nil
}

// clearControl removes what an ended broker left.
func clearControl(path string) {
	if socket, err := socketAt(path); err == nil && socket != path && strings.HasPrefix(filepath.Base(filepath.Dir(socket)), tempPrefix) {
		_ = os.Remove(socket)
		_ = os.Remove(filepath.Dir(socket))
	}
	_ = os.Remove(path)
}

const tempPrefix = "broker-control-"

// controlListener removes its files when it is closed.
type controlListener struct {
	net.Listener
	files []string
	once  sync.Once
}

func (l *controlListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		for _, f := range l.files {
			_ = os.Remove(f)
		}
	})
	return err
}

// bindControl binds in a folder that nobody else may enter, so that the socket never has a wider mode than 0600 under its name.
func bindControl(ctx context.Context, path string) (_ net.Listener, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), "."+tempPrefix)
	if err != nil {
		return nil, err
	}
	long := len(filepath.Join(dir, "s")) > maxSocketPath
	if long {
		_ = os.Remove(dir)
		if dir, err = os.MkdirTemp("", tempPrefix); err != nil {
			return nil, err
		}
	}
	socket := filepath.Join(dir, "s")
	defer func() {
		if err != nil || !long {
			_ = os.Remove(socket)
			_ = os.Remove(dir)
		}
	}()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if long {
		err = os.WriteFile(path, []byte(socket+"\n"), 0o600)
	} else {
		err = os.Rename(socket, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if long {
		return &controlListener{Listener: l, files: []string{path, socket, dir}}, nil
	}
	return &controlListener{Listener: l, files: []string{path}}, nil
}
