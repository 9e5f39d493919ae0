package candidate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// command answers a review by a program of its own, on its standard output. What the program
// has started ends with it.
type command string

// lingering is how long pipes are waited for that a command's children keep open.
const lingering = time.Second

func (c command) ask(ctx context.Context, review []byte) ([]byte, error) {
	shell := []string{"/bin/sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], string(c))...)
	cmd.WaitDelay = lingering
	withChildren(cmd)
	defer endChildren(cmd)
	cmd.Stdin = bytes.NewReader(review)
	out, errOut := &bounded{most: maxAnswer}, &bounded{most: 4 * maxSaid, rest: true}
	cmd.Stdout, cmd.Stderr = out, errOut
	err := cmd.Run()
	switch {
	case out.full:
		return nil, errTooLarge
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && errOut.buffer.Len() > 0:
		return nil, fmt.Errorf("%w: %s", err, said(errOut.buffer.Bytes()))
	case err != nil:
		return nil, err
	case out.buffer.Len() == 0:
		return nil, errors.New("it has written no AdmissionReview to its standard output")
	}
	return out.buffer.Bytes(), nil
}

func (command) close() {}

// bounded keeps so many bytes. What comes then ends whoever writes it, or is forgotten.
type bounded struct {
	buffer bytes.Buffer // not embedded: its ReadFrom knows no bounds
	most   int
	rest   bool // is forgotten
	full   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) <= b.most {
		return b.buffer.Write(p)
	}
	if b.rest {
		_, _ = b.buffer.Write(p[:b.most-b.buffer.Len()])
		return len(p), nil
	}
	b.full = true
	return 0, errTooLarge
}
