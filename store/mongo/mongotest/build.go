package mongotest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const buildTimeout = 5 * time.Minute

// buildJar returns the stand-in as one jar, built by Maven unless the user's cache has it from these very sources. Test
// packages run side by side: a lock lets one of them build while the others wait.
func buildJar() (string, error) {
	sources, err := sourceDir()
	if err != nil {
		return "", err
	}
	sum, err := hashOf(sources)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "broker-test", "mongo")
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // nothing secret: a jar of public code
		return "", err
	}
	jar := filepath.Join(cache, "testserver-"+sum+".jar")

	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(jar); err == nil {
		return jar, nil
	}
	return jar, maven(sources, jar)
}

// maven builds a copy of the sources, so that the checkout stays as it was, and puts the result in place whole.
func maven(sources, jar string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("no Maven is installed")
	}
	work, err := os.MkdirTemp(filepath.Dir(jar), "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.CopyFS(filepath.Join(work, "src"), os.DirFS(sources)); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	said := &tail{}
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "package") //nolint:gosec // found on the PATH by its name
	cmd.Dir = filepath.Join(work, "src")
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build it with Maven: %w: %s", err, said)
	}
	return os.Rename(filepath.Join(cmd.Dir, "target", "testserver.jar"), jar)
}

// sourceDir finds store/mongo/testserver from any folder of the module, which is where go test starts a test.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		sources := filepath.Join(dir, "store", "mongo", "testserver")
		if _, err := os.Stat(filepath.Join(sources, "pom.xml")); err == nil {
			return sources, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("its sources are not above the working directory")
		}
		dir = up
	}
}

// hashOf sums the names and contents of all files below dir, leaving out what a build by hand may have left there.
func hashOf(dir string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path == "target":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		content, err := os.ReadFile(filepath.Join(dir, path)) //nolint:gosec // a file of this repository
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%s\x00%d\x00%s", path, len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

// tail keeps the end of what a program says, for the error that reports it. Safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
