'use strict'
// One teacher, who can be published, paused, brought back and taken away.

let session = null

window.teacher = {
  codecs: () => able(RTCRtpSender),

  /** publish begins a session; what: { url, token, codec, source, width, height, encodings }. It ends the one before. */
  async publish(what) {
    teacher.leave()
    const canvas = document.createElement('canvas')
    canvas.width = what.width
    canvas.height = what.height
    document.body.replaceChildren(canvas)
    draw(canvas, what.source)
    const drawing = setInterval(() => draw(canvas, what.source), tick)
    const media = canvas.captureStream()
    const tone = new AudioContext()
    const oscillator = tone.createOscillator()
    const out = tone.createMediaStreamDestination()
    oscillator.connect(out)
    oscillator.start()
    const peer = newPeer()
    session = { peer, drawing, tone, media }
    const streams = [media]
    const video = peer.addTransceiver(media.getVideoTracks()[0], {
      direction: 'sendonly',
      streams,
      sendEncodings: what.encodings,
    })
    peer.addTransceiver(out.stream.getAudioTracks()[0], { direction: 'sendonly', streams })
    video.setCodecPreferences(variants(RTCRtpSender.getCapabilities('video').codecs, [what.codec]))
    session.sender = video.sender
    await negotiate(peer, what.url, what.token)
  },

  /** rest sends no picture for a while. */
  async rest(ms) {
    await session.sender.replaceTrack(null)
    await pause(ms)
    await session.sender.replaceTrack(session.media.getVideoTracks()[0])
  },

  /** activate begins or ends the sending of one simulcast layer. */
  async activate(rid, active) {
    const parameters = session.sender.getParameters()
    for (const e of parameters.encodings) if (e.rid === rid) e.active = active
    await session.sender.setParameters(parameters)
  },

  /** leave ends the session as a page does that is closed. */
  leave() {
    if (!session) return
    clearInterval(session.drawing)
    session.peer.close()
    void session.tone.close()
    session = null
  },

  /** look answers what is sent: [{ rid, frames, width, codec }]. */
  async look() {
    const stats = await session.peer.getStats()
    const list = []
    stats.forEach((r) => {
      if (r.type === 'outbound-rtp' && r.kind === 'video')
        list.push({
          rid: r.rid ?? '',
          frames: r.framesEncoded ?? 0,
          width: r.frameWidth ?? 0,
          codec: (stats.get(r.codecId)?.mimeType ?? '').slice(6),
          mode: r.scalabilityMode ?? '',
        })
    })
    return list
  },
}
