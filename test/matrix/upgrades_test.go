package matrix

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var writeUpgrades = flag.Bool("upgrades", false, "write the table of API upgrades into docs/accuracy.md")

// upgrade is a difference between a Pod that was stored by one API server and one that
// another makes now, of the same template and with the same injection.
type upgrade struct {
	place    string // in the Pod
	versions string // of the two API servers
	stored   string // what the Pod that runs has
	fresh    string // what a new Pod has
	state    verdict.State
	golden   string // the folder in goldenUpgrades
	source   string // in k8s.io/kubernetes, where nothing else is said
}

// goldenUpgrades holds a folder for each row, and, where nothing may be reported, one whose
// name ends in changed, in which the injector has changed something, too.
const (
	goldenUpgrades = "../../auditor/verdict/testdata/api-upgrades"
	changed        = "-drifted"
)

var upgrades = []upgrade{
	{
		"`securityContext.appArmorProfile` of a container", "up to 1.29, from 1.30",
		"the annotation `container.apparmor.security.beta.kubernetes.io/NAME` alone", "the field, too, filled from the annotation",
		verdict.InSync, "1.29-apparmor-annotation", "`pkg/registry/core/pod/strategy.go`, `applyAppArmorVersionSkew` (1.30.14)",
	},
	{
		"the same, answered by an older server than stored it", "from 1.30, up to 1.29",
		"annotation and field", "the annotation alone",
		verdict.InSync, "1.30-apparmor-rolled-back", "the same",
	},
	{
		"the annotation of AppArmor", "1.30 to 1.33, from 1.34",
		"an annotation for each container that the field of the container or of the Pod covers", "the field alone",
		verdict.InSync, "1.33-apparmor-annotation-of-the-field", "the same (1.33.13, 1.34.0)",
	},
	{
		"`resizePolicy` of a container", "up to 1.32 with the gate InPlacePodVerticalScaling, from 1.33",
		"`NotRequired` for CPU and memory, where the container requests them", "what was submitted: 1.33 has the gate on, and gives no default",
		verdict.InSync, "1.32-resize-policy", "`pkg/apis/core/v1/defaults.go`, `SetDefaults_Pod` (1.28.15, 1.32.13, 1.33.0); a kubelet takes it as what is absent: `pkg/kubelet/kuberuntime/kuberuntime_manager.go` (1.33.13)",
	},
	{
		"the same, the gate was turned on", "up to 1.32",
		"none", "`NotRequired` for CPU and memory",
		verdict.InSync, "1.28-resize-policy-gate-on", "the same",
	},
	{
		"`topologySpreadConstraints[].labelSelector`", "up to 1.33, from 1.34",
		"the selector as submitted", "for each of `matchLabelKeys` a requirement more, with the Pod's own value",
		verdict.InSync, "1.33-match-label-keys", "`pkg/registry/core/pod/strategy.go`, `mutateTopologySpreadConstraints` (1.34.0); gate MatchLabelKeysInPodTopologySpreadSelectorMerge",
	},
	{
		"`volumes[].ephemeral.volumeClaimTemplate.metadata`", "up to 1.33, from 1.34",
		"`creationTimestamp: null`", "no such member",
		verdict.InSync, "1.33-creation-timestamp-null", "k8s.io/apimachinery `pkg/apis/meta/v1/types.go`, `ObjectMeta`: `omitzero` (0.34.4)",
	},
	{
		"`metadata.generation`", "up to 1.32, from 1.33",
		"none", "1, and one more with each change of the spec",
		verdict.InSync, "1.32-generation", "`pkg/registry/core/pod/strategy.go`, `PrepareForCreate`, `updatePodGeneration` (1.33.13)",
	},
	{
		"labels `topology.kubernetes.io/zone` and `/region` (1.33: `topology.k8s.io/…`)", "from 1.33 with the gate PodTopologyLabelsAdmission, from 1.35 by default",
		"the node's, once the Pod is bound", "none: a dry run is not bound",
		verdict.InSync, "1.35-topology-labels", "`plugin/pkg/admission/podtopologylabels/admission.go` (1.33.13, 1.34.4)",
	},
	{
		"`spec.resources.requests`", "1.34 to 1.36, from 1.37",
		"what the containers request together before webhooks, else the limit", "what the containers request together, with injected ones, else the limit",
		verdict.InSync, "1.36-pod-level-requests", "`pkg/apis/core/v1/defaults.go`, `defaultPodRequests` (1.34.4); `pkg/api/pod/util.go`, `DefaultPodLevelResources` (1.37.2); gate PodLevelResourcesFixDefaulting",
	},
	{
		"`spec.resources.limits`", "up to 1.36, from 1.37",
		"what was submitted", "where each container has a limit, their limits together, no less than the request",
		verdict.InSync, "1.36-pod-level-limits", "`pkg/api/pod/util.go`, `defaultPodLevelLimits` (1.37.2)",
	},
	{
		"`httpGet.protocol` of probes and lifecycle handlers", "up to 1.36, from 1.37 with the gate H2CContainerProbe",
		"none", "`HTTP1`",
		verdict.InSync, "1.36-http-get-protocol", "`pkg/apis/core/v1/defaults.go`, `defaultHTTPProbeProtocol` (1.37.2)",
	},
	{
		"a field that an injector sets, and that the server drops while its gate is off, or does not know", "see below",
		"none", "the field: it is in effect in new Pods",
		verdict.Drifted, "1.30-dropped-field", "`pkg/api/pod/util.go`, `dropDisabledFields` (all)",
	},
	{
		"`resourceClaims[].source`", "up to 1.30 with the gate DynamicResourceAllocation, from 1.31",
		"the name alone: newer servers do not know `source`, not even of stored Pods", "`resourceClaimName` or `resourceClaimTemplateName`, if an injector adds the claim",
		verdict.Drifted, "1.30-resource-claim-source", "k8s.io/api `core/v1/types.go`, `PodResourceClaim` (0.30.14, 0.31.14)",
	},
	{
		"`workloadRef`", "1.35 with the gate GenericWorkload, from 1.36",
		"in files, the reference; newer servers do not know it, not even of stored Pods", "none",
		verdict.Drifted, "1.35-workload-ref", "k8s.io/api `core/v1/types.go`, `PodSpec` (0.35.4, 0.36.3)",
	},
}

const upgradesIntroduction = "\nWhat a stored Pod and a new one of the same template can differ by though no webhook has changed, by the API servers that made them: all of\n" +
	"defaulting, conversion, strategy and plugins that are on by default, compared from one minor version to the next, from 1.28 to 1.37 (1.28.15, 1.29.14, 1.30.14,\n" +
	"1.31.14, 1.32.13, 1.33.13, 1.34.4, 1.35.4, 1.36.3, 1.37.2), and the fields of the API with their defaults. Each row has a pair of Pods in\n" +
	"[api-upgrades](../auditor/verdict/testdata/api-upgrades), written by hand in the form in which they are stored; each row that is `InSync` has another\n" +
	"pair, in which the injector has changed one thing, too, and that alone is reported.\n\n"

const upgradesNotes = "\nA server gives its own defaults to stored Pods, too, whenever it reads them (k8s.io/apimachinery `pkg/runtime/serializer/versioning/versioning.go`,\n" +
	"`Decode`). So what a newer version has as a default differs only in Pods that were saved as files, and between servers of two versions in the middle of an\n" +
	"upgrade. What is done when a Pod is created, and what an older server stored as its default, stays.\n\n" +
	"**Dropped fields.** The server drops a field while its gate is off from templates, too (`DropDisabledTemplateFields`), so that the template of a\n" +
	"Deployment, StatefulSet, DaemonSet or ReplicaSet that was stored then does not differ. What an injector sets comes into effect with the\n" +
	"version that has the gate on by default: `restartPolicy` of init containers 1.29; `recursiveReadOnly`, and `matchLabelKeys` in Pod affinity, 1.31;\n" +
	"`resizePolicy`, `hostUsers`, `procMount`, `supplementalGroupsPolicy`, `seLinuxChangePolicy` 1.33; `spec.resources` and `resourceClaims` 1.34; image volumes,\n" +
	"`fileKeyRef`, `restartPolicyRules`, `hostnameOverride` 1.35; `clusterTrustBundle` and `podCertificate` 1.37. (`procMount` is not dropped, but becomes\n" +
	"`Default`.) A new Pod runs otherwise then, so that it counts.\n" +
	"Whether the injector has set it all along, nothing tells: `--ignore-path` leaves it out.\n\n" +
	"**Nothing to tell.** In these versions nothing that Pods show has changed in the plugins DefaultTolerationSeconds, LimitRanger, Priority, RuntimeClass,\n" +
	"ServiceAccount and TaintNodesByCondition, nor in the defaults of `iscsi`, `rbd`, `azureDisk` and `scaleIO`, which 1.31 declares elsewhere, nor in the negative\n" +
	"grace period that becomes 1, nor in `serviceAccount`, which 1.37 fills elsewhere. Pod affinity's `matchLabelKeys` are merged wherever they are kept (from 1.29).\n" +
	"New plugins (NodeDeclaredFeatureValidator, PodGroupProtection, PodResizeValidator) change no Pod that is created.\n\n" +
	"**A resize in place** is an edit, as any other ([how a Pod is judged](states.md#how-a-pod-is-judged)): of containers (by default from 1.33), and of the Pod as a whole\n" +
	"(from 1.36). Not so one of a volume in memory, which 1.37 allows with the gate InPlacePodVerticalScalingMemoryBackedVolumes, off by default: its `sizeLimit` is\n" +
	"reported as a change of the volume.\n"

// upgradesSection is what is published about API upgrades.
func upgradesSection() string {
	var b strings.Builder
	b.WriteString(firstUpgrade + upgradesIntroduction)
	b.WriteString("| place | API servers | the stored Pod | a new Pod | verdict | pair | source |\n|---|---|---|---|---|---|---|\n")
	for _, u := range upgrades {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` | `%s` | %s |\n", u.place, u.versions, u.stored, u.fresh, u.state, u.golden, u.source)
	}
	b.WriteString(upgradesNotes)
	return b.String()
}

// firstUpgrade is where that begins.
const firstUpgrade = "\n# API upgrades\n"

// TestUpgradesArePublished compares what is published with the table, or publishes it.
func TestUpgradesArePublished(t *testing.T) {
	table, dapr := published(t, publishedFile)
	rows, section, found := strings.Cut(table, firstUpgrade)
	if *writeUpgrades {
		if err := os.WriteFile(publishedFile, []byte(rows+upgradesSection()+dapr), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if found {
		section = firstUpgrade + section
	}
	if section != upgradesSection() {
		t.Error("docs/accuracy.md does not hold the table of API upgrades: go test ./test/matrix -run TestUpgradesArePublished -upgrades")
	}
}

// TestEveryUpgradeIsGolden fails when a row has no pair of Pods, or another verdict than
// its pair, and when a pair has no row.
func TestEveryUpgradeIsGolden(t *testing.T) {
	left := map[string]bool{}
	folders, err := os.ReadDir(goldenUpgrades)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		left[folder.Name()] = true
	}
	for _, u := range upgrades {
		pairs := map[string]verdict.State{u.golden: u.state}
		if u.state == verdict.InSync {
			pairs[u.golden+changed] = verdict.Drifted
		}
		for folder, want := range pairs {
			delete(left, folder)
			if got := goldenState(t, folder); got != want {
				t.Errorf("%s: the table says %s, the pair %s", folder, want, got)
			}
		}
	}
	for folder := range left {
		t.Errorf("%s has no row in the table", folder)
	}
}

// goldenState is the state that a pair of Pods has.
func goldenState(t *testing.T, folder string) verdict.State {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenUpgrades, folder, "expected.json"))
	if err != nil {
		t.Error(err)
		return ""
	}
	var expected struct {
		State verdict.State `json:"state"`
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Errorf("%s: %v", folder, err)
	}
	return expected.State
}
