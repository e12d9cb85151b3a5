package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// racers is how many goroutines meet at one row.
const racers = 100

// start is the now of all tests. It lies in the future so that no server that removes expired rows by its own clock joins in.
func start() time.Time { return time.Date(2100, time.March, 1, 12, 0, 0, 0, time.UTC) }

const (
	tick = time.Millisecond // the resolution of stored times
	day  = 24 * time.Hour
)

func done(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

// must returns a function that returns v, or ends the test where the call failed: must(s.Get(ctx, id))(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		done(t, err)
		return v
	}
}

// fails wants an error of a kind and, unless it is "", a code.
func fails(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if !fault.Is(err, kind) || code != "" && fault.CodeOf(err) != code {
		t.Fatalf("got error %v (%v), want %v %q", err, fault.KindOf(err), kind, code)
	}
}

// refused is fails for a method that also returns a value: refused(s.Get(ctx, id))(t, kind, code).
func refused[T any](_ T, err error) func(testing.TB, fault.Kind, string) {
	return func(t testing.TB, kind fault.Kind, code string) {
		t.Helper()
		fails(t, err, kind, code)
	}
}

// same compares what was stored with what is read. An empty list and none are one, unless a test says otherwise.
func same[T any](t testing.TB, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("stored value differs (-want +got):\n%s", diff)
	}
}

// race starts n goroutines behind one barrier and returns their errors.
func race(n int, act func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var ready, ended sync.WaitGroup
	ready.Add(n)
	for i := range n {
		ended.Go(func() {
			ready.Done()
			<-gate
			errs[i] = act(i)
		})
	}
	ready.Wait()
	close(gate)
	ended.Wait()
	return errs
}

// oneWins wants exactly one nil among errs, all others of the kind and code, and returns the winner.
func oneWins(t testing.TB, errs []error, kind fault.Kind, code string) int {
	t.Helper()
	winner, wins := -1, 0
	for i, err := range errs {
		if err == nil {
			winner = i
			wins++
			continue
		}
		fails(t, err, kind, code)
	}
	if wins != 1 {
		t.Fatalf("%d of %d callers won, want exactly 1", wins, len(errs))
	}
	return winner
}

func allDone(t testing.TB, errs []error) {
	t.Helper()
	for _, err := range errs {
		done(t, err)
	}
}

// filled returns a T in which every exported field holds something of its own, so that a field which a driver forgets is missed.
func filled[T any](seed string) T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), seed, &n)
	return v
}

func fill(v reflect.Value, path string, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(start().Add(time.Duration(*n) * 1001 * time.Millisecond)))
		return
	case json.RawMessage:
		v.Set(reflect.ValueOf(json.RawMessage(`{ "userinfo" : {"é<&>": null} }`)))
		return
	case map[string]any, rbac.Unasked: // of an Identity, which are never stored
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s é漢🔑 #%d", path, *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(*n) + 1<<40)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), path+"/"+v.Type().Field(i).Name, n)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{0, 1, 0xfe, 0xff, byte(*n)})
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), fmt.Sprintf("%s[%d]", path, i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"address": path + " 漢", "reason": ""}))
	default:
		panic("storetest: no value for a field of type " + v.Type().String())
	}
}

// cancelled returns a context that has ended.
func cancelled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
