package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const (
	nonroot = 65532
	// jailEnv has the test's own program be what stands between it and the jail.
	jailEnv = "SIDECAR_DRIFT_IMAGE_TEST_ROOT"
)

func TestMain(m *testing.M) {
	if root := os.Getenv(jailEnv); root != "" {
		fmt.Fprintln(os.Stderr, "jail:", enter(root, os.Args[1:]))
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// jailed is a command in a directory as its root, which it can only read, as the
// image's user. Who is not root is that one in a user namespace.
func jailed(ctx context.Context, t *testing.T, root string, command ...string) *exec.Cmd {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, command...)
	cmd.Env = []string{jailEnv + "=" + root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		const sysChroot, sysAdmin = 18, 21
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nonroot, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nonroot, HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{sysChroot, sysAdmin}
	}
	return cmd
}

// enter never returns but by an error.
func enter(root string, command []string) error {
	steps := []func() error{
		func() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") },
		func() error { return syscall.Mount(root, root, "", syscall.MS_BIND, "") },
		func() error {
			return syscall.Mount("", root, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV, "")
		},
		func() error { return syscall.Chroot(root) },
		func() error { return syscall.Chdir("/") },
		func() error {
			if err := os.WriteFile("/written", nil, 0o600); errors.Is(err, syscall.EROFS) {
				return nil
			}
			return errors.New("the root can be written to")
		},
	}
	if os.Getuid() == 0 {
		steps = append(steps,
			func() error { return syscall.Setgroups(nil) },
			func() error { return syscall.Setgid(nonroot) },
			func() error { return syscall.Setuid(nonroot) })
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return syscall.Exec(command[0], command, []string{"PATH=/"})
}
