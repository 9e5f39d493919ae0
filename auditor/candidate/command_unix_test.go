//go:build unix

package candidate

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What a command starts ends with it, whether it answers or is out of time.
func TestCommandsLeaveNothing(t *testing.T) {
	for name, test := range map[string]struct {
		line    string
		answers bool
	}{
		"an answer, and something in the background": {`exec 3>"$FIFO"; sleep 600 >/dev/null 2>&1 & echo answer`, true},
		"a pipeline that never ends":                 {`exec 3>"$FIFO"; echo begun >&3; sleep 600 | cat; true`, false},
	} {
		t.Run(name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("FIFO", fifo)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			gone := make(chan error, 1)
			go func() {
				held, err := os.Open(fifo) // returns once the command has it open
				if err == nil && !test.answers {
					if _, err = io.ReadFull(held, make([]byte, len("begun\n"))); err == nil {
						cancel(errors.New("over"))
					}
				}
				if err == nil {
					_, err = io.Copy(io.Discard, held) // until nobody has it open any more
					err = errors.Join(err, held.Close())
				}
				gone <- err
			}()
			answer, err := command(test.line).ask(ctx, nil)
			if test.answers && (err != nil || string(answer) != "answer\n") || !test.answers && (err == nil || err.Error() != "over") {
				t.Errorf("%q, %v", answer, err)
			}
			if err := <-gone; err != nil {
				t.Error(err)
			}
		})
	}
}
