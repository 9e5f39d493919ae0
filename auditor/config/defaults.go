package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// Default returns the configuration that a file which sets nothing stands for.
// How workloads are rolled out is as the command line's flags have it.
func Default() Configuration {
	return Configuration{
		APIVersion:   APIVersion,
		Kind:         Kind,
		Interval:     metav1.Duration{Duration: 30 * time.Second},
		FullInterval: metav1.Duration{Duration: time.Hour},
		Concurrency:  16,
		Gentle:       true,
		DryRunAs:     injection.Auto,
		AutoRollout: AutoRollout{
			Kinds:            []WorkloadKind{Deployment},
			Budget:           10,
			MinimumAge:       metav1.Duration{Duration: time.Hour},
			Strategy:         rollout.Restart,
			ParallelRollouts: 1,
			OrderBy:          rollout.ByName,
			MaxRisk:          change.Loss,
			MaxUnavailable:   1,
			Timeout:          metav1.Duration{Duration: rollout.DefaultTimeout},
			MaxDuration:      metav1.Duration{Duration: time.Hour},
			MaxFailures:      1,
			AnnotationPrefix: rollout.DefaultAnnotationPrefix,
			FieldManager:     rollout.DefaultFieldManager,
		},
	}
}
