package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// FileName is the configuration file that is read from the working directory unless another is named.
const FileName = "broker.yaml"

// delim separates the keys of a path inside koanf. An id may hold dots, so it is a character that no key has.
const delim = "\x1f"

// maxFile bounds a configuration file and a file that holds a value, in bytes.
const maxFile = 1 << 20

// LoadOptions say what to read.
type LoadOptions struct {
	// File is the YAML file, "" for none.
	File string
	// Flags are values of the command line by key, such as listen or ops.listen.
	Flags map[string]string
	// Environ holds the environment as os.Environ does.
	Environ []string
	// Dev allows what only `broker dev` may have.
	Dev bool
}

// FindFile returns the file to read: the one named, otherwise broker.yaml if the working directory has one, otherwise "".
func FindFile(named string) string {
	if named != "" {
		return named
	}
	if _, err := os.Stat(FileName); err == nil {
		return FileName
	}
	return ""
}

// Load reads the configuration: flags over environment over file over defaults. It returns everything that cannot be read (unknown
// keys, wrong types, missing files); what the values mean is judged by Validate. The Config holds what could be read.
func Load(o LoadOptions) (Config, Sources, []Problem) {
	l := &loader{at: Sources{file: o.File, places: map[string]place{}}}
	k := koanf.New(delim)
	l.load(k, l.readFile(o.File))
	l.load(k, l.readEnviron(o.Environ, k))
	l.load(k, l.readFlags(o.Flags))
	c := Default()
	// The layers hold values of the right types only, so that an error here is one of this package.
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{TagName: "koanf", ZeroFields: true, ErrorUnused: true}})
	if err != nil {
		l.add(Problem{Text: fmt.Sprintf("cannot be put together: %v", err)})
	}
	return c, l.at, l.problems
}

// Check is Load and Validate, and returns the problems of both with their positions.
func Check(o LoadOptions) (Config, Sources, []Problem) {
	c, at, loaded := Load(o)
	if slices.ContainsFunc(loaded, func(p Problem) bool { return p.stands == everything }) {
		return c, at, loaded
	}
	return c, at, at.Join(loaded, Validate(c, o.Dev))
}

// everything as the key that a problem stands for: nothing of the file was read.
const everything = "*"

type loader struct {
	at       Sources
	problems []Problem
}

func (l *loader) add(p Problem) { l.problems = append(l.problems, p) }

func (l *loader) load(k *koanf.Koanf, layer map[string]any) {
	if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
		l.add(Problem{Text: fmt.Sprintf("cannot be merged: %v", err)})
	}
}

// put sets the value at a path of keys.
func put(layer map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		next, ok := layer[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			layer[key] = next
		}
		layer = next
	}
	layer[path[len(path)-1]] = value
}

// valueFile reads the value that a file holds, without the newline at its end.
func valueFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("names no file")
	}
	f, err := os.Open(path) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return "", fmt.Errorf("%q cannot be read: %s", path, reason(err))
	}
	defer f.Close() //nolint:errcheck // it was only read
	b := make([]byte, maxFile+1)
	n := 0
	for n < len(b) {
		m, err := f.Read(b[n:])
		if n += m; err != nil {
			break
		}
	}
	if n > maxFile {
		return "", fmt.Errorf("%q has more than %d bytes", path, maxFile)
	}
	return strings.TrimRight(string(b[:n]), "\r\n"), nil
}

// reason is what the system says about a file, without the path.
func reason(err error) string {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err.Error()
	}
	return err.Error()
}
