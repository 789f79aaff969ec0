package edge

import (
	"net/netip"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/edge/fan"
	"lyceum/mesh/media"
)

// poke lets follow look at the connection.
func (s *Subscriber) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// transport is that of all media of the subscriber.
func (s *Subscriber) transport() *webrtc.ICETransport {
	return s.senders[0].Transport().ICETransport()
}

// follow opens and closes the legs with the connection until the session is to end.
func (s *Subscriber) follow() {
	timeout := time.NewTimer(s.edge.cfg.ConnectTimeout)
	defer timeout.Stop()
	connected, before := false, false
	for {
		select {
		case <-s.closing:
			return
		case <-timeout.C:
			if connected {
				s.Close(ErrLost)
			} else {
				s.Close(ErrUnconnected)
			}
		case <-s.changed:
			state := s.pc.ConnectionState()
			now := state == webrtc.PeerConnectionStateConnected
			switch state {
			case webrtc.PeerConnectionStateFailed:
				if connected {
					s.Close(ErrLost)
				} else {
					s.Close(ErrUnconnected)
				}
			case webrtc.PeerConnectionStateClosed:
				s.Close(ErrLeft)
			}
			if now && !s.route(!connected) {
				s.Close(ErrLost)
				now = false
			}
			if now == before {
				continue
			}
			before = now
			// Without a path nothing may be sent: the address may be somebody else's by now (RFC 7675, section 5.1).
			for _, l := range s.legs {
				l.setOpen(now, s.edge.now())
				l.at.Load().poke()
			}
			if now {
				connected = true
				timeout.Stop()
			} else {
				timeout.Reset(s.edge.cfg.ConnectTimeout)
			}
		}
	}
}

// route finds the path of a connected subscriber. The first time it settles whether the media is sealed and sent here or
// left to the connection, for good; a subscriber that no path leads to later, as it may be with one that moves to another
// socket behind an address of a NAT, cannot be served any more.
func (s *Subscriber) route(first bool) bool {
	if !first && s.path == nil {
		return true
	}
	path, ok := s.find()
	if first {
		if ok = ok && s.seal(); !ok {
			path = nil
		}
		s.edge.metrics.routed(ok)
		s.keys.Forget()
	} else if !ok {
		s.edge.cfg.Logger.Warn("subscriber has moved to where no path leads", "room", s.rq.Room, "subject", s.rq.Subject)
		return false
	}
	switch {
	case path == nil:
		// The feedback comes by the connection too.
		s.listening.Store(true)
		for i, l := range s.legs {
			s.listeners.Go(func() { s.listen(l, s.senders[i]) })
		}
	case s.path == nil || !path.Same(s.path):
		for _, l := range s.legs {
			l.setPath(path)
		}
		s.deafen()
		path.Listen(s.ear)
	}
	s.path = path
	return true
}

// deafen lets the ear hear nothing more from the present path.
func (s *Subscriber) deafen() {
	if s.path != nil {
		s.path.Leave(s.ear)
	}
}

// find looks up the path that the connection has chosen.
func (s *Subscriber) find() (*fan.Path, bool) {
	pair, err := s.transport().GetSelectedCandidatePair()
	if err != nil || pair == nil || pair.Local.Protocol != webrtc.ICEProtocolUDP || pair.Local.Typ == webrtc.ICECandidateTypeRelay {
		return nil, false
	}
	local, err := netip.ParseAddr(pair.Local.Address)
	if err != nil {
		return nil, false
	}
	remote, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return nil, false
	}
	return s.edge.cfg.Fan.Path(netip.AddrPortFrom(local.Unmap(), pair.Local.Port), netip.AddrPortFrom(remote.Unmap(), pair.Remote.Port))
}

// seal gives each leg what seals its packets, and the subscriber an ear, if the keys are known here.
func (s *Subscriber) seal() bool {
	streams, err := s.keys.Streams(len(s.legs))
	if err != nil {
		return false
	}
	var scratch media.Packet
	if s.ear, err = s.keys.Ear(func(compound []byte) { s.feedback(compound, &scratch) }); err != nil {
		return false
	}
	for i, l := range s.legs {
		l.setStream(streams[i])
	}
	return true
}
