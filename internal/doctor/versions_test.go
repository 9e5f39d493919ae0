package doctor

import (
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// running is a Deployment of ours with this image, of the manifests of a version.
func running(name, image, manifests string) read[appsv1.Deployment] {
	d := &appsv1.Deployment{}
	d.Name = name
	d.Labels = map[string]string{versionLabel: manifests}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"name": name}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Image: image}}
	return there(d)
}

func podWith(name, image string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"name": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: image}}},
	}
}

func TestJudgeVersions(t *testing.T) {
	of := func(image, manifests string, others ...read[appsv1.Deployment]) installation {
		i := installation{home: "ours", deployments: map[string]read[appsv1.Deployment]{
			stamper: running(stamper, image, manifests), auditor: notThere[appsv1.Deployment](), certificate: notThere[appsv1.Deployment](),
		}}
		for _, d := range others {
			i.deployments[auditor] = d
		}
		return i
	}
	for name, test := range map[string]struct {
		installed installation
		program   string
		want      []expected
	}{
		"the same":               {of("r/i:v0.1.0", "v0.1.0"), "v0.1.0", []expected{{OK, "installation", "sidecar-drift-webhook v0.1.0, and this program is v0.1.0", ""}}},
		"a patch":                {of("r/i:v0.1.3", "v0.1.0"), "v0.1.9", []expected{{state: OK}}},
		"one minor version":      {of("r/i:v0.1.0", "v0.1.0"), "v0.2.0", []expected{{state: OK}}},
		"an old installation":    {of("r/i:v0.1.0", "v0.1.0"), "v0.3.0", []expected{{Warning, "installation", "is v0.1.0, and this program is v0.3.0", "upgrade the installation"}}},
		"an old program":         {of("r/i:v1.0.0", "v1.0.0"), "v0.9.0", []expected{{Warning, "installation", "is v1.0.0", "take this program of v1.0.0"}}},
		"a build":                {of("r/i:v0.2.0", "v0.2.0"), "v0.1.0-4-g0423b60-dirty", []expected{{state: OK}}},
		"a build without tags":   {of("r/i:v0.3.0", "v0.3.0"), "v0.0.0-20261129175854-0423b60f1a2b", []expected{{state: OK}}},
		"no version":             {of("r/i:main", "v0.9.0"), "unknown", []expected{{state: OK, message: "sidecar-drift-webhook main, and"}}},
		"a digest":               {of("r:5000/i@sha256:00", "v0.3.0"), "v0.1.0", []expected{{state: Warning, message: "is v0.3.0"}}},
		"no tag":                 {of("r:5000/i", "v0.3.0"), "v0.1.0", []expected{{state: NotChecked, message: "no program"}}},
		"an image alone":         {of("r/i:v0.2.0", "v0.1.0"), "v0.2.0", []expected{{Warning, "", "the image of v0.2.0 with the manifests of v0.1.0", "chart of v0.2.0"}}},
		"two versions":           {of("r/i:v0.1.0", "", running(auditor, "r/i:v0.2.0", "")), "v0.1.0", []expected{{Warning, "", "sidecar-drift-auditor is v0.2.0, and sidecar-drift-webhook is v0.1.0", "one version"}}},
		"what may not be read":   {of("r/i:v0.1.0", "", notAllowed[appsv1.Deployment]()), "v0.1.0", []expected{{state: OK}}},
		"an installation's rest": {installation{deployments: map[string]read[appsv1.Deployment]{stamper: notThere[appsv1.Deployment](), auditor: notThere[appsv1.Deployment](), certificate: notThere[appsv1.Deployment]()}}, "v0.1.0", []expected{{state: NotChecked}}},
	} {
		t.Run(name, func(t *testing.T) { check(t, judgeVersions(test.installed, test.program), test.want...) })
	}
}

func TestVersionsOfAnUpgrade(t *testing.T) {
	i := installation{home: "ours", deployments: map[string]read[appsv1.Deployment]{
		stamper: running(stamper, "r/i:v0.2.0", "v0.2.0"), auditor: notAllowed[appsv1.Deployment](), certificate: notThere[appsv1.Deployment](),
	}}
	i.deployments[stamper].value.Labels[chartLabel] = "sidecar-drift-0.2.0"
	gone, failed := podWith(stamper, "r/i:v0.0.1"), podWith(stamper, "r/i:v0.0.2")
	gone.DeletionTimestamp, failed.Status.Phase = &metav1.Time{}, corev1.PodFailed
	meshed := podWith(stamper, "r/i:v0.2.0")
	meshed.Spec.Containers = append([]corev1.Container{{Name: "proxy", Image: "proxy:1"}}, meshed.Spec.Containers...)
	i.pods = there(&corev1.PodList{Items: []corev1.Pod{
		podWith(stamper, "r/i:v0.1.0"), podWith(stamper, "r/i:v0.2.0"), meshed, podWith("other", "r/i:v0.3.0"), gone, failed,
	}})
	found := i.versions("v0.2.0")
	if found.Namespace != "ours" || found.Chart != "sidecar-drift-0.2.0" || len(found.Parts) != 1 {
		t.Fatalf("got %+v", found)
	}
	if got, want := found.Parts[0].Pods, map[string]int{"r/i:v0.1.0": 1, "r/i:v0.2.0": 2}; !maps.Equal(got, want) {
		t.Errorf("Pods %v, want %v", got, want)
	}
	if len(found.Unread) != 1 || !strings.Contains(found.Unread[0], auditor+": you may not get") {
		t.Errorf("unread is %q", found.Unread)
	}
	if found.Misfits == nil || len(found.Misfits) > 0 || found.Compared {
		t.Errorf("misfits are %+v, compared: %t", found.Misfits, found.Compared)
	}
	i.deployments[auditor] = notThere[appsv1.Deployment]()
	if !i.versions("v0.2.0").Compared || i.versions("unknown").Compared {
		t.Error("what has versions is compared, and nothing else")
	}
}
