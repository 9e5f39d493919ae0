package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Ports are taken from below every common range of ephemeral ports (Linux
// starts at 32768), so that no outgoing connection occupies one between FreePort
// and the program that will listen on it.
const (
	firstPort = 12000
	lastPort  = 29999
)

// claimFor is how long a port is left to who has asked for it: a control plane takes some
// seconds to listen on its own, while tests of other packages ask, too.
const claimFor = 2 * time.Minute

// FreePort returns a port of 127.0.0.1 that nobody listens on, and that no other test on
// this machine was given lately.
func FreePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		claimed, err := claim(port, time.Now())
		if err != nil {
			return 0, err
		}
		if !claimed {
			continue
		}
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, errors.New("no free port found on 127.0.0.1 in 100 attempts")
}

// claim marks a port as given away, in a file of its own.
func claim(port int, now time.Time) (bool, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sidecar-drift-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	file := filepath.Join(dir, strconv.Itoa(port))
	mark, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		return true, mark.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	info, err := os.Stat(file)
	if err != nil || now.Sub(info.ModTime()) < claimFor {
		return false, nil //nolint:nilerr // another port will do
	}
	return true, os.Chtimes(file, now, now)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
