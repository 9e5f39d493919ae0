package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestChartsLookAsInTheGoldenFiles(t *testing.T) {
	dir := t.TempDir()
	if err := run([]string{filepath.Join("testdata", "scale.csv"), dir}); err != nil {
		t.Fatal(err)
	}
	for _, c := range charts {
		got, err := os.ReadFile(filepath.Join(dir, c.name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, string(got))
		path := filepath.Join("testdata", c.name+".svg")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; run go test ./test/bench/plot -update", err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s differs (-want +got); look at it, then run go test ./test/bench/plot -update:\n%s", path, diff)
		}
	}
}

// What is published is drawn from what was measured.
func TestChartsAreCurrent(t *testing.T) {
	const docs = "../../../docs/performance"
	file, err := os.Open(filepath.Join(docs, "scale.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range charts {
		got, err := os.ReadFile(filepath.Join(docs, c.name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.svg(rows) {
			t.Errorf("%s.svg is not drawn from scale.csv: run go generate ./test/bench/plot", c.name)
		}
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRead(t *testing.T) {
	const header = "benchmark,pods,seconds\n"
	for text, want := range map[string][]point{
		header:                              nil,
		header + "a,10,1.5\n":               {{10, 1.5}},
		header + "b,10,1.5\n":               nil,
		header + "a,10,\n":                  nil,
		header + "a,20,2\na,10,1\na,20,3\n": {{10, 1}, {20, 3}},
	} {
		rows, err := read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, points(rows, "a", "seconds"), cmp.AllowUnexported(point{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "a,10,1\n", header + "a,10\n", header + "a,ten,1\n"} {
		if _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestStep(t *testing.T) {
	for most, want := range map[float64]float64{1: 0.2, 5: 1, 20_000: 5_000, 5_000: 1_000, 112: 50, 99: 20, 30: 10} {
		if got := step(most); got != want {
			t.Errorf("step(%v) = %v, want %v", most, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.5: "0.5", 3 * 0.2: "0.6", 999: "999", 1_000: "1,000", 150_000: "150,000"} {
		if got := number(value); got != want {
			t.Errorf("number(%v) = %s, want %s", value, got, want)
		}
	}
}
