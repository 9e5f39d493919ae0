package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// row is a line of the file: numbers by the names of their columns. A field that is
// empty is not among them.
type row struct {
	benchmark string
	numbers   map[string]float64
}

// read reads the file. The first line names the columns, of which the first is the
// benchmark's name.
func read(r io.Reader) ([]row, error) {
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 || lines[0][0] != "benchmark" {
		return nil, fmt.Errorf("the first line does not name the columns")
	}
	var rows []row
	for i, line := range lines[1:] {
		next := row{line[0], map[string]float64{}}
		for column, text := range line[1:] {
			if text == "" {
				continue
			}
			if next.numbers[lines[0][column+1]], err = strconv.ParseFloat(text, 64); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+2, err)
			}
		}
		rows = append(rows, next)
	}
	return rows, nil
}

// point is a measurement at a number of Pods.
type point struct{ pods, value float64 }

// points returns a benchmark's, by their Pods. Of several measurements at one number
// of Pods the last counts.
func points(rows []row, benchmark, column string) []point {
	last := map[float64]float64{}
	for _, r := range rows {
		if value, ok := r.numbers[column]; ok && r.benchmark == benchmark {
			last[r.numbers["pods"]] = value
		}
	}
	var list []point
	for pods, value := range last {
		list = append(list, point{pods, value})
	}
	slices.SortFunc(list, func(a, b point) int { return cmp.Compare(a.pods, b.pods) })
	return list
}
