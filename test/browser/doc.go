// Package browser tests what only a real browser can check. Its tests run with the build tag "browser".
package browser
