package rollout

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodesInZones are as many nodes, each in one of two zones.
func nodesInZones(n int, change ...func(*corev1.Node)) []corev1.Node {
	nodes := make([]corev1.Node, n)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("node-%d", i)
		nodes[i].Labels = map[string]string{corev1.LabelHostname: nodes[i].Name, corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%2)}
	}
	for _, c := range change {
		c(&nodes[n-1])
	}
	return nodes
}

func withPort(hostPort int32) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Containers = append(s.Containers, corev1.Container{Name: "app", Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: hostPort}}})
	}
}

func withClaim(s *corev1.PodSpec) {
	s.Volumes = append(s.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}})
}

func apartBy(key string, change ...func(*corev1.PodAffinityTerm)) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		term := corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: podLabels}}
		for _, c := range change {
			c(&term)
		}
		s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}}
	}
}

// What a new Pod cannot have beside the old ones keeps it from starting where no node is
// left for it, and is doubtful where one may be.
func TestBeside(t *testing.T) {
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	tainted := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
	}
	soft := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectPreferNoSchedule}}
	}
	labelled := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Labels[key] = "some" }
	}
	kept := func(n *corev1.Node) {
		n.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
		*n = leanNode(n)
	}
	unlabelled := func(n *corev1.Node) { n.Labels = nil }
	tolerant := func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }
	selects := func(key, value string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{key: value} }
	}
	wantsName := func(names ...string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: names}}}},
			}}}
		}
	}
	scheduledBy := func(name string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.SchedulerName = name }
	}
	onHostNetwork := func(s *corev1.PodSpec) { s.HostNetwork = true }
	native := func(s *corev1.PodSpec) {
		s.InitContainers = []corev1.Container{{RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Ports: []corev1.ContainerPort{{HostPort: 53, Protocol: corev1.ProtocolUDP}}}}
	}
	once := func(s *corev1.PodSpec) {
		s.InitContainers = []corev1.Container{{Ports: []corev1.ContainerPort{{HostPort: 53}}}}
		withPort(0)(s)
	}
	byRevision := func(t *corev1.PodAffinityTerm) { t.MatchLabelKeys = []string{"pod-template-hash"} }
	merged := func(t *corev1.PodAffinityTerm) { // as a live Pod has that of mismatchLabelKeys
		t.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "pod-template-hash", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"old"}}}
	}
	elsewhere := func(t *corev1.PodAffinityTerm) { t.Namespaces = []string{"other"} }
	byTeam := func(t *corev1.PodAffinityTerm) {
		t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	}
	everywhere := func(t *corev1.PodAffinityTerm) { t.NamespaceSelector = &metav1.LabelSelector{} }
	others := func(t *corev1.PodAffinityTerm) {
		t.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	}
	rwop, rwo := map[string]claim{"data": {onePod: true, oneNode: true}}, map[string]claim{"data": {oneNode: true}}

	for name, test := range map[string]struct {
		spec     []func(*corev1.PodSpec)
		nodes    []corev1.Node
		on       []string
		claims   map[string]claim
		sameNode bool
		deadlock string
		doubt    string
	}{
		"a port on every node":               {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(2), []string{"node-0", "node-1"}, nil, false, "port 8080/TCP of its node, and the old ones are on all of those that fit (node-0, node-1)", ""},
		"a port, and a node without it":      {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(3), []string{"node-0", "node-1"}, nil, false, "", "of 3 nodes that fit, 1 have no Pod of it"},
		"a port, and only a cordoned node":   {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(3, cordoned), []string{"node-0", "node-1"}, nil, false, "port 8080/TCP", ""},
		"a port, and only a tainted node":    {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(3, tainted), []string{"node-0", "node-1"}, nil, false, "port 8080/TCP", ""},
		"a port, and a taint that is soft":   {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(3, soft), []string{"node-0", "node-1"}, nil, false, "", "1 have no Pod"},
		"a port, and a tolerated taint":      {[]func(*corev1.PodSpec){withPort(8080), tolerant}, nodesInZones(3, tainted), []string{"node-0", "node-1"}, nil, false, "", "1 have no Pod"},
		"a port, and a tolerated cordon":     {[]func(*corev1.PodSpec){withPort(8080), tolerant}, nodesInZones(3, cordoned), []string{"node-0", "node-1"}, nil, false, "", "1 have no Pod"},
		"a port, by a node selector":         {[]func(*corev1.PodSpec){withPort(8080), selects(corev1.LabelTopologyZone, "zone-1")}, nodesInZones(3), []string{"node-1"}, nil, false, "(node-1)", ""},
		"a port, by affinity to nodes":       {[]func(*corev1.PodSpec){withPort(8080), wantsName("node-2")}, nodesInZones(3), []string{"node-2"}, nil, false, "(node-2)", ""},
		"a port, and its node is cordoned":   {[]func(*corev1.PodSpec){withPort(8080), wantsName("node-2")}, nodesInZones(3, cordoned), []string{"node-2"}, nil, false, "", "no node takes a Pod like its own now"},
		"the node's network":                 {[]func(*corev1.PodSpec){withPort(0), onHostNetwork}, nodesInZones(1), []string{"node-0"}, nil, false, "port 80/TCP", ""},
		"the node's network without a port":  {[]func(*corev1.PodSpec){onHostNetwork}, nodesInZones(1), []string{"node-0"}, nil, false, "", ""},
		"a native sidecar's port":            {[]func(*corev1.PodSpec){native}, nodesInZones(1), []string{"node-0"}, nil, false, "port 53/UDP", ""},
		"an init container's port":           {[]func(*corev1.PodSpec){once}, nodesInZones(1), []string{"node-0"}, nil, false, "", ""},
		"a port of its own":                  {[]func(*corev1.PodSpec){withPort(0)}, nodesInZones(1), []string{"node-0"}, nil, false, "", ""},
		"a port where the old one was":       {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(3), []string{"node-0"}, nil, true, "a new one starts on the node of an old one", ""},
		"a port, and no Pod runs":            {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(1), nil, nil, false, "", ""},
		"apart by node":                      {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname)}, nodesInZones(2), []string{"node-0", "node-1"}, nil, false, "each on another kubernetes.io/hostname", ""},
		"apart by node, with room":           {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname)}, nodesInZones(3), []string{"node-0", "node-1"}, nil, false, "", ""},
		"apart by zone":                      {[]func(*corev1.PodSpec){apartBy(corev1.LabelTopologyZone)}, nodesInZones(6), []string{"node-0", "node-1"}, nil, false, "each on another topology.kubernetes.io/zone", ""},
		"apart by zone, with room":           {[]func(*corev1.PodSpec){apartBy(corev1.LabelTopologyZone)}, nodesInZones(6), []string{"node-0"}, nil, false, "", ""},
		"apart by zone, and a node has none": {[]func(*corev1.PodSpec){apartBy(corev1.LabelTopologyZone)}, nodesInZones(3, unlabelled), []string{"node-0", "node-1"}, nil, false, "", ""},
		"apart within a revision":            {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, byRevision)}, nodesInZones(1), []string{"node-0"}, nil, false, "", ""},
		"apart from other revisions":         {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, merged)}, nodesInZones(1), []string{"node-0"}, nil, false, "each on another", ""},
		"apart from another namespace's":     {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, elsewhere)}, nodesInZones(1), []string{"node-0"}, nil, false, "", ""},
		"apart from some namespaces'":        {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, byTeam)}, nodesInZones(1), []string{"node-0"}, nil, false, "", "by namespaces' labels"},
		"apart from all namespaces'":         {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, everywhere)}, nodesInZones(1), []string{"node-0"}, nil, false, "each on another", ""},
		"apart from another app":             {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, others)}, nodesInZones(1), []string{"node-0"}, nil, false, "", ""},
		"apart, and a port":                  {[]func(*corev1.PodSpec){apartBy(corev1.LabelTopologyZone), withPort(8080)}, nodesInZones(3), []string{"node-0", "node-1"}, nil, false, "port 8080/TCP of its node, and its anti-affinity", ""},
		"a claim of one Pod":                 {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3), []string{"node-0"}, rwop, false, "claim data is ReadWriteOncePod", ""},
		"a claim of one node":                {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3), []string{"node-0"}, rwo, false, "", "only on node-0, whose Pod uses it, if its volume is attached there, and 3 nodes fit"},
		"a claim of the only node":           {[]func(*corev1.PodSpec){withClaim, wantsName("node-0")}, nodesInZones(3), []string{"node-0"}, rwo, false, "", ""},
		"a claim of a cordoned node":         {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3, cordoned), []string{"node-2"}, rwo, false, "", "claim data is ReadWriteOnce, and none can start on node-2"},
		"a claim of one node, and a port":    {[]func(*corev1.PodSpec){withClaim, withPort(8080)}, nodesInZones(3), []string{"node-0"}, rwo, false, "", "none can start on node-0"},
		"a claim of one node, on two":        {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3), []string{"node-0", "node-1"}, rwo, false, "", ""},
		"a claim of two cordoned nodes":      {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3, cordoned), []string{"node-2", "gone"}, rwo, false, "", ""},
		"a claim of one node, and two Pods":  {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3), []string{"node-0", "node-0"}, rwo, false, "", "only on node-0, whose Pod uses it"},
		"a claim of one node, on all, apart": {[]func(*corev1.PodSpec){withClaim, apartBy(corev1.LabelHostname)}, nodesInZones(2), []string{"node-0", "node-1"}, rwo, false, "each on another", ""},
		"a claim of any":                     {[]func(*corev1.PodSpec){withClaim}, nodesInZones(3), []string{"node-0"}, map[string]claim{"data": {}}, false, "", ""},
		"a claim of any, and no node fits":   {[]func(*corev1.PodSpec){withClaim, selects("pool", "gone")}, nodesInZones(1), []string{"node-0"}, map[string]claim{"data": {}}, false, "", ""},
		"a claim of one node, and none fits": {[]func(*corev1.PodSpec){withClaim}, nodesInZones(1, cordoned), []string{"node-0"}, rwo, false, "", "no node takes a Pod like its own now"},
		"apart by revision, and none fits":   {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname, byRevision)}, nodesInZones(1, cordoned), []string{"node-0"}, nil, false, "", ""},
		"another scheduler, and a port":      {[]func(*corev1.PodSpec){withPort(8080), scheduledBy("volcano")}, nodesInZones(1), []string{"node-0"}, nil, false, "", "scheduler volcano places its Pods"},
		"another scheduler, and a claim":     {[]func(*corev1.PodSpec){withClaim, scheduledBy("volcano")}, nodesInZones(1), []string{"node-0"}, map[string]claim{"data": {}}, false, "", ""},
		"another scheduler, a claim's one":   {[]func(*corev1.PodSpec){withClaim, scheduledBy("volcano")}, nodesInZones(1), []string{"node-0"}, rwop, false, "claim data is ReadWriteOncePod", ""},
		"the default scheduler, and a port":  {[]func(*corev1.PodSpec){withPort(8080), scheduledBy(corev1.DefaultSchedulerName)}, nodesInZones(1), []string{"node-0"}, nil, false, "port 8080/TCP", ""},
		"a port, and Karpenter's node":       {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(2, labelled("karpenter.sh/nodepool")), []string{"node-0", "node-1"}, nil, false, "", "unless a node is added, which may be by karpenter.sh/nodepool of node-1"},
		"apart, and a pool's node":           {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname)}, nodesInZones(2, labelled("eks.amazonaws.com/nodegroup")), []string{"node-0", "node-1"}, nil, false, "", "unless a node is added"},
		"apart, and an autoscaler's note":    {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname)}, nodesInZones(2, kept), []string{"node-0", "node-1"}, nil, false, "", "cluster-autoscaler.kubernetes.io/scale-down-disabled of node-1"},
		"apart, and a pool's node elsewhere": {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname)}, nodesInZones(3, labelled("karpenter.sh/nodepool"), cordoned), []string{"node-0", "node-1"}, nil, false, "each on another", ""},
		"apart, and another label":           {[]func(*corev1.PodSpec){apartBy(corev1.LabelHostname)}, nodesInZones(2, labelled("karpenter.example/nodepool")), []string{"node-0", "node-1"}, nil, false, "each on another", ""},
		"a port there, and a pool's node":    {[]func(*corev1.PodSpec){withPort(8080)}, nodesInZones(2, labelled("karpenter.sh/nodepool")), []string{"node-0", "node-1"}, nil, true, "a new one starts on the node of an old one", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var spec corev1.PodSpec
			for _, change := range test.spec {
				change(&spec)
			}
			few := placed(&spec)
			if few == nil {
				if test.deadlock != "" || test.doubt != "" {
					t.Fatal("nothing is seen to be in the way")
				}
				return
			}
			got := crowd{
				namespace: "shop", labels: map[string]string{"app": "web", "pod-template-hash": "old"}, spec: few,
				onNodes: test.on, sameNode: test.sameNode, nodes: test.nodes, claims: test.claims,
			}.judge()
			doubts := strings.Join(got.doubts, "; ")
			for what, pair := range map[string][2]string{"deadlock": {got.deadlock, test.deadlock}, "doubts": {doubts, test.doubt}} {
				if (pair[0] == "") != (pair[1] == "") || !strings.Contains(pair[0], pair[1]) {
					t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
				}
			}
		})
	}
}

// What cannot be read is said, and what can be is judged all the same.
func TestBesideUnread(t *testing.T) {
	var spec corev1.PodSpec
	withClaim(&spec)
	withPort(8080)(&spec)
	c := crowd{spec: &spec, onNodes: []string{"node-0"}, unknown: []string{"nodes may not be read by this identity"}, claims: map[string]claim{}}
	if got := c.judge(); got.deadlock != "" || len(got.doubts) != 1 || !strings.Contains(got.doubts[0], "it was not checked whether a new Pod can start") {
		t.Errorf("without nodes: %+v", got)
	}
	c.claims["data"] = claim{onePod: true}
	if got := c.judge(); !strings.Contains(got.deadlock, "ReadWriteOncePod") {
		t.Errorf("with the claim alone: %+v", got)
	}
}
