package mongotest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	startTimeout  = 60 * time.Second
	dockerTimeout = 5 * time.Minute // it may have to pull the image first
)

// find walks the sources of the package documentation. The error names why each of them was of no use.
func find() (string, error) {
	if uri := os.Getenv(EnvURI); uri != "" {
		return uri, nil
	}
	uri, noStandIn := standIn()
	if noStandIn == nil {
		return uri, nil
	}
	uri, noDocker := docker()
	if noDocker == nil {
		return uri, nil
	}
	return "", fmt.Errorf("%s is not set; the stand-in: %w; Docker: %w", EnvURI, noStandIn, noDocker)
}

// standIn starts the server of store/mongo/testserver.
func standIn() (string, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("no JDK is installed")
	}
	jar, err := buildJar()
	if err != nil {
		return "", err
	}
	// A test server lives for seconds: the quick compiler and the plain collector start fastest on few cores.
	cmd := exec.Command(java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-jar", jar, "0") //nolint:gosec,noctx // the jar is our own; the process lives as long as this one
	addr, err := start(cmd, startTimeout)
	if err != nil {
		return "", fmt.Errorf("start %s: %w", jar, err)
	}
	return "mongodb://" + addr + "/?directConnection=true", nil
}

// inContainer makes a replica set of one and says so; it ends the server when standard input closes.
const inContainer = `
mongod --replSet rs0 --bind_ip_all >/tmp/mongod.log 2>&1 &
for i in $(seq 120); do
  mongosh --quiet --eval 'try { rs.status() } catch (e) { rs.initiate({_id: "rs0", members: [{_id: 0, host: "127.0.0.1:27017"}]}) }
    quit(db.hello().isWritablePrimary ? 0 : 1)' >/dev/null 2>&1 && break
  sleep 0.5
done
echo "listening 127.0.0.1:$1"
cat >/dev/null
kill %1
wait
`

// docker runs the image mongo; its port is published on loopback only.
func docker() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := exec.LookPath("docker"); err != nil {
		return "", errors.New("not installed")
	}
	if err := exec.CommandContext(ctx, "docker", "info").Run(); err != nil {
		return "", errors.New("no engine answers")
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("docker", "run", "--rm", "-i", "-p", "127.0.0.1:"+port+":27017", //nolint:gosec,noctx // a port of ours; the process lives as long as this one
		"--entrypoint", "bash", "mongo:8", "-c", inContainer, "bash", port)
	addr, err := start(cmd, dockerTimeout)
	if err != nil {
		return "", fmt.Errorf("run the image mongo:8: %w", err)
	}
	return "mongodb://" + addr + "/?directConnection=true", nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed again at once
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// start runs a server that prints "listening HOST:PORT" when it is ready and ends when its standard input closes. This
// process holds the other end of that pipe and never closes it, so the server ends with it, however it ends.
func start(cmd *exec.Cmd, within time.Duration) (string, error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	keepOpen, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	said := &tail{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return "", err
	}

	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
				ready <- addr
			}
		}
		close(ready)
		_ = cmd.Wait()
		_ = keepOpen.Close() // named here so that it stays open until then: a pipe that nobody refers to is closed
	}()
	select {
	case addr, ok := <-ready:
		if !ok {
			return "", fmt.Errorf("it ended before it was ready: %s", said)
		}
		return addr, nil
	case <-time.After(within):
		_ = cmd.Process.Kill()
		return "", fmt.Errorf("it was not ready within %v: %s", within, said)
	}
}
