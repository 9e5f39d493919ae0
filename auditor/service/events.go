package service

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/reference"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

const (
	// longestNote is the API server's limit for an Event's note, in bytes.
	longestNote = 1024
	// eventTimeout bounds what is only for information.
	eventTimeout = 5 * time.Second
)

// eventWriter writes Events and never touches one that is there: client-go's
// broadcaster patches what it repeats, for which it needs the right to rewrite
// anybody's.
type eventWriter struct {
	client kubernetes.Interface
	log    logr.Logger
}

var _ events.EventRecorder = &eventWriter{}

// Eventf writes an Event under a new name.
func (w *eventWriter) Eventf(regarding, _ runtime.Object, kind, reason, action, note string, args ...any) {
	ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
	defer cancel()
	if err := w.write(ctx, regarding, kind, reason, action, fmt.Sprintf(note, args...)); err != nil {
		w.log.V(1).Info("An Event could not be written", "reason", reason, "error", err.Error())
	}
}

func (w *eventWriter) write(ctx context.Context, regarding runtime.Object, kind, reason, action, note string) error {
	about, err := reference.GetReference(scheme.Scheme, regarding)
	if err != nil {
		return err
	}
	instance, err := os.Hostname()
	if err != nil {
		instance = DefaultName
	}
	now := metav1.NowMicro()
	_, err = w.client.EventsV1().Events(about.Namespace).Create(ctx, &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: about.Namespace, Name: fmt.Sprintf("%.200s.%x", about.Name, now.UnixNano())},
		Regarding:  *about, Type: kind, Reason: reason, Action: action, Note: printable.CutBytes(note, longestNote), EventTime: now,
		ReportingController: "sidecar-drift.io/auditor", ReportingInstance: instance,
	}, metav1.CreateOptions{})
	return err
}
