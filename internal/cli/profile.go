package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/spf13/cobra"
)

// profiling writes profiles of a command, for `go tool pprof`.
type profiling struct {
	cpuFile, memFile string
	cpu, mem         *os.File
}

// addProfiling adds hidden flags to all commands.
func addProfiling(root *cobra.Command) *profiling {
	p := &profiling{}
	flags := root.PersistentFlags()
	for name, file := range map[string]*string{"cpuprofile": &p.cpuFile, "memprofile": &p.memFile} {
		flags.StringVar(file, name, "", "Write a profile to this `file` when the command ends.")
		flags.Lookup(name).Hidden = true
	}
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return p.start() }
	return p
}

// start makes the files, so that one that cannot be written is said before the
// work is done.
func (p *profiling) start() (err error) {
	if p.cpuFile != "" {
		if p.cpu, err = os.Create(p.cpuFile); err != nil {
			return misuse("--cpuprofile: %w", err)
		}
		if err := pprof.StartCPUProfile(p.cpu); err != nil {
			return fmt.Errorf("profile the processor time: %w", err)
		}
	}
	if p.memFile != "" {
		if p.mem, err = os.Create(p.memFile); err != nil {
			return misuse("--memprofile: %w", err)
		}
	}
	return nil
}

// stop writes the profiles, however the command ended.
func (p *profiling) stop() error {
	var errs []error
	if p.cpu != nil {
		pprof.StopCPUProfile()
		errs = append(errs, p.cpu.Close())
	}
	if p.mem != nil {
		runtime.GC() // the profile is as of the last one
		errs = append(errs, pprof.WriteHeapProfile(p.mem), p.mem.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	return nil
}
