package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// generated writes all files, with a program beside them that says how it was called.
func generated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := write(dir, "v1.2.3", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	program := "#!/bin/sh\necho \"$(basename \"$(dirname \"$0\")\"): $*\"\n"
	if err := os.WriteFile(filepath.Join(dir, "unix", name), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEachCommandHasAManPage(t *testing.T) {
	dir := generated(t)
	for _, cmd := range newCommand().Commands() {
		if !cmd.IsAvailableCommand() {
			continue
		}
		page := read(t, dir, "man", name+"-"+cmd.Name()+".1")
		if !strings.Contains(page, "v1.2.3") || !strings.Contains(page, "Nov 2026") {
			t.Errorf("%s: no version, or no date:\n%.300s", cmd.Name(), page)
		}
	}
	if top := read(t, dir, "man", name+".1"); !strings.Contains(top, "sidecar-drift-audit(1)") {
		t.Errorf("the first page names no other:\n%s", top)
	}
}

func TestFilesAreTheSameEachTime(t *testing.T) {
	one, other := generated(t), generated(t)
	files, err := filepath.Glob(filepath.Join(one, "*", "*"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		relative, err := filepath.Rel(one, file)
		if err != nil {
			t.Fatal(err)
		}
		if read(t, file) != read(t, other, relative) {
			t.Errorf("%s is another one each time", relative)
		}
	}
}

// bash is what make needs.
func TestBashCompletes(t *testing.T) {
	dir := generated(t)
	program := "#!/bin/sh\n[ \"$1\" = __complete ] && printf 'audit\\tFind drift\\nrollout\\tRoll out\\n:4\\n'\n"
	if err := os.WriteFile(filepath.Join(dir, "unix", name), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	script := `
compopt() { :; }
_get_comp_words_by_ref() { words=(sidecar-drift au); cword=1; cur=au; prev=sidecar-drift; }
source "$1"
COMP_TYPE=9 __start_sidecar-drift
echo "${COMPREPLY[@]}"`
	bash := exec.CommandContext(t.Context(), "bash", "-euc", script, "bash", filepath.Join(dir, "completions", name+".bash"))
	bash.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "unix")+":"+os.Getenv("PATH"))
	output, err := bash.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "audit") || strings.Contains(string(output), "rollout") {
		t.Errorf("au is completed to %q, %v", output, err)
	}
	for _, file := range []string{"_" + name, name + ".fish", name + ".ps1"} {
		if text := read(t, dir, "completions", file); !strings.Contains(text, "__complete") {
			t.Errorf("%s asks nobody:\n%.200s", file, text)
		}
	}
}

func TestPluginCallsTheProgram(t *testing.T) {
	unix := filepath.Join(generated(t), "unix")
	elsewhere := t.TempDir() // as links of package managers are
	for file, want := range map[string]string{"kubectl-sidecar_drift": ": audit -n shop", "kubectl_complete-sidecar_drift": ": __complete audit -n shop"} {
		link := filepath.Join(elsewhere, file)
		if err := os.Symlink(filepath.Join(unix, file), link); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{filepath.Join(unix, file), link} {
			cmd := exec.CommandContext(t.Context(), path, "audit", "-n", "shop")
			cmd.Env = []string{"PATH=" + unix + ":" + os.Getenv("PATH")}
			output, err := cmd.CombinedOutput()
			if err != nil || !bytes.HasSuffix(bytes.TrimSpace(output), []byte(want)) {
				t.Errorf("%s says %q, %v, want %q", path, output, err, want)
			}
		}
	}
	batch := read(t, filepath.Dir(unix), "windows", "kubectl_complete-sidecar_drift.cmd")
	if batch != "@\"%~dp0sidecar-drift.exe\" __complete %*\r\n" {
		t.Errorf("on Windows: %q", batch)
	}
}
