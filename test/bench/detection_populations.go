package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// draw is a generator of workloads, the same ones each time.
type draw struct{ *rand.Rand }

func newDraw(number uint64) draw { return draw{rand.New(rand.NewPCG(seed, number))} }

// percent is true so many times in a hundred.
func (d draw) percent(n int) bool { return d.IntN(100) < n }

func (d draw) of(values ...string) string { return values[d.IntN(len(values))] }

// namespaces have the switches of injectors by which these are told in public manuals.
func (d draw) namespaces(n int, prefix string) []simulatedNamespace {
	all := make([]simulatedNamespace, n)
	for i := range all {
		ns := simulatedNamespace{name: fmt.Sprintf("%s-%d", prefix, i), labels: map[string]string{}, annotations: map[string]string{}}
		switch i % 6 {
		case 0, 1:
			ns.labels["istio-injection"] = "enabled"
		case 2:
			ns.labels["istio.io/rev"] = "stable"
		case 3:
			ns.labels["istio.io/rev"] = "canary"
		case 4:
			ns.annotations["linkerd.io/inject"] = "enabled"
		}
		if i%5 == 0 {
			ns.annotations["config.linkerd.io/proxy-log-level"] = "warn"
		}
		all[i] = ns
	}
	return all
}

// traits draws how a Pod is built: as many ways as public manifests have.
func (d draw) traits(name string) corev1.PodTemplateSpec {
	spec := corev1.PodSpec{}
	for i := range 1 + d.IntN(10)/8 {
		spec.Containers = append(spec.Containers, d.container(d.of(name, "server", "app", "main", fmt.Sprintf("%s-%d", name, i))))
	}
	if d.percent(20) {
		spec.InitContainers = []corev1.Container{d.container(d.of("init", "wait", name+"-migrate"))}
	}
	for i := range d.IntN(4) {
		volume := corev1.Volume{Name: fmt.Sprintf("v%d", i)}
		switch d.IntN(6) {
		case 0, 1:
			volume.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}
		case 2:
			volume.Secret = &corev1.SecretVolumeSource{SecretName: name}
		case 3:
			volume.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}
		case 4:
			volume.HostPath = &corev1.HostPathVolumeSource{Path: "/var/" + name}
		default:
			volume.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
		spec.Volumes = append(spec.Volumes, volume)
	}
	if d.percent(60) {
		spec.ServiceAccountName = name
	}
	if d.percent(30) {
		user := d.Int64N(3) * 1000
		root := user != 0
		spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsNonRoot: &root, FSGroup: &user}
	}
	if d.percent(25) {
		grace := int64(5 + d.IntN(60))
		spec.TerminationGracePeriodSeconds = &grace
	}
	if d.percent(8) {
		spec.HostNetwork = true
	}
	if d.percent(15) {
		spec.Affinity = &corev1.Affinity{}
	}
	if d.percent(10) {
		spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}, Spec: spec}
}

func (d draw) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "registry.example/" + name + ":1"}
	for i := range d.IntN(4) {
		c.Ports = append(c.Ports, corev1.ContainerPort{
			Name: d.of("http", "grpc", "http-web", "tcp-db", "metrics") + fmt.Sprint(i), ContainerPort: int32(1024 + d.IntN(9000)),
		})
	}
	if len(c.Ports) > 0 && d.percent(10) {
		c.Ports[0].Protocol = corev1.ProtocolUDP
	}
	c.ReadinessProbe, c.LivenessProbe = d.probe(60), d.probe(50)
	if d.percent(10) {
		c.StartupProbe = d.probe(100)
	}
	for i := range d.IntN(5) {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: name})
	}
	if d.percent(40) {
		c.Args = []string{"--serve"}
	}
	if d.percent(20) {
		c.Command = []string{"/" + name}
	}
	quantity := resource.MustParse(d.of("10m", "50m", "100m"))
	if d.percent(70) {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantity, corev1.ResourceMemory: quantity}
	}
	if d.percent(50) {
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: quantity}
	}
	if d.percent(35) {
		yes, no := true, d.percent(50)
		c.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no}
		if d.percent(50) {
			c.SecurityContext.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
		}
	}
	return c
}

func (d draw) probe(percent int) *corev1.Probe {
	if !d.percent(percent) {
		return nil
	}
	p := &corev1.Probe{PeriodSeconds: int32(5 + d.IntN(3)*5)}
	switch d.IntN(5) {
	case 0:
		p.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}
	case 1:
		p.Exec = &corev1.ExecAction{Command: []string{"true"}}
	case 2:
		p.GRPC = &corev1.GRPCAction{Port: 9000}
	default:
		p.HTTPGet = &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}
	}
	return p
}

// injectorsAnnotations are some of those that people set on Pods.
func (d draw) annotations() map[string]string {
	switch {
	case d.percent(8):
		return map[string]string{"sidecar.istio.io/proxyCPU": d.of("100m", "250m", "1")}
	case d.percent(6):
		return map[string]string{"traffic.sidecar.istio.io/excludeOutboundPorts": d.of("5432", "3306", "6379")}
	case d.percent(5):
		return map[string]string{"linkerd.io/inject": d.of("enabled", "disabled")}
	case d.percent(4):
		return map[string]string{"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}
	}
	return nil
}

// variedPopulation is of as many ways to build a Pod as public repositories have.
func variedPopulation(workloads int) *simulated {
	d := newDraw(1)
	w := &simulated{name: "varied"}
	namespaces := d.namespaces(12, "samples")
	for i := range workloads {
		s := subject{name: fmt.Sprintf("workload%d", i), namespace: namespaces[d.IntN(len(namespaces))], owner: d.of("ReplicaSet", "ReplicaSet", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")}
		if i > 0 && d.percent(16) { // a variant of what is there already
			of := w.subjects[d.IntN(i)]
			s.namespace, s.owner, s.template = of.namespace, of.owner, of.template
			s.template.Labels = map[string]string{"app": s.name}
			w.subjects = append(w.subjects, s)
			continue
		}
		s.template = d.traits(s.name)
		s.template.Annotations = d.annotations()
		w.subjects = append(w.subjects, s)
	}
	return w
}

// goldenPopulation is of one chart, whose few options services set, and which labels
// each service anew.
func goldenPopulation(name string, services int, label func(d draw, i int) []string) *simulated {
	d := newDraw(2)
	w := &simulated{name: name}
	namespaces := d.namespaces(6, "team")
	options := []corev1.PodTemplateSpec{d.traits("service"), d.traits("service"), d.traits("service")}
	for i := range services {
		s := subject{name: fmt.Sprintf("service%d", i), namespace: namespaces[d.skew(len(namespaces))], owner: "ReplicaSet"}
		s.template = *options[d.skew(len(options))].DeepCopy()
		s.template.Labels = with(map[string]string{"app": s.name}, label(d, i)...)
		if d.percent(3) {
			s.template.Annotations = map[string]string{"sidecar.istio.io/proxyCPU": d.of("100m", "250m")}
		}
		w.subjects = append(w.subjects, s)
	}
	return w
}

// versions are as services have them: few are at a number that nobody else is at.
func (d draw) version() string { return fmt.Sprintf("1.%d.%d", d.skew(5), d.skew(8)) }

// skew is a number below n, small ones more often.
func (d draw) skew(n int) int { return int(float64(n) * math.Pow(d.Float64(), 2.5)) }

func datadogPopulation(services int) *simulated {
	return goldenPopulation("datadog", services, func(d draw, i int) []string {
		return []string{"tags.datadoghq.com/service", fmt.Sprintf("service%d", i), "tags.datadoghq.com/env", d.of("prod", "staging"), "tags.datadoghq.com/version", d.version()}
	})
}

func commitPopulation(services int) *simulated {
	return goldenPopulation("commit", services, func(d draw, _ int) []string {
		return []string{"deploy.corp.example/commit", fmt.Sprintf("%016x", d.Uint64()), "deploy.corp.example/tier", d.of("gold", "silver", "silver", "bronze", "bronze", "bronze")}
	})
}

// uniformPopulation is of shapes that many workloads have.
func uniformPopulation(workloads, shapesInAll int) *simulated {
	d := newDraw(3)
	w := &simulated{name: "uniform"}
	namespaces := d.namespaces(24, "area")
	for i := range shapesInAll {
		template, annotations := d.traits("service"), d.annotations()
		namespace, owner := namespaces[i%len(namespaces)], d.of("ReplicaSet", "ReplicaSet", "StatefulSet")
		for range workloads / shapesInAll {
			s := subject{name: fmt.Sprintf("service%d", len(w.subjects)), namespace: namespace, owner: owner, template: template, like: fmt.Sprint(i)}
			s.template.Annotations = annotations
			w.subjects = append(w.subjects, s)
		}
	}
	d.Shuffle(len(w.subjects), func(i, j int) { w.subjects[i], w.subjects[j] = w.subjects[j], w.subjects[i] })
	return w
}

// largePopulation is of so many revisions: charts with options, and labels of teams.
func largePopulation(revisions int) *simulated {
	d := newDraw(4)
	w := &simulated{name: "large"}
	namespaces := d.namespaces(600, "tenant")
	charts := make([]corev1.PodTemplateSpec, 400)
	for i := range charts {
		charts[i] = d.traits("service")
	}
	kinds := map[string]string{}
	for i := range revisions {
		chart := d.skew(len(charts))
		n := d.IntN(len(namespaces))
		tier := d.of("gold", "silver", "bronze")
		annotations := d.annotations()
		s := subject{name: fmt.Sprintf("service%d", i), namespace: namespaces[n], owner: "ReplicaSet", template: charts[chart]}
		s.template.Labels = with(s.template.Labels, "deploy.corp.example/tier", tier)
		s.template.Annotations = annotations
		key := fmt.Sprint(chart, n%30, tier, annotations)
		if kinds[key] == "" {
			kinds[key] = fmt.Sprint(len(kinds))
		}
		s.like = kinds[key]
		w.subjects = append(w.subjects, s)
	}
	return w
}

// names are of so many of those who are concerned, or fewer.
func (w *simulated) names(n int, wanted func(subject) bool) []string {
	var names []string
	for _, s := range w.subjects {
		if len(names) < n && s.injected() && wanted(s) {
			names = append(names, s.name)
		}
	}
	return slices.Clip(names)
}
