package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

const (
	injectionChanged = "InjectionChanged"
	// mostAnnounced is how many Events one round leaves; the journal has all changes.
	mostAnnounced = 5
	// longestSummary is how many columns a note has of a change's summary, so that the rest has room.
	longestSummary = 200
)

// announcer leaves an Event where a change of the injection begins: on the Service of the
// injector that makes it or, where that is not known or not allowed, on the journal.
type announcer struct {
	client     kubernetes.Interface
	events     *eventWriter
	home, name string // of the journal
	log        logr.Logger
}

// began announces the changes that a round saw begin: those that were not there at the round
// before. What is there at the first one has no beginning that is known.
func (a *announcer) began(ctx context.Context, found *report.Report, open map[string]journal.Interval, round journal.Audit) {
	announced := 0
	for _, c := range found.Changes {
		i, known := open[c.ID]
		if !known || i.After.IsZero() || !i.By.Equal(round.At.Truncate(time.Second)) { // as the journal has it
			continue
		}
		if announced++; announced > mostAnnounced {
			return
		}
		if err := a.announce(ctx, c); err != nil && ctx.Err() == nil {
			a.log.V(1).Info("An Event could not be written", "reason", injectionChanged, "error", err.Error())
		}
	}
}

func (a *announcer) announce(ctx context.Context, c report.ChangeSummary) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	note := fmt.Sprintf("%s: %d workloads (%d Pods, %d namespaces) differ in it, risk %s; sidecar-drift history show %s", printable.Cut(report.Printable(c.Summary), longestSummary), c.Workloads, c.Pods, c.Namespaces, c.Risk, c.ID)
	write := func(regarding corev1.ObjectReference) error {
		return a.events.write(ctx, &regarding, corev1.EventTypeNormal, injectionChanged, "Observed", note)
	}
	service, err := a.serviceOf(ctx, c.Webhook)
	if err == nil {
		err = write(service)
	}
	if err == nil || !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !errors.Is(err, errNoService) {
		return err
	}
	return write(corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: a.home, Name: a.name + journalSuffix})
}

// errNoService is of a webhook that is not known, or has a URL.
var errNoService = errors.New("no Service is known to make the change")

// serviceOf is the Service of a webhook, CONFIGURATION/WEBHOOK.
func (a *announcer) serviceOf(ctx context.Context, webhook string) (corev1.ObjectReference, error) {
	configuration, name, _ := strings.Cut(webhook, "/")
	if configuration == "" {
		return corev1.ObjectReference{}, errNoService
	}
	c, err := a.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, configuration, metav1.GetOptions{})
	if err != nil {
		return corev1.ObjectReference{}, err
	}
	for _, w := range c.Webhooks {
		if of := w.ClientConfig.Service; w.Name == name && of != nil {
			return referenceTo(of), nil
		}
	}
	return corev1.ObjectReference{}, errNoService
}

func referenceTo(s *admissionregistrationv1.ServiceReference) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: s.Namespace, Name: s.Name}
}
