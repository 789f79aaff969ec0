// Package api answers the HTTP requests by which people find a room and the node to watch it at.
package api
