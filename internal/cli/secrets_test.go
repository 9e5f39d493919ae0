package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

// corpusPods are a Pod, and the same one from a template that holds the secrets of
// the corpus, as far as a container's variables, arguments and commands can.
func corpusPods() (live, fresh *corev1.Pod, secrets []string) {
	before := []corev1.Container{{Name: "app", Image: "app:1"}}
	after := []corev1.Container{{Name: "app", Image: "app:1"}}
	var sidecars []string
	for i, c := range masktest.Secrets(5) {
		name := fmt.Sprintf("proxy-%d", i)
		was, is := corev1.Container{Name: name, Image: "proxy:1"}, corev1.Container{Name: name, Image: "proxy:1"}
		var list []string
		var text string
		switch variable, ok := strings.CutSuffix(strings.TrimPrefix(c.Path, "env["), "].value"); {
		case ok && json.Unmarshal(c.Value, &text) == nil:
			was.Env, is.Env = []corev1.EnvVar{{Name: variable, Value: "before"}}, []corev1.EnvVar{{Name: variable, Value: text}}
		case c.Path == "args" && json.Unmarshal(c.Value, &list) == nil:
			was.Args, is.Args = []string{"before"}, list
		case c.Path == "command" && json.Unmarshal(c.Value, &list) == nil:
			was.Command, is.Command = []string{"before"}, list
		default:
			continue
		}
		before, after, sidecars = append(before, was), append(after, is), append(sidecars, name)
		secrets = append(append(secrets, c.Secrets...), c.Encoded...)
	}
	status, _ := json.Marshal(map[string][]string{"containers": sidecars})
	pod := func(containers []corev1.Container) *corev1.Pod {
		return &corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Annotations: map[string]string{"sidecar.istio.io/status": string(status)}},
			Spec:       corev1.PodSpec{Containers: containers},
		}
	}
	return pod(before), pod(after), secrets
}

// podFile is a file with a Pod.
func podFile(t *testing.T, name string, pod *corev1.Pod) string {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Whichever of two Pods holds the secret, and however the verdict is printed, it is
// masked; both were seen to differ there.
func TestCompareMasksSecrets(t *testing.T) {
	live, fresh, secrets := corpusPods()
	if len(secrets) < 100 {
		t.Fatalf("%d secrets", len(secrets))
	}
	plain, withSecrets := podFile(t, "plain.json", live), podFile(t, "secrets.json", fresh)
	for _, format := range []string{"table", "json", "yaml"} {
		for _, files := range [][]string{{plain, withSecrets}, {withSecrets, plain}} {
			run := func(more ...string) string {
				streams, _, out, errOut := genericiooptions.NewTestIOStreams()
				args := append(append([]string{"sidecar-drift", "compare"}, files...), "-o", format)
				if code := Main(append(args, more...), streams); code != 1 {
					t.Fatalf("exit code %d: %s", code, errOut)
				}
				return out.String() + errOut.String()
			}
			masked := run()
			for _, secret := range secrets {
				if at := strings.Index(masked, secret); at >= 0 {
					t.Errorf("%s: %s stands in …%s…", format, secret, masked[max(0, at-100):min(len(masked), at+100)])
				}
			}
			shown := run("--show-secrets")
			if masks := strings.Count(masked, "***"); masks < len(live.Spec.Containers)-1 {
				t.Errorf("%s: %d masks for %d sidecars", format, masks, len(live.Spec.Containers)-1)
			}
			if !strings.Contains(shown, secrets[0]) {
				t.Errorf("%s: --show-secrets does not show %s", format, secrets[0])
			}
		}
	}
}

// An error that quotes what an API server said masks it, too, and says the rest.
func TestErrorsMaskSecrets(t *testing.T) {
	for _, message := range masktest.Messages(6) {
		file := filepath.Join(t.TempDir(), "pod.json")
		streams, _, _, errOut := genericiooptions.NewTestIOStreams()
		if code := Main([]string{"sidecar-drift", "compare", file + ": " + message.Text, file}, streams); code == 0 {
			t.Fatal("compares what is not there")
		}
		for _, secret := range message.Secrets {
			if strings.Contains(errOut.String(), secret) {
				t.Errorf("%s stands in %s", secret, errOut)
			}
		}
		if !strings.Contains(errOut.String(), "pod.json") {
			t.Errorf("does not name the file: %s", errOut)
		}
	}
}
