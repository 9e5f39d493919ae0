// Command plot draws the benchmarks at scale: time against Pods, and memory against
// Pods, as SVG for light and dark pages.
//
// Usage: plot CSV DIRECTORY
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

//go:generate go run . ../../../docs/performance/scale.csv ../../../docs/performance

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: plot CSV DIRECTORY")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	rows, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	for _, c := range charts {
		if err := c.write(filepath.Join(args[1], c.name+".svg"), rows); err != nil {
			return err
		}
	}
	return nil
}

func (c chart) write(path string, rows []row) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.WriteString(file, c.svg(rows))
	return err
}
