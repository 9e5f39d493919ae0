package version

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	module := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{
			Main:     debug.Module{Version: version},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0ac26d0"}},
		}
	}
	for name, test := range map[string]struct {
		linked string
		build  *debug.BuildInfo
		want   string
	}{
		"linked":             {"v1.2.3", module("v1.0.0"), "v1.2.3"},
		"installed module":   {"", module("v1.0.0"), "v1.0.0"},
		"checkout":           {"", module("(devel)"), "unknown"},
		"without build info": {"", &debug.BuildInfo{}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(test.linked, test.build).Version; got != test.want {
				t.Errorf("version %q, want %q", got, test.want)
			}
		})
	}
	if got := describe("", module("")).Commit; got != "0ac26d0" {
		t.Errorf("commit %q", got)
	}
	if info := Get(); info.Version == "" || info.GoVersion == "" || info.Platform == "" {
		t.Errorf("incomplete: %+v", info)
	}
	if String() != Get().Version {
		t.Error("String and Get disagree")
	}
}
