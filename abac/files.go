package abac

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed defaults
var defaults embed.FS

// The files of a folder that holds one application. Every other file that ends in .cedar is a policy, named without that ending.
const (
	SchemaFile   = "schema.cedarschema"
	EntitiesFile = "entities.json"
	policyEnding = ".cedar"
)

// Defaults are the sets that come with the program, by application.
func Defaults() map[string]Set {
	sets, err := ReadAll(defaults, "defaults")
	if err != nil {
		panic(fmt.Sprintf("read the embedded policies: %v", err)) // a test reads them
	}
	return sets
}

// ReadAll reads a folder that holds a folder per application. The error joins what is wrong with each; the sets are those that could be
// read.
func ReadAll(files fs.FS, dir string) (map[string]Set, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}
	sets := map[string]Set{}
	var problems []error
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		set, err := Read(files, path.Join(dir, entry.Name()), entry.Name())
		if err != nil {
			problems = append(problems, err)
			continue
		}
		sets[entry.Name()] = set
	}
	return sets, errors.Join(problems...)
}

// Read reads the folder of one application. It checks nothing but sizes; Compile does.
func Read(files fs.FS, dir, app string) (Set, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return Set{}, err
	}
	s := Set{App: app}
	found := false
	for _, entry := range entries {
		name := entry.Name()
		policy, isPolicy := strings.CutSuffix(name, policyEnding)
		if entry.IsDir() || !isPolicy && name != SchemaFile && name != EntitiesFile {
			continue
		}
		found = true
		if info, err := entry.Info(); err != nil || info.Size() > MaxSetText {
			return Set{}, errors.Join(err, fmt.Errorf("%s: larger than %d bytes, or not there any more", path.Join(dir, name), MaxSetText))
		}
		text, err := fs.ReadFile(files, path.Join(dir, name))
		if err != nil {
			return Set{}, err
		}
		switch {
		case isPolicy:
			s.Policies = append(s.Policies, Policy{ID: policy, Text: string(text)})
		case name == SchemaFile:
			s.Schema = string(text)
		default:
			s.Entities = string(text)
		}
	}
	if !found {
		err := fmt.Errorf("there is no *%s and no %s", policyEnding, SchemaFile)
		if dir != "." {
			err = fmt.Errorf("%s: %w", dir, err)
		}
		return Set{}, err
	}
	return s, nil
}
