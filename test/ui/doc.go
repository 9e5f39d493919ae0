// Package ui tests the HTML page in a real Chromium, and the daemon's on a real
// cluster. It is a module of its own, so that what drives the browser is no
// dependency of the product.
package ui
