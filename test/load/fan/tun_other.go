//go:build !linux

package fan

import "errors"

func openTUN(bool) (network, error) {
	return nil, errors.New("TUN devices are Linux's; use --sink socket")
}
