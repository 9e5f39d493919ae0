package doctor

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestNewborns(t *testing.T) {
	kept := func(text string) read[corev1.ConfigMap] {
		return there(&corev1.ConfigMap{BinaryData: map[string][]byte{"biased.json": []byte(text)}})
	}
	for _, read := range []read[corev1.ConfigMap]{
		notThere[corev1.ConfigMap](), there(&corev1.ConfigMap{}), kept(`{"workloads": 0, "namespaces": []}`), kept("anybody's"),
	} {
		check(t, judgeNewborns(read))
	}
	check(t, judgeNewborns(notAllowed[corev1.ConfigMap]()), expected{state: NotChecked, message: "you may not"})
	check(t, judgeNewborns(kept(`{"workloads": 3, "namespaces": ["pay", "shop"]}`)),
		expected{state: Warning, message: "3 workloads are not judged, or not whole", remedy: "asking-as-the-controller"})
}
