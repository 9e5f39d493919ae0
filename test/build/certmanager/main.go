// Command cert-manager is cert-manager's own controller or CA injector as a process
// that needs nothing of a Pod: the packages that cert-manager's programs run, whose
// mains are modules that no proxy has.
//
//	cert-manager controller --kubeconfig F
//	cert-manager cainjector --kubeconfig F
//
// The controller has the issuers CA and selfSigned, and what makes Certificates of
// them; the injector writes webhook configurations. Neither elects a leader.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: cert-manager controller|cainjector --kubeconfig FILE")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of cert-manager's account")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	log := klog.NewKlogr()
	ctrl.SetLogger(log)
	ctx = logr.NewContext(ctx, log)
	switch args[0] {
	case "controller":
		return runController(ctx, *kubeconfig)
	case "cainjector":
		return runInjector(ctx, *kubeconfig)
	default:
		return fmt.Errorf("unknown command %q; use controller or cainjector", args[0])
	}
}
