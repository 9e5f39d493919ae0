// Command demo shows the product at work on a real cluster: a change of Istio's
// template, the audit that finds what drifted, and the rollout that heals it.
//
//	go run ./test/demo          run, and leave nothing behind
//	go run ./test/demo -keep    leave the cluster up
//	go run ./test/demo -down    stop the one that was left up
//	go run ./test/demo -recording docs/demo.svg -page bin/demo.html
//	                            draw it for the README, and keep the page of what has drifted, for
//	                            (cd test/ui && go test -run TestPicture -page "$PWD/../../bin/demo.html" -picture ../../docs/page.svg)
//	go run ./test/demo -kubeconfig FILE
//	                            on a cluster of yours, in a namespace of its own
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	keep := flag.Bool("keep", false, "leave the cluster up, and print how to use it")
	down := flag.Bool("down", false, "stop the cluster that -keep left up")
	hold := flag.Bool("hold", false, "run in the background of -keep")
	kubeconfig := flag.String("kubeconfig", "", "run on the cluster of this `file`; nothing but the command is built")
	recording := flag.String("recording", "", "write what the commands print into this SVG `file`")
	page := flag.String("page", "", "write the HTML page of what has drifted into this `file`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case *kubeconfig != "":
		return runBorrowed(ctx, *kubeconfig, *keep, *down)
	case *down:
		return stopKept(os.Stdout)
	case *hold:
		return holdCluster(ctx)
	case *keep:
		return startKept(ctx, os.Stdout)
	}
	return runOnce(ctx, *recording, *page)
}

// runOnce runs the demo and stops everything, whatever happens.
func runOnce(ctx context.Context, recording, page string) (err error) {
	s := stage{out: os.Stdout, recording: recording != "", page: page}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.play(ctx); err != nil {
		return err
	}
	if s.recording {
		scenes := s.scenes[1:] // the first audit finds nothing
		if err := os.WriteFile(recording, []byte(drawing(scenes)), 0o644); err != nil {
			return err
		}
	}
	s.say("Done. Stopping the cluster; nothing is left running.")
	return nil
}
