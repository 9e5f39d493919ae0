package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// kept is what -keep notes about the demo that it left up.
type kept struct {
	PID        int    `json:"pid"`
	Kubeconfig string `json:"kubeconfig"`
}

// stateFile is where that note is.
func stateFile() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "sidecar-drift", "demo.json"), nil
}

// readKept returns the demo that is up, or fs.ErrNotExist.
func readKept() (kept, error) {
	file, err := stateFile()
	if err != nil {
		return kept{}, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return kept{}, err
	}
	var k kept
	if err := json.Unmarshal(content, &k); err != nil {
		return kept{}, fmt.Errorf("%s: %w", file, err)
	}
	if !alive(k.PID) {
		return kept{}, fs.ErrNotExist
	}
	return k, nil
}

// startKept runs the demo in a process of its own, which holds the cluster
// after this one has ended.
func startKept(ctx context.Context, out io.Writer) error {
	if k, err := readKept(); err == nil {
		return fmt.Errorf("a demo is up already (export KUBECONFIG=%s); stop it with make demo-down", k.Kubeconfig)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Not bound to ctx, which ends with this process: it would take the holder
	// along.
	holder := exec.Command(self, "-hold")
	holder.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	narration, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer narration.Close()
	holder.ExtraFiles = []*os.File{write}
	err = holder.Start()
	write.Close()
	if err != nil {
		return err
	}
	interrupted := context.AfterFunc(ctx, func() { _ = holder.Process.Signal(syscall.SIGTERM) })
	defer interrupted()
	if _, err := io.Copy(out, narration); err != nil {
		return err
	}
	k, err := readKept()
	if err != nil {
		return errors.Join(errors.New("the demo failed"), holder.Wait())
	}
	fmt.Fprintf(out, "\nThe cluster stays up until make demo-down. To use it:\nexport KUBECONFIG=%s\n", k.Kubeconfig)
	return nil
}

// narrationFD is the pipe to startKept.
const narrationFD = 3

// holdCluster runs the demo, closes its narration so that startKept ends, and
// keeps the cluster until it is told to stop.
func holdCluster(ctx context.Context) (err error) {
	syscall.CloseOnExec(narrationFD) // or the cluster's processes would hold it open
	narration := os.NewFile(narrationFD, "narration")
	os.Stderr = narration // builds report their progress there
	defer func() {
		if err != nil {
			fmt.Fprintln(narration, "demo:", err)
		}
		narration.Close()
	}()
	s := stage{out: narration}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.play(ctx); err != nil {
		return err
	}
	file, err := stateFile()
	if err != nil {
		return err
	}
	note, err := json.Marshal(kept{PID: os.Getpid(), Kubeconfig: s.cluster.Kubeconfig()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, note, 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	narration.Close()
	<-ctx.Done()
	return nil
}

// stopKept stops the demo that is up and waits until it has ended.
func stopKept(out io.Writer) error {
	k, err := readKept()
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(out, "No demo is up.")
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.Kill(k.PID, syscall.SIGTERM); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if !alive(k.PID) {
			fmt.Fprintln(out, "The demo's cluster is stopped.")
			return nil
		}
	}
	return fmt.Errorf("process %d, which holds the demo's cluster, does not end", k.PID)
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
