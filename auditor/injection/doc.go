// Package injection says what would run: it shapes a Pod as its owner would and
// has the API server's whole admission chain look at it in a dry run.
package injection
