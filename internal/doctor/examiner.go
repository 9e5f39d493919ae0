package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options of an examination.
type Options struct {
	// Namespace is where a dry-run Pod is asked for, and a Pod is created with
	// ProbePolicy.
	Namespace string
	// WebhookURL is where the stamper can be reached from here, instead of
	// through the API server; nil: not known.
	WebhookURL *url.URL
	// ProbePolicy tries what the policies forbid, as the identities that they
	// are for.
	ProbePolicy bool
	// ServerVersion is the API server's (v1.37.2); empty if it may not be read.
	ServerVersion string
	// OldestServer is the oldest version that will do.
	OldestServer *apiversion.Version
	// Program is the version of the program that examines.
	Program string
	Now     func() time.Time
}

// Run examines the cluster. What may not be read is NotChecked in the report;
// the error is about an API server that does not answer at all, or the context's.
func Run(ctx context.Context, config *rest.Config, options Options) (*Report, error) {
	e, err := newExaminer(config, options)
	if err != nil {
		return nil, err
	}
	if err := e.examine(ctx, e.apiServer, e.installation, e.versions, e.admission); err != nil {
		return nil, err
	}
	others := []func(context.Context){e.webhook, e.certificates, e.certManager, e.dryRun, e.policies, e.proofs, e.access, e.causes, e.others, e.workloads}
	if e.installed.nothing() {
		others = []func(context.Context){e.dryRun, e.ownAccess}
	}
	if err := e.examine(ctx, others...); err != nil {
		return nil, err
	}
	return newReport(e.findings, options.Now()), nil
}

// examine runs examinations, one after the other.
func (e *examiner) examine(ctx context.Context, examinations ...func(context.Context)) error {
	for _, examination := range examinations {
		examination(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.broken != nil:
			return fmt.Errorf("the API server at %s no longer answers: %w", e.config.Host, e.broken)
		}
	}
	return nil
}

// examiner collects findings.
type examiner struct {
	options Options
	config  *rest.Config
	objects kubernetes.Interface

	installed installation
	findings  []Finding
	broken    error // the first failure that is no answer of an API server
}

func newExaminer(config *rest.Config, options Options) (*examiner, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server paces
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	objects, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	return &examiner{options: options, config: config, objects: objects}, nil
}

// add takes findings down. Their remedies are written for the namespace of the
// manifests.
func (e *examiner) add(findings ...Finding) {
	for _, f := range findings {
		f.Remedy = strings.ReplaceAll(f.Remedy, "-n "+namespace+" ", "-n "+e.home()+" ")
		e.findings = append(e.findings, f)
	}
}

// note returns the error of a request, after a look at whether an API server
// answered at all.
func (e *examiner) note(err error) error {
	var answer apierrors.APIStatus
	if err != nil && !errors.As(err, &answer) && e.broken == nil {
		e.broken = err
	}
	return err
}

// read is an object as it was read, or why it was not.
type read[T any] struct {
	value *T
	err   error
}

func (r read[T]) missing() bool { return apierrors.IsNotFound(r.err) }

// as keeps what a request answered.
func as[T any](e *examiner, value *T, err error) read[T] { return read[T]{value, e.note(err)} }
