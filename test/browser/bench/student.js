'use strict'
// Any number of students in one page, each with a session and a picture of their own.

const seats = new Map()

window.students = {
  codecs: () => able(RTCRtpReceiver),

  /** watch seats a student; what: { url, token, codecs }. */
  async watch(name, what) {
    const peer = newPeer()
    const video = document.createElement('video')
    video.autoplay = video.muted = video.playsInline = true
    document.body.append(video)
    video.srcObject = new MediaStream()
    peer.addEventListener('track', (e) => video.srcObject.addTrack(e.track))
    const seat = { peer, video, began: performance.now(), first: 0, shown: 0, wrong: 0, back: 0, gap: 0, at: 0, last: null }
    seats.set(name, seat)
    const see = () => {
      if (seats.get(name) !== seat) return
      note(seat)
      video.requestVideoFrameCallback(see)
    }
    video.requestVideoFrameCallback(see)
    const receiving = peer.addTransceiver('video', { direction: 'recvonly' })
    peer.addTransceiver('audio', { direction: 'recvonly' })
    receiving.setCodecPreferences(variants(RTCRtpReceiver.getCapabilities('video').codecs, what.codecs))
    Object.assign(seat, await negotiate(peer, what.url, what.token))
  },

  /** leave ends a student's session. */
  leave(name) {
    const seat = seats.get(name)
    seats.delete(name)
    seat.peer.close()
    seat.video.remove()
  },

  /** mark begins a new count of the longest time without a picture. */
  mark() {
    for (const seat of seats.values()) seat.gap = 0
  },

  /** choose asks for one layer, by its name; '' leaves it to the node. */
  async choose(name, rid) {
    const answer = await fetch(seats.get(name).session + '/layer', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(rid ? { rid } : {}),
    })
    if (!answer.ok) throw new Error(`choose ${rid}: ${answer.status} ${await answer.text()}`)
  },

  /** look answers what each student has seen, and what the browser says of it. */
  async look() {
    const list = {}
    for (const [name, seat] of seats) {
      const stats = await seat.peer.getStats()
      const s = { name, connection: seat.peer.connectionState }
      Object.assign(s, { shown: seat.shown, wrong: seat.wrong, back: seat.back, first: seat.first })
      s.gap = seat.at ? Math.max(seat.gap, performance.now() - seat.at) : 0
      s.source = seat.last?.source ?? -1
      s.width = seat.video.videoWidth
      s.delay = seat.last?.delay ?? 0
      s.time = seat.video.currentTime
      s.error = seat.video.error?.message ?? ''
      stats.forEach((r) => {
        if (r.type !== 'inbound-rtp') return
        if (r.kind === 'audio') {
          s.soundPackets = r.packetsReceived ?? 0
          s.soundLost = r.packetsLost ?? 0
          return
        }
        s.codec = (stats.get(r.codecId)?.mimeType ?? '').slice(6)
        for (const key of [
          'packetsReceived',
          'packetsLost',
          'framesReceived',
          'framesDecoded',
          'keyFramesDecoded',
          'framesDropped',
          'freezeCount',
          'totalFreezesDuration',
          'pliCount',
          'nackCount',
        ])
          s[key] = r[key] ?? 0
      })
      list[name] = s
    }
    return list
  },
}

/** note takes in a picture that is shown now. */
function note(seat) {
  const now = performance.now()
  if (!seat.shown++) seat.first = now - seat.began
  if (seat.at) seat.gap = Math.max(seat.gap, now - seat.at)
  seat.at = now
  const seen = read(seat.video)
  if (!seen) {
    seat.wrong++
    return
  }
  const on = (a, b) => ((b - a + turn / 2 + turn) % turn) - turn / 2 // how many ticks b is after a
  // A change of layers may show a tenth of a second again.
  if (seat.last && on(seat.last.count, seen.count) < -2) seat.back++
  seat.last = { ...seen, delay: on(seen.count, moment()) * tick }
}
