// Package version says which build of the programs is running.
package version

import (
	"runtime"
	"runtime/debug"
)

// version is set by release builds:
// -ldflags "-X github.com/sidecar-drift/sidecar-drift/internal/version.version=v1.2.3".
var version string

// Info describes a build.
type Info struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"` // absent in builds from a module
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"` // GOOS/GOARCH
}

// Get describes the running build.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return describe(version, build)
}

// String returns the version of the running build: what the linker was told,
// else the module's version, else "unknown".
func String() string { return Get().Version }

func describe(linked string, build *debug.BuildInfo) Info {
	info := Info{
		Version:   linked,
		GoVersion: runtime.Version(),
		Platform:  runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info.Version == "" {
		info.Version = build.Main.Version
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = "unknown"
	}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			info.Commit = setting.Value
		}
	}
	return info
}
