//go:build !linux

package main

import (
	"errors"
	"io"
)

func openTUN(string) (io.ReadWriteCloser, error) {
	return nil, errors.New("network namespaces and TUN devices are Linux's")
}
