package rollout

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// statusFunc judges whether the last change to a workload has been rolled out
// and its Pods are available, with a sentence about it either way. An error
// means that it will not be without help (a Deployment's progress deadline has
// passed).
type statusFunc func(object *unstructured.Unstructured) (message string, done bool, err error)

func status(object *unstructured.Unstructured) (message string, done bool, err error) {
	of, ok := workloadKinds[object.GetKind()]
	if !ok {
		return "", false, fmt.Errorf("workloads of kind %s have no status that is known", object.GetKind())
	}
	return of.status(object)
}

// kubectlStatus is "kubectl rollout status".
func kubectlStatus(object *unstructured.Unstructured) (message string, done bool, err error) {
	viewer, err := polymorphichelpers.StatusViewerFor(object.GroupVersionKind().GroupKind())
	if err != nil {
		return "", false, err
	}
	message, done, err = viewer.Status(object, 0)
	return oneLine(message), done, err
}

// statefulSetStatus adds what kubectl does not look at: Pods that are ready,
// but have not been for minReadySeconds.
func statefulSetStatus(object *unstructured.Unstructured) (message string, done bool, err error) {
	if !onDelete(object) {
		if message, done, err = kubectlStatus(object); err != nil || !done {
			return message, done, err
		}
	}
	return allAvailable(object)
}

// daemonSetStatus knows OnDelete, which kubectl refuses to judge.
func daemonSetStatus(object *unstructured.Unstructured) (message string, done bool, err error) {
	if !onDelete(object) {
		return kubectlStatus(object)
	}
	return allAvailable(object)
}

// rolloutStatus reads an Argo Rollout's own verdict. Its restart is done when
// status.restartedAt says so.
func rolloutStatus(object *unstructured.Unstructured) (message string, done bool, err error) {
	phase, _, _ := unstructured.NestedString(object.Object, "status", "phase")
	explanation, _, _ := unstructured.NestedString(object.Object, "status", "message")
	asked, _, _ := unstructured.NestedString(object.Object, "spec", "restartAt")
	restarted, _, _ := unstructured.NestedString(object.Object, "status", "restartedAt")
	switch {
	case phase == "Degraded":
		return "", false, fmt.Errorf("rollout is degraded: %s", orElse(quote(explanation), "no message"))
	case phase != "Healthy":
		return fmt.Sprintf("rollout is %s %s", orElse(quote(phase), "not looked at yet"), quote(explanation)), false, nil
	case asked != restarted:
		return "waiting for the restart of its Pods", false, nil
	}
	if wanted, available := availability(object); available < wanted {
		return fmt.Sprintf("waiting for %d Pods to be available", wanted-available), false, nil
	}
	return "rollout is healthy", true, nil
}

// allAvailable judges by the number of Pods alone.
func allAvailable(object *unstructured.Unstructured) (message string, done bool, err error) {
	if observed, _ := number(object, "status", "observedGeneration"); observed < object.GetGeneration() {
		return "waiting for its controller to look at it", false, nil
	}
	wanted, available := availability(object)
	if available < wanted {
		return fmt.Sprintf("waiting for %d Pods to be available (ready for minReadySeconds)", wanted-available), false, nil
	}
	return fmt.Sprintf("%d Pods are available", available), true, nil
}

// availability is how many Pods the workload wants and how many of them have been
// ready for minReadySeconds.
func availability(object *unstructured.Unstructured) (wanted, available int64) {
	if object.GetKind() == kind.DaemonSet {
		wanted, _ = number(object, "status", "desiredNumberScheduled")
		available, _ = number(object, "status", "numberAvailable")
		return wanted, available
	}
	wanted, found := number(object, "spec", "replicas")
	if !found {
		wanted = 1
	}
	available, _ = number(object, "status", "availableReplicas")
	return wanted, available
}

// healthOf reports whether all of a workload's Pods run the present template, and some are
// not available; and how many are.
func healthOf(object *unstructured.Unstructured) (unhealthy bool, running int) {
	wanted, available := availability(object)
	observed, _ := number(object, "status", "observedGeneration")
	settled := observed >= object.GetGeneration() && work(object) == int(wanted-available)
	return settled && available < wanted && object.GetKind() != kind.Rollout, int(available)
}

func onDelete(object *unstructured.Unstructured) bool {
	strategy, _, _ := unstructured.NestedString(object.Object, "spec", "updateStrategy", "type")
	return strategy == "OnDelete"
}

func number(object *unstructured.Unstructured, fields ...string) (value int64, found bool) {
	value, found, err := unstructured.NestedInt64(object.Object, fields...)
	return value, found && err == nil
}
