package acceptance

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// floodVariable makes this program the one that opens connections, in a process
// with file descriptors of its own. Its value is a floodTarget in JSON.
const floodVariable = "SIDECAR_DRIFT_FLOOD"

type floodTarget struct {
	Address     string // HOST:PORT
	Authority   []byte
	Connections int
}

const (
	// floodSource is another address than that of good clients: the stamper may
	// well bound what one address gets.
	floodSource = "127.0.0.2"
	// floodPatience is how long a handshake may take before its connection is
	// held as it is.
	floodPatience = 30 * time.Second
	openAtOnce    = 64
)

// flooder is the process that holds connections.
type flooder struct {
	process *exec.Cmd
	input   io.Closer
	output  io.Reader
}

// startFlood starts to open connections; see opened.
func startFlood(t *testing.T, target floodTarget) *flooder {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(target)
	if err != nil {
		t.Fatal(err)
	}
	f := &flooder{process: exec.CommandContext(t.Context(), program)}
	f.process.Env = append(os.Environ(), floodVariable+"="+string(value))
	f.process.Stderr = os.Stderr
	// It ends with its input, and so with this program, too.
	if f.input, err = f.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if f.output, err = f.process.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := f.process.Start(); err != nil {
		t.Fatal(err)
	}
	return f
}

// opened waits until all connections have been opened.
func (f *flooder) opened(t *testing.T) {
	t.Helper()
	report, err := bufio.NewReader(f.output).ReadString('\n')
	if err != nil {
		t.Fatalf("the connections were not opened: %v", err)
	}
	t.Log(strings.TrimSpace(report))
}

// end closes all connections.
func (f *flooder) end(t *testing.T) {
	t.Helper()
	if err := f.input.Close(); err != nil {
		t.Error(err)
	}
	if err := f.process.Wait(); err != nil {
		t.Error(err)
	}
}

// floodSize is how many connections are opened, many times what the stamper holds of one
// address: 10,000 in full, or as many as a process may hold here, and the stamper answer.
// Both raise their own limit of open files to the hard one.
func floodSize(t *testing.T) int {
	t.Helper()
	floodConnections := uint64(2_000)
	if *full {
		floodConnections = 10_000
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const besides = 500 // other files
	if limit.Max >= floodConnections+besides {
		return int(floodConnections)
	}
	t.Logf("the hard limit of open files (ulimit -Hn) is %d: fewer than %d connections are opened", limit.Max, floodConnections)
	return int(limit.Max) - besides
}

// flood opens connections, says so, holds them until its input ends, and
// returns the exit code.
func flood(value string) int {
	var target floodTarget
	if err := json.Unmarshal([]byte(value), &target); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(target.Authority)
	connections := make([]net.Conn, target.Connections)
	var group errgroup.Group
	group.SetLimit(openAtOnce)
	for i := range connections {
		group.Go(func() (err error) {
			connections[i], err = stages[i%len(stages)].open(target.Address, authorities)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%d connections opened\n", len(connections))
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, connection := range connections {
		_ = connection.Close()
	}
	return 0
}

// stage is how far a connection goes: what is said on it after a handshake, if
// there is one.
type stage struct{ protocol, said string }

var stages = []stage{
	{},                 // silent from the beginning
	{protocol: "h2"},   // silent after the handshake
	{"http/1.1", "P"},  // in the request line
	{"http/1.1", head}, // in the headers
	{"http/1.1", head + "Content-Length: 8000\r\n\r\n{"}, // in the body
}

const head = "POST /stamp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// open opens a connection and goes so far with it as the stamper lets it. It
// fails if there is no connection at all, or one to somebody else.
func (s stage) open(address string, authorities *x509.CertPool) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(floodSource)}}
	connection, err := dialer.Dial("tcp", address)
	if err != nil || s.protocol == "" {
		return connection, err
	}
	client := tls.Client(connection, &tls.Config{ServerName: "localhost", RootCAs: authorities, NextProtos: []string{s.protocol}})
	if err := client.SetDeadline(time.Now().Add(floodPatience)); err != nil {
		return nil, err
	}
	var stranger *tls.CertificateVerificationError
	switch err := client.Handshake(); {
	case err == nil:
		_, _ = io.WriteString(client, s.said)
	case errors.As(err, &stranger):
		return nil, err
	}
	return client, nil
}
