package verdict

import (
	"crypto/sha256"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// Digest is a hash of all of a Pod that may decide, without noise. Pods of one revision
// with equal digests are in sync; unequal ones may be, too: only Judge knows.
type Digest [16]byte

// DigestOf returns the digest of a Pod. The annotations of the given keys are in it
// besides those that are known to configure.
func DigestOf(pod jsontree.Node, annotations ...string) (Digest, error) {
	if err := checkPod("Pod", pod); err != nil {
		return Digest{}, err
	}
	var (
		v    = podspec.NewView(inForce(pod))
		form = make([]byte, 0, len(pod.Raw()))
	)
	profiles := appArmorAnnotations(v)
	for _, c := range v.Containers() {
		form = append(append(form, c.Part()...), 0)
		form = v.AppendCanonical(form, c.Member)
		if profile := profiles[c.Name]; profile != "" && !appArmorOf(c.Node).Exists() {
			hash := sha256.Sum256([]byte(profile)) // which may be made to look like what follows
			form = append(append(form, appArmorAnnotation...), hash[:]...)
		}
	}
	if volumes := v.Volumes(); volumes.Node.Exists() {
		form = v.AppendCanonical(append(form, "volumes\x00"...), volumes)
	}
	for _, m := range v.PodFields() {
		if m.Default {
			continue
		}
		form = v.AppendCanonical(append(append(form, m.Key...), 0), m)
	}
	for _, m := range v.Placement() {
		if m.Default {
			continue
		}
		form = v.AppendCanonical(append(append(form, m.Key...), 0), m)
	}
	form = appendConfiguring(form, v, annotations)
	sum := sha256.Sum256(form)
	return Digest(sum[:16]), nil
}
