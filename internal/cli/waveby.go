package cli

import "github.com/sidecar-drift/sidecar-drift/auditor/rollout"

// waveByValue is the flag's value of --wave-by. Given again, it goes on with further waves.
type waveByValue rollout.WaveBy

func (v *waveByValue) String() string { return rollout.WaveBy(*v).String() }

func (v *waveByValue) Type() string { return "labels" }

// Set reads the waves that the flag names.
func (v *waveByValue) Set(text string) error {
	if len(*v) > 0 {
		text = v.String() + "," + text
	}
	by, err := rollout.ParseWaveBy(text)
	if err != nil {
		return err
	}
	*v = waveByValue(by)
	return nil
}
