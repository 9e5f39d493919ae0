// Package webhook is the stamper: a mutating admission webhook that writes on
// every new Pod a fingerprint of what admission injected into it.
//
// It never refuses a Pod, asks nobody anything, and changes nothing but two
// annotations.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// past as a deadline ends reading or writing at once, for another goroutine.
var past = time.Unix(1, 0)

// verbose is the level of logs that there is one of for each Pod.
const verbose = 4

// Handler answers AdmissionReviews of version v1 over HTTP. It reads JSON
// without decoding it, so a field that this build does not know counts like
// any other.
type Handler struct {
	log         logr.Logger
	metrics     *metrics
	room        *room
	bodies      *bodies
	fingerprint func(pod jsontree.Node, names ...string) (fingerprint.Fingerprint, error)
}

// NewHandler returns a Handler that registers its metrics with registry. It
// panics if registry has them already.
func NewHandler(log logr.Logger, registry prometheus.Registerer) *Handler {
	return &Handler{log: log, metrics: newMetrics(registry), room: newRoom(), bodies: newBodies(), fingerprint: fingerprint.Of}
}

// ServeHTTP allows every object under review, and patches Pods. What is no
// AdmissionReview gets a status of 4xx, what there is no room for one of 503.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	result, err := h.serve(w, r)
	if err != nil {
		h.refuse(w, err)
	}
	h.metrics.observe(result, time.Since(start))
}

// serve reads a review and answers it unless it fails.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (outcome, error) {
	if err := checkHeaders(w, r); err != nil {
		return failed, err
	}
	connection := http.NewResponseController(w)
	stay, err := h.room.enter(addressOf(r.RemoteAddr), func() { _ = connection.SetReadDeadline(past) })
	if err != nil {
		return failed, err
	}
	defer stay.leave()
	body := h.bodies.get()
	defer h.bodies.put(body)
	if err := h.bodies.read(body, http.MaxBytesReader(w, r.Body, maxBody), stay.hold); err != nil {
		if stay.wasEvicted() {
			err = overloaded
		}
		return failed, err
	}
	response, result, err := h.judge(r.Context(), stay, body)
	if err != nil {
		return result, err
	}
	if err := stay.begin(answered, func() { _ = connection.SetWriteDeadline(past) }); err != nil {
		return failed, err
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(response); err != nil {
		h.log.Info("The API server did not wait for the answer", "error", err.Error())
	}
	return result, nil
}

// judge is answer, in its turn.
func (h *Handler) judge(ctx context.Context, stay *stay, body *body) ([]byte, outcome, error) {
	if err := stay.turn(ctx); err != nil {
		return nil, failed, err
	}
	defer stay.endTurn()
	desk := stay.lane.desk()
	defer stay.lane.putDesk(desk)
	return h.answer(&desk.reader, body.join(&desk.joined))
}

// refuse answers with the status that err asks for, by default 400.
func (h *Handler) refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var refused refusal
	if errors.As(err, &refused) {
		status = refused.status
	}
	log := h.log
	if status == http.StatusServiceUnavailable {
		h.metrics.rejected.Inc()
		log = log.V(verbose) // there may be very many
	}
	log.Info("Refused a request", "status", status, "reason", err.Error())
	http.Error(w, err.Error(), status)
}

// answer is stamp, kept from taking the process down.
func (h *Handler) answer(reader *jsontree.Reader, body []byte) (response []byte, result outcome, err error) {
	var r review
	defer func() {
		defect := recover()
		if defect == nil {
			return
		}
		result = panicked
		h.log.Error(fmt.Errorf("panic: %v", defect), "A defect left a Pod unstamped: please report it",
			append(r.logValues(), "stack", string(debug.Stack()))...)
		if r.uid.Exists() {
			response, err = r.allow(nil), nil
			return
		}
		err = refusal{http.StatusInternalServerError, "the AdmissionReview could not be read"}
	}()
	if r, err = parseReview(reader, body); err != nil {
		return nil, failed, err
	}
	response, result = h.stamp(r)
	return response, result, nil
}

// stamp allows the object under review, with a patch if it is a new Pod.
func (h *Handler) stamp(r review) ([]byte, outcome) {
	if !r.createsPod() {
		return r.allow(nil), skipped
	}
	patch, result, err := h.patch(r.object())
	if err != nil {
		h.log.Error(err, "Allowed a Pod unstamped", r.logValues()...)
		return r.allow(nil), failed
	}
	if log := h.log.V(verbose); log.Enabled() {
		log.Info("Answered", append(r.logValues(), "outcome", result, "patched", len(patch) > 0)...)
	}
	return r.allow(patch), result
}

// patch returns the JSON patch that brings the Pod's stamp up to date.
func (h *Handler) patch(pod jsontree.Node) ([]byte, outcome, error) {
	if err := checkAnnotations(pod, 0); err != nil {
		return nil, failed, err
	}
	taken, err := h.fingerprint(pod)
	if err != nil {
		return nil, failed, fmt.Errorf("take the fingerprint: %w", err)
	}
	operations, err := stampPatch(pod, taken)
	if err != nil {
		return nil, failed, err
	}
	patch, err := encodePatch(operations)
	if err != nil {
		return nil, failed, fmt.Errorf("encode the patch: %w", err)
	}
	if taken.Stamp == fingerprint.None {
		return patch, none, nil
	}
	return patch, stamped, nil
}
