//go:build !linux

package main

import "errors"

func (h *host) inside(func() error) error { return errors.New("network namespaces need Linux") }
