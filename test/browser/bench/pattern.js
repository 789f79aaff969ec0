'use strict'
// A picture that says when it was drawn and by which source, so that a student can tell whether it was decoded right.
//
// Its upper third is sixteen cells, black or white: twelve bits of the moment, counted in ticks of the wall clock that
// all pages of a machine share, and four bits of a check sum. The lower third has the colour of the source. What moves in
// between gives the encoder something to do.

const tick = 1000 / 15 // ms
const turn = 1 << 12 // ticks after which the count begins again
const colours = ['#c02020', '#20a020', '#2040d0', '#c0a010', '#a020a0', '#109090']

const moment = () => Math.floor(Date.now() / tick) % turn
const check = (count) => ((count >> 8) + (count >> 4) + count + 5) & 15

function draw(canvas, source) {
  const { width: w, height: h } = canvas
  const g = canvas.getContext('2d')
  const count = moment()
  g.fillStyle = colours[source]
  g.fillRect(0, 0, w, h)
  const bits = (count << 4) | check(count)
  for (let i = 0; i < 16; i++) {
    g.fillStyle = (bits >> (15 - i)) & 1 ? '#fff' : '#000'
    g.fillRect((i * w) / 16, 0, w / 16 + 1, h / 3)
  }
  let x = count + 1
  for (let i = 0; i < 40; i++) {
    x = (x * 1103515245 + 12345) & 0x7fffffff
    g.fillStyle = colours[(x >> 8) % colours.length]
    g.fillRect((((i * 37 + count * 3) % 100) * w) / 100, h / 3 + ((x >> 12) % (h / 4)), w / 24, h / 24)
  }
}

const eye = document.createElement('canvas')
eye.width = 160
eye.height = 90
const sight = eye.getContext('2d', { willReadFrequently: true })
const rgb = colours.map((c) => [1, 3, 5].map((at) => parseInt(c.slice(at, at + 2), 16)))

/** read answers what a picture says: { count, source }, or null for one that cannot be right. */
function read(video) {
  sight.drawImage(video, 0, 0, 160, 90)
  const { data } = sight.getImageData(0, 0, 160, 90)
  const at = (x, y) => data.subarray(4 * (160 * y + x), 4 * (160 * y + x) + 3)
  let bits = 0
  for (let i = 0; i < 16; i++) {
    const [r, g, b] = at(i * 10 + 5, 15)
    bits = (bits << 1) | (r + g + b > 384 ? 1 : 0)
  }
  const count = bits >> 4
  if (check(count) !== (bits & 15)) return null
  const seen = at(80, 82)
  const far = rgb.map((c) => Math.hypot(c[0] - seen[0], c[1] - seen[1], c[2] - seen[2]))
  const source = far.indexOf(Math.min(...far))
  return far[source] < 60 ? { count, source } : null
}

/** newPeer makes the connection that all sessions use. */
const newPeer = () => new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' })

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * negotiate posts the peer's offer and takes the answer. It tries again where a page does: a session of the same person has
 * not ended yet, or the node that should answer is gone.
 */
async function negotiate(peer, url, token) {
  await peer.setLocalDescription(await peer.createOffer())
  for (let tries = 0; ; tries++) {
    let status = 0
    let text
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Authorization: 'Bearer ' + token },
        body: peer.localDescription.sdp,
      })
      status = answer.status
      text = await answer.text()
      if (answer.ok) {
        await peer.setRemoteDescription({ type: 'answer', sdp: text })
        return { session: new URL(answer.headers.get('Location'), answer.url).href }
      }
    } catch (error) {
      if (status) throw error
      text = String(error)
    }
    if (![0, 409, 503].includes(status) || tries === 80) throw new Error(`${status} ${text}`)
    await pause(250)
  }
}

/** variants lists what a browser can do of one codec, with its repair format. */
const variants = (codecs, names) =>
  codecs.filter((c) => [...names, 'RTX'].some((name) => c.mimeType.toLowerCase() === 'video/' + name.toLowerCase()))

/** able lists the video codecs that this browser can receive or, with RTCRtpSender, send. */
const able = (end) => [...new Set(end.getCapabilities('video').codecs.map((c) => c.mimeType.slice(6)))]
