// Package pace decides how many requests are under way at once, by how those before
// them fared: as many as it takes to bring the most done, and fewer while the API
// server is busy with others. A gentle pace is for those who would rather take their
// time than slow others down.
package pace
