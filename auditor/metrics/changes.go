package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

var (
	changesDesc = prometheus.NewDesc("sidecar_drift_changes",
		"Changes of the injection that workloads differ in, each once however many these are, by risk.", []string{"risk"}, nil)
	startedDesc = prometheus.NewDesc("sidecar_drift_change_started_timestamp_seconds",
		"When each change that workloads still differ in was first seen, in Unix time: those that most workloads have, 50 at most.", []string{"change", "risk"}, nil)
	changeWorkloadsDesc = prometheus.NewDesc("sidecar_drift_change_workloads",
		"Workloads that still differ in each change: those that most workloads have, 50 changes at most.", []string{"change", "kind", "risk"}, nil)
	changePodsDesc = prometheus.NewDesc("sidecar_drift_change_pods",
		"Pods of the workloads that still differ in each change: those that most workloads have, 50 changes at most.", []string{"change", "kind", "risk"}, nil)
	waveWorkloadsDesc = prometheus.NewDesc("sidecar_drift_wave_workloads",
		"Workloads of each wave that drifted by the change that has most of them left there; order is 1 for the first wave.", []string{"wave", "order"}, nil)
	waveDriftedDesc = prometheus.NewDesc("sidecar_drift_wave_drifted_workloads",
		"Workloads of each wave that still drift by the change that has most of them left there.", []string{"wave", "order"}, nil)
	waveChangesDesc = prometheus.NewDesc("sidecar_drift_wave_changes",
		"Changes that are not all over by how far they are in each wave: Waiting, RollingOut, Soaking or Over; those that are equally far are one.", []string{"wave", "order", "phase"}, nil)
)

// mostChanges bounds the series of changes.
const mostChanges = 50

// gauge sends a value with the labels of its description.
type gauge = func(d *prometheus.Desc, value float64, labels ...string)

func (a *audit) collectChanges(send gauge) {
	for risk, n := range a.changes() {
		send(changesDesc, float64(n), string(risk))
	}
	changes := a.report.Changes
	told := map[string]bool{} // as two changes may have one ID by chance, or by somebody's search
	for _, change := range changes[:min(mostChanges, len(changes))] {
		if told[change.ID] {
			continue
		}
		told[change.ID] = true
		if change.Since != nil {
			send(startedDesc, float64(change.Since.Unix()), change.ID, string(change.Risk))
		}
		send(changeWorkloadsDesc, float64(change.Workloads), change.ID, string(change.Kind), string(change.Risk))
		send(changePodsDesc, float64(change.Pods), change.ID, string(change.Kind), string(change.Risk))
	}
}

// collectWaves tells of each wave that the configuration names, and nothing where there is
// no change under way.
func collectWaves(changes []report.Progress, send gauge) {
	type place struct{ wave, order string }
	slowest, phases := map[place]report.WaveProgress{}, map[place]map[report.WavePhase]int{}
	for _, change := range changes {
		for i, wave := range change.Waves {
			at := place{wave.Name, strconv.Itoa(i + 1)}
			if phases[at] == nil {
				phases[at] = map[report.WavePhase]int{}
			}
			phases[at][wave.Phase]++
			if last, ok := slowest[at]; !ok || wave.Drifted > last.Drifted || wave.Drifted == last.Drifted && wave.Workloads > last.Workloads {
				slowest[at] = wave
			}
		}
	}
	for at, wave := range slowest {
		send(waveWorkloadsDesc, float64(wave.Workloads), at.wave, at.order)
		send(waveDriftedDesc, float64(wave.Drifted), at.wave, at.order)
		for _, phase := range report.WavePhases() {
			send(waveChangesDesc, float64(phases[at][phase]), at.wave, at.order, string(phase))
		}
	}
}
