// Package routing decides where a student watches, where a room lives and from which node a track comes, as pure
// functions over what gossip and the directory know.
package routing
