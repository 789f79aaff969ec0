// Watching: one WHEP session in this browser.

import { ask, type Fetch } from './api'
import { listen } from './events'
import { hangUp, negotiate, newPeer, num, order, repairSound, reportsOf, roundTrip, stateOf, type Report } from './rtc'

/** Picture is what the student's side of the connection shows at one moment. */
export interface Picture {
  /** Milliseconds of the browser's clock. */
  at: number
  bytes: number
  framesDecoded: number
  framesPerSecond: number
  width: number
  height: number
  audioLevel: number
  /** Round trip to the node in ms; null: not known. */
  rtt: number | null
  packetsLost: number
  packetsReceived: number
}

/** Viewing is a session while it lasts. The seat talks to this shape, so its tests need no browser. */
export interface Viewing {
  readonly stream: MediaStream
  readonly node: string
  connection(): RTCPeerConnectionState
  /** moving tells whether the node has asked for another session in the place of this one. */
  moving(): boolean
  look(): Promise<Picture>
  /** shown asks the node what it shows us. */
  shown(signal?: AbortSignal): Promise<Showing>
  /** choose tells it what we want of the picture. */
  choose(choice: Choice, signal?: AbortSignal): Promise<Showing>
  close(): void
}

/** Showing is what the node shows us: everything, less or only sound because our network carries no more, or as we wished. */
export type Showing = 'all' | 'less' | 'audio-only' | 'as wished'

/** Choice is what a student wants of the picture. */
export type Choice = 'auto' | 'saver' | 'audio'

/** The body of each choice. A saver of data has 300 kbit/s for sound and picture together: some 130 MB in an hour. */
const bodies: Record<Choice, object> = { auto: {}, saver: { maxBitrate: 300_000 }, audio: { audioOnly: true } }

/** The node learns our addresses from the checks, so waiting longer for candidates only delays the first picture, ms. */
const gather = 150

/** view opens a session at a WHEP URL. */
export async function view(fetcher: Fetch, url: string, token: string, signal?: AbortSignal): Promise<Viewing> {
  const peer = newPeer()
  try {
    const stream = new MediaStream()
    peer.addEventListener('track', (event) => stream.addTrack(event.track))
    const video = peer.addTransceiver('video', { direction: 'recvonly' })
    peer.addTransceiver('audio', { direction: 'recvonly' })
    try {
      const able = RTCRtpReceiver.getCapabilities('video')?.codecs ?? []
      video.setCodecPreferences(order(able, ['video/vp8', 'video/h264']))
    } catch {
      // Without preferences the browser offers all that it has; the node takes what the class uses.
    }
    const session = await negotiate(fetcher, peer, url, token, gather, signal, repairSound)
    let moving = false
    const deaf = listen(session.url, () => (moving = true))
    return {
      stream,
      node: session.node,
      connection: () => stateOf(peer),
      moving: () => moving,
      look: async () => pictureOf(reportsOf(await peer.getStats()), performance.now()),
      shown: (signal) => layer(fetcher, session.url, { method: 'GET' }, signal),
      choose: (choice, signal) =>
        layer(fetcher, session.url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(bodies[choice]) }, signal),
      close: () => {
        deaf()
        if (peer.signalingState === 'closed') return
        hangUp(fetcher, session.url)
        peer.close()
      },
    }
  } catch (error) {
    peer.close()
    throw error
  }
}

/** layer talks to the layer selection of a session, whose URL is the right to use it. */
async function layer(fetcher: Fetch, session: string, init: RequestInit, signal?: AbortSignal): Promise<Showing> {
  const answer = await ask(fetcher, `${session}/layer`, init, signal)
  return (JSON.parse(answer.text) as { picture: Showing }).picture
}

/** pictureOf reads getStats. */
export function pictureOf(reports: Report[], at: number): Picture {
  const inbound = reports.filter((report) => report.type === 'inbound-rtp')
  const video = inbound.find((report) => report['kind'] === 'video')
  const audio = inbound.find((report) => report['kind'] === 'audio')
  const sum = (key: string) => inbound.reduce((total, report) => total + num(report[key]), 0)
  return {
    at,
    bytes: sum('bytesReceived'),
    framesDecoded: num(video?.['framesDecoded']),
    framesPerSecond: num(video?.['framesPerSecond']),
    width: num(video?.['frameWidth']),
    height: num(video?.['frameHeight']),
    audioLevel: num(audio?.['audioLevel']),
    rtt: roundTrip(reports),
    packetsLost: Math.max(0, sum('packetsLost')),
    packetsReceived: sum('packetsReceived'),
  }
}

/** bitrate is the rate between two looks, in bit/s. */
export function bitrate(before: { at: number; bytes: number }, after: { at: number; bytes: number }): number {
  const ms = after.at - before.at
  return ms > 0 ? (Math.max(0, after.bytes - before.bytes) * 8000) / ms : 0
}
