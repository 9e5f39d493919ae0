package acceptance

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// podOfManyForms says of everything as little as the API allows, so that the
// API server has many defaults to add.
const podOfManyForms = `
spec:
  initContainers:
  - name: init
    image: example.com:5000/init
    restartPolicy: Always
    resources:
      limits: {cpu: 100m, memory: 64Mi}
    startupProbe: {tcpSocket: {port: 1}}
  containers:
  - name: probes
    image: nginx:1.29
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 81}}
    startupProbe: {exec: {command: ["true"]}}
    lifecycle:
      postStart: {httpGet: {port: 82}}
      preStop: {sleep: {seconds: 1}}
    ports:
    - containerPort: 80
    - containerPort: 53
      protocol: UDP
    resources:
      limits: {cpu: "1", memory: 1Gi}
      requests: {cpu: 500m}
  - name: env
    image: nginx:latest
    env:
    - name: VALUE
    - name: FIELD
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    - name: RESOURCE
      valueFrom: {resourceFieldRef: {resource: limits.cpu}}
    - name: CONFIG
      valueFrom: {configMapKeyRef: {name: c, key: k}}
    - name: SECRET
      valueFrom: {secretKeyRef: {name: s, key: k}}
    - name: FILE
      valueFrom: {fileKeyRef: {volumeName: empty, path: env, key: K}}
    envFrom:
    - configMapRef: {name: c}
    - secretRef: {name: s}
    securityContext: {}
    volumeMounts:
    - {name: empty, mountPath: /empty}
    - {name: config, mountPath: /config, readOnly: true}
  - name: digest
    image: nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000
    volumeDevices:
    - {name: claim, devicePath: /dev/claim}
  - name: untagged
    image: nginx
  - name: latest-digest
    image: nginx:latest@sha256:0000000000000000000000000000000000000000000000000000000000000000
  volumes:
  - name: empty
    emptyDir: {}
  - name: memory
    emptyDir: {medium: Memory, sizeLimit: 0.5Gi}
  - name: host
    hostPath: {path: /}
  - name: config
    configMap: {name: c, items: [{key: k, path: p}]}
  - name: secret
    secret: {secretName: s}
  - name: downward
    downwardAPI:
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: cpu, resourceFieldRef: {containerName: probes, resource: limits.cpu}}
  - name: projected
    projected:
      sources:
      - serviceAccountToken: {path: token}
      - configMap: {name: c}
      - secret: {name: s}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
      - clusterTrustBundle: {signerName: example.com/s, path: bundle, labelSelector: {matchLabels: {a: b}}}
  - name: claim
    persistentVolumeClaim: {claimName: c}
  - name: ephemeral
    ephemeral:
      volumeClaimTemplate:
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  - name: image
    image: {reference: "example.com/data:v1"}
  - name: csi
    csi: {driver: example.com}
  - name: nfs
    nfs: {server: nfs.example.com, path: /}
  - name: iscsi
    iscsi: {targetPortal: 1.2.3.4, iqn: "iqn.2001-04.com.example:storage", lun: 0}
  - name: rbd
    rbd: {monitors: [m], image: i}
  - name: azure
    azureDisk: {diskName: d, diskURI: "https://example.com/d.vhd"}
  - name: scaleio
    scaleIO: {gateway: g, system: s, secretRef: {name: s}, volumeName: v}
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - {weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {a: b}}}}
`

const podOnHostNetwork = `
spec:
  hostNetwork: true
  containers:
  - name: app
    image: nginx:1.29
    ports:
    - containerPort: 8080
`

const smallestPod = `
spec:
  containers:
  - name: app
    image: nginx
`

// TestAPIServerAddsOnlyKnownDefaults: a Pod does not differ from what was
// submitted for it by anything that the API server adds.
func TestAPIServerAddsOnlyKnownDefaults(t *testing.T) {
	cluster := testCluster(t)
	namespace := newNamespace(t, cluster)
	admin := asAdmin(t, cluster)
	for name, source := range map[string]string{
		"many forms": podOfManyForms, "host network": podOnHostNetwork, "smallest": smallestPod,
	} {
		t.Run(name, func(t *testing.T) {
			pod := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(source), &pod.Object); err != nil {
				t.Fatal(err)
			}
			pod.SetAPIVersion("v1")
			pod.SetKind("Pod")
			pod.SetNamespace(namespace)
			pod.SetName("defaults")
			submitted := document(t, pod)

			created := pod.DeepCopy()
			if err := admin.Create(t.Context(), created, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			v, err := verdict.Judge(verdict.Input{Live: submitted, Fresh: document(t, created), Template: submitted})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range v.Changes {
				t.Errorf("the API server made of %s %s: %s → %s", c.Part, c.Path, c.From, c.To)
			}

			applied := pod.DeepCopy()
			applied.SetManagedFields(nil)
			apply := client.ApplyConfigurationFromUnstructured(applied)
			if err := admin.Apply(t.Context(), apply, client.DryRunAll, client.FieldOwner("defaults-test")); err != nil {
				t.Fatal(err)
			}
			for what, object := range map[string]*unstructured.Unstructured{"created": created, "applied": applied} {
				f, err := fingerprint.Of(document(t, object))
				if err != nil {
					t.Fatal(err)
				}
				if f.Stamp != fingerprint.None {
					t.Errorf("the %s Pod has injected parts: %s", what, f.PartsJSON())
				}
			}
		})
	}
}

func document(t *testing.T, object *unstructured.Unstructured) jsontree.Node {
	t.Helper()
	src, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	root, err := jsontree.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
