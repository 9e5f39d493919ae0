// Package inventory says what runs: the live Pods, grouped by the revision that
// they were made from, and each revision's Pod template.
//
// A cluster may hold 150,000 Pods: lists are read page by page and item by
// item, of a Pod little more than a digest is kept (and the whole of one of
// each kind, while a fixed budget lasts), and templates are handed on as they
// are read.
package inventory
